"""Pages as the real API may have them: in another form, and what the tap makes of each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Tap, commands_in, complaint, error_code
from tests.support.companies import Json
from tests.support.jobs import bookmark_of, rows_of, tap_of

pytestmark = pytest.mark.slow

Change = Callable[[Json], Any]
BILLED = ("career_sites", "jobs")
"""Streams whose pages have a list of the same name."""
PRICES = {"career_sites": "$50.00 per 1,000 rows", "expired_jobs": "free"}
"""Where they are not those of jobs."""


def assert_buys_again(line: str, stream: str) -> None:
    """A message shows the command that buys everything of a stream again, and its price."""
    assert commands_in(line) == [["restart", stream]]
    assert f"({PRICES.get(stream, '$3.00 per 1,000 rows')}" in line


def amounts_in(line: str) -> set[str]:
    """Return the amounts of money that a message names."""
    return {*re.findall(r"\$[\d,.]*\d", line)}


def camel(name: str) -> str:
    return re.sub("_(.)", lambda found: found[1].upper(), name)


def camel_case(value: Any) -> Any:
    """The same JSON with the names that another serializer writes."""
    if isinstance(value, dict):
        return {camel(name): camel_case(member) for name, member in value.items()}
    return [camel_case(each) for each in value] if isinstance(value, list) else value


def in_camel_case(*names: str) -> Change:
    """Rename fields of each row."""

    def change(body: Json) -> Json:
        for row in rows_in(body):
            for name in names:
                row[camel(name)] = row.pop(name)
        return body

    return change


def rows_in(body: Json) -> list[Json]:
    rows: list[Json] = next(body[name] for name in BILLED if name in body)
    return rows


def without_ats(body: Json) -> Json:
    for row in body["career_sites"]:
        del row["ats"]
    return body


def without_nulls(value: Any) -> Any:
    """The same JSON as .NET writes it if it is told to leave out nulls."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def spoil(sandbox: Sandbox, endpoint: str, change: object, **more: Any) -> None:
    sandbox.faults.add(Fault(replace=change, times=None, **more), endpoint=endpoint)


# The envelope


def test_ids_of_expired_jobs_in_another_envelope_end_their_stream_alone(
    hiring: Sandbox, tmp_path: Path
) -> None:
    spoil(hiring, "expired_jobs", camel_case)
    tap = tap_of(hiring, tmp_path, "expired_jobs", "jobs")
    run = tap.run()
    assert error_code(run) == "format-changed"
    line = complaint(run)
    assert commands_in(line) == [["drop", "expired_jobs", "1"]]
    assert amounts_in(line) == {"$0.00"}
    assert len(hiring.requests_to("expired_jobs")) == 1
    assert len(rows_of(run, "jobs")) == 90


# Rows


def test_nulls_that_are_left_out_are_null_with_one_warning(hiring: Sandbox, tmp_path: Path) -> None:
    for key in [*hiring.world.rows()][:8]:
        hiring.world.touch(key, ats=None)
    tap = tap_of(hiring, tmp_path, "career_sites")
    spoil(hiring, "career_sites", lambda body: without_nulls(without_ats(body)))
    run = tap.succeed(batch_size=4)
    assert run.codes("WARNING") == ["new-fields"]
    assert {row["ats"] for row in run.records} == {None}
    assert len(run.ids) == 20
    assert len(tap.succeed(state=run.state).ids) == 8


@pytest.mark.parametrize("size", [20, 5, 2])
def test_a_field_that_is_gone_from_an_api_with_nulls_is_a_changed_format(
    hiring: Sandbox, tmp_path: Path, size: int
) -> None:
    spoil(hiring, "career_sites", without_ats)
    for key in hiring.world.rows():
        hiring.world.touch(key, crunchbase_url=None)
    run = tap_of(hiring, tmp_path, "career_sites").run(batch_size=size)
    assert error_code(run) == "format-changed"
    assert "'ats'" in complaint(run)
    assert run.records == []


@pytest.mark.parametrize(
    ("stream", "name"),
    [("jobs", "apply_url"), ("jobs", "updated_at"), ("career_sites", "logo_url")],
)
def test_a_field_under_another_name_in_all_rows_is_missing_and_new(
    hiring: Sandbox, tmp_path: Path, stream: str, name: str
) -> None:
    for key in hiring.world.rows():
        hiring.world.touch(key, crunchbase_url=None)
    spoil(hiring, stream, in_camel_case(name))
    run = tap_of(hiring, tmp_path, stream).succeed(batch_size=5, jobs_batch_size=5)
    assert run.codes("WARNING").count("new-fields") == 2
    rows = rows_of(run, stream).values()
    assert {row[name] for row in rows} == {None}
    assert all(camel(name) in row["_rescued_data"] for row in rows)


def test_a_field_that_is_never_null_under_another_name_stops(
    hiring: Sandbox, tmp_path: Path
) -> None:
    for key in hiring.world.rows():
        hiring.world.touch(key, crunchbase_url=None)
    spoil(hiring, "career_sites", in_camel_case("listing_url"))
    run = tap_of(hiring, tmp_path, "career_sites").run()
    assert error_code(run) == "format-changed"
    assert run.records == []


@pytest.mark.parametrize(("size", "is_full"), [(20, True), (21, False)])
def test_a_field_is_missing_only_if_a_full_page_lacks_it(
    hiring: Sandbox, tmp_path: Path, size: int, *, is_full: bool
) -> None:
    def change(body: Json) -> Json:
        for row in rows_in(body):
            del row["logo_url"]
        return body

    for key in hiring.world.rows():
        hiring.world.touch(key, crunchbase_url=None)
    spoil(hiring, "career_sites", change)
    run = tap_of(hiring, tmp_path, "career_sites").succeed(batch_size=size)
    assert ("new-fields" in run.codes("WARNING")) == is_full


TRUNCATED: dict[str, Change] = {
    "ids alone": lambda row: {"id": row["id"]},
    "JSON:API": lambda row: {"id": row["id"], "type": "row", "attributes": row},
    "a summary": lambda row: {"id": row["id"], "name": "x", "title": "x", "ats": "x"},
}


@pytest.mark.parametrize("size", [20, 5, 2])
@pytest.mark.parametrize("change", TRUNCATED.values(), ids=TRUNCATED)
@pytest.mark.parametrize("stream", BILLED)
def test_rows_without_most_documented_fields_are_a_changed_format(
    hiring: Sandbox, tmp_path: Path, stream: str, change: Change, size: int
) -> None:
    spoil(
        hiring,
        stream,
        lambda body: {**body, stream: [change(row) for row in rows_in(body)]},
    )
    tap = tap_of(hiring, tmp_path, stream)
    for _ in range(2):
        run = tap.run(batch_size=size, jobs_batch_size=size)
        line = complaint(run)
        assert error_code(run) == "format-changed"
        assert commands_in(line) == [["drop", stream, "1"]]
        assert run.records == []
    assert len(hiring.requests_to(stream)) == 1


@pytest.mark.parametrize("size", [1, 5, 50])
@pytest.mark.parametrize("stream", BILLED)
def test_ordinary_rows_without_nulls_are_no_changed_format(
    hiring: Sandbox, tmp_path: Path, stream: str, size: int
) -> None:
    spoil(hiring, stream, without_nulls)
    run = tap_of(hiring, tmp_path, stream).succeed(batch_size=size, jobs_batch_size=size)
    assert len(run.ids if stream == "career_sites" else rows_of(run, stream)) in {20, 90}


def test_explicit_nulls_in_most_fields_are_data(jobs_tap: Tap, hiring: Sandbox) -> None:
    def change(body: Json) -> Json:
        rows = [dict.fromkeys(row) | {"id": row["id"]} for row in body["jobs"]]
        return {**body, "jobs": rows}

    spoil(hiring, "jobs", change)
    rows = rows_of(jobs_tap.succeed(), "jobs")
    assert len(rows) == 90
    assert {row["title"] for row in rows.values()} == {None}


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, {"id": 7}, {"error": "x"}])
def test_an_odd_row_does_not_hide_another_format(
    hiring: Sandbox, tmp_path: Path, odd: object
) -> None:
    def change(body: Json) -> Json:
        return {**body, "jobs": [odd, *({"id": row["id"]} for row in body["jobs"][1:])]}

    spoil(hiring, "jobs", change)
    run = tap_of(hiring, tmp_path, "jobs").run()
    assert error_code(run) == "format-changed"
    assert run.records == []


def test_fields_of_nested_objects_under_another_name_are_rescued(
    jobs_tap: Tap, hiring: Sandbox
) -> None:
    def change(body: Json) -> Json:
        for row in body["jobs"]:
            row["company"] = camel_case(row["company"])
        return body

    spoil(hiring, "jobs", change)
    run = jobs_tap.succeed()
    assert "new-fields" in run.codes("WARNING")
    rows = rows_of(run, "jobs").values()
    assert all("company.detailsUrl" in row["_rescued_data"] for row in rows)


def test_a_field_with_another_name_in_some_rows_is_rescued(hiring: Sandbox, tmp_path: Path) -> None:
    def change(body: Json) -> Json:
        in_camel_case("logo_url")({"career_sites": body["career_sites"][1:]})
        return body

    spoil(hiring, "career_sites", change)
    run = tap_of(hiring, tmp_path, "career_sites").succeed()
    assert sum("logoUrl" in (row["_rescued_data"] or "") for row in run.records) == 19


@pytest.mark.parametrize("depth", [480, 960])
@pytest.mark.parametrize("has_bad_id", [False, True])
def test_a_deeply_nested_unknown_field_is_no_crash(
    hiring: Sandbox, tmp_path: Path, depth: int, *, has_bad_id: bool
) -> None:
    rows = without_nulls([*hiring.world.rows().values()])
    for row in rows:
        row["extra"] = "DEEP"
        del row["ats"]
    if has_bad_id:
        rows[0]["id"] = 7
    text = json.dumps({"career_sites": rows, "has_more": False})
    text = text.replace('"DEEP"', "[" * depth + "]" * depth)
    hiring.faults.add(Fault(garbage=text), endpoint="career_sites")
    run = tap_of(hiring, tmp_path, "career_sites").run()
    assert "Traceback" not in run.stderr
    assert (run.returncode, len(run.ids)) == (0, 19 if has_bad_id else 20)


# The last page

EMPTY: Json = {"jobs": [], "has_more": False, "next_cursor": None}
ENDS: dict[str, Json] = {
    "no list": {"has_more": False},
    "null": {"jobs": None, "has_more": False, "next_cursor": None},
    "an empty cursor": {"jobs": None, "has_more": False, "next_cursor": "", "estimated_total": 0},
    "no error": EMPTY | {"error": None},
    "no errors": EMPTY | {"errors": []},
    "another member": EMPTY | {"took_ms": 3},
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_empty_last_page_in_another_form_ends_the_sync(
    jobs_tap: Tap, hiring: Sandbox, end: Json
) -> None:
    state = jobs_tap.succeed().state
    spoil(hiring, "jobs", end)
    run = jobs_tap.succeed(state=state, lookback_minutes=0)
    assert (run.records, run.lines("WARNING")) == ([], [])
    assert jobs_tap.succeed(state=run.state, lookback_minutes=0).records == []


def test_an_empty_last_page_that_was_billed_is_kept(jobs_tap: Tap, hiring: Sandbox) -> None:
    spoil(hiring, "jobs", ENDS["null"])
    for _ in range(2):
        run = jobs_tap.run()
        assert error_code(run) == "format-changed"
    assert commands_in(complaint(run)) == [["drop", "jobs", "1"]]
    assert amounts_in(complaint(run)) == {"$0.12"}
    assert len(hiring.requests_to("jobs")) == 1


def test_a_try_that_cost_nothing_is_not_possibly_billed(jobs_tap: Tap, hiring: Sandbox) -> None:
    hiring.jobs_plan = "unlimited"
    hiring.faults.add(Fault(replace={"error": "Busy"}), endpoint="jobs")
    run = jobs_tap.run_quickly()
    (line,) = run.messages_of("WARNING", "")
    assert re.fullmatch(r"jobs: .*\. Retry 1 of 2 in \S+ s\.", line)
    assert "billed" not in line
    assert len(rows_of(run, "jobs")) == 90


def test_an_error_beside_an_empty_list_never_completes_a_sync(
    jobs_tap: Tap, hiring: Sandbox
) -> None:
    state = jobs_tap.succeed().state
    spoil(hiring, "jobs", EMPTY | {"error": "timeout"})
    run = jobs_tap.run_quickly(state=state)
    assert "(timeout)" in complaint(run)
    assert run.states[-1:] in ([], [state])


@pytest.mark.parametrize("named", [{"error": "Timed out"}, {"errors": ["Timed out"]}])
@pytest.mark.parametrize("stream", [*BILLED, "expired_jobs"])
def test_an_error_beside_rows_is_one_warning(
    hiring: Sandbox, tmp_path: Path, stream: str, named: Json
) -> None:
    spoil(hiring, stream, lambda body: {**body, **named})
    tap = tap_of(hiring, tmp_path, stream)
    run = tap.succeed(batch_size=5, jobs_batch_size=20)
    (line,) = run.messages_of("WARNING", "missing-rows")
    assert f" of {stream} has an error" in line
    assert_buys_again(line, stream)
    assert len(rows_of(run, stream)) == {"career_sites": 20, "jobs": 90}.get(stream, 4)


def test_a_full_last_page_with_a_cursor_is_complete_with_a_warning(
    jobs_tap: Tap, hiring: Sandbox
) -> None:
    spoil(hiring, "jobs", lambda body: {**body, "has_more": False})
    run = jobs_tap.succeed()
    (line,) = run.messages_of("WARNING", "missing-rows")
    assert "'next_cursor'" in line
    assert len(rows_of(run, "jobs")) == 40
    assert "sync complete" in run.summaries["jobs"]


def test_a_short_last_page_with_a_cursor_is_no_warning(jobs_tap: Tap, hiring: Sandbox) -> None:
    def change(body: Json) -> Json:
        return {**body, "next_cursor": body["next_cursor"] or "x"}

    spoil(hiring, "jobs", change)
    assert jobs_tap.succeed().codes("WARNING") == ["no-jobs-filter"]


@pytest.mark.parametrize("stream", BILLED)
def test_a_cursor_that_leads_to_nothing_is_a_warning(
    hiring: Sandbox, tmp_path: Path, stream: str
) -> None:
    tap = tap_of(hiring, tmp_path, stream)
    tap.settings |= {"batch_size": 5, "jobs_batch_size": 5}
    first = tap.succeed(max_credits=250 if stream == "career_sites" else 15)
    empty = {stream: [], "has_more": False, "next_cursor": None}
    spoil(hiring, stream, empty, headers={"X-Credits-Deducted": "0"})
    run = tap.succeed(state=first.state)
    (line,) = [
        each for each in run.messages_of("WARNING", "missing-rows") if f" {stream} is empty" in each
    ]
    assert_buys_again(line, stream)
    assert bookmark_of(run, stream)["replication_key_value"]


@pytest.mark.parametrize("stream", [*BILLED, "managed_jobs"])
def test_a_first_sync_without_rows_is_a_warning(
    hiring: Sandbox, tmp_path: Path, stream: str
) -> None:
    none = {"career_sites": [], "jobs": [], "has_more": False, "next_cursor": None}
    hiring.faults.add(Fault(replace=none, headers={"X-Credits-Deducted": "0"}, times=None))
    tap = tap_of(hiring, tmp_path, stream)
    run = tap.succeed()
    (line,) = run.messages_of("WARNING", "missing-rows")
    assert f"first sync of {stream}" in line
    assert (run.states, commands_in(line)) == ([], [])  # the next run buys everything anyway
    tap.settings |= {"start_date": "2026-01-01", "archive": False}
    assert tap.succeed().codes("WARNING") == ["no-jobs-filter"] * (stream == "jobs")


def test_the_rows_that_a_first_sync_misses_arrive_with_the_next_run(tap: Tap) -> None:
    none = {"career_sites": [], "has_more": False, "next_cursor": None}
    tap.sandbox.faults.add(Fault(replace=none, headers={"X-Credits-Deducted": "0"}))
    assert tap.succeed().records == []
    run = tap.succeed()
    assert {*run.ids} == tap.sandbox.world.rows().keys()
    assert {*tap.succeed().ids} == {*run.ids}


def test_no_expired_job_is_no_warning(hiring: Sandbox, tmp_path: Path) -> None:
    spoil(hiring, "expired_jobs", {"job_ids": [], "has_more": False, "next_cursor": None})
    assert tap_of(hiring, tmp_path, "expired_jobs").succeed().lines("WARNING") == []


# The connection check


def with_bad_ids(body: Json) -> Json:
    for row in rows_in(body):
        row["id"] = 7
    return body


UNUSABLE: dict[str, tuple[Change, str]] = {
    "envelope": (camel_case, "missing required field"),
    "ids": (with_bad_ids, "usable 'id'"),
}


@pytest.mark.parametrize(("change", "why"), UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("stream", BILLED)
def test_the_connection_check_fails_for_one_row_where_a_run_would_for_a_page(
    hiring: Sandbox, tmp_path: Path, stream: str, change: Change, why: str
) -> None:
    spoil(hiring, stream, change)
    run = tap_of(hiring, tmp_path, stream).run("--test")
    assert error_code(run) == "format-changed"
    line = complaint(run)
    assert why in line
    assert stream in line
    assert amounts_in(line) == {"$0.05" if stream == "career_sites" else "$0.003"}
    assert (run.records, hiring.rows_billed) == ([], 1)


@pytest.mark.parametrize("stream", BILLED)
def test_the_connection_check_accepts_a_row_with_few_fields(
    hiring: Sandbox, tmp_path: Path, stream: str
) -> None:
    def change(body: Json) -> Json:
        names = {"id", "name", "title", "ats", "source", "listing_url"}
        rows = [{name: row[name] for name in row.keys() & names} for row in rows_in(body)]
        return {**body, stream: rows}

    spoil(hiring, stream, change)
    assert len(tap_of(hiring, tmp_path, stream).succeed("--test").records) == 1


# Messages


def test_a_page_that_cost_nothing_never_costs_anything_again(
    jobs_tap: Tap, hiring: Sandbox
) -> None:
    hiring.jobs_plan = "unlimited"
    spoil(hiring, "jobs", camel_case)
    line = complaint(jobs_tap.run())
    assert commands_in(line) == [["drop", "jobs", "1"]]
    assert amounts_in(line) == {"$0.00"}


def test_402_says_what_was_asked_up_front_and_what_the_account_has(
    jobs_tap: Tap, hiring: Sandbox
) -> None:
    hiring.balance = 1_890
    run = jobs_tap.run(jobs_batch_size=1_000)
    assert error_code(run) == "balance-too-low"
    assert "balance ($1.89)" in complaint(run)
    assert "jobs costs $3.00" in complaint(run)
    hiring.error_shape, hiring.omit_credit_headers = "text", True
    run = jobs_tap.run(jobs_batch_size=1_000)
    assert error_code(run) == "balance-too-low"
    assert "page of jobs" in complaint(run)
    assert amounts_in(complaint(run)) == set()
