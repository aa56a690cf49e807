"""Pages as the real API may have them: in another form, and what the tap makes of each."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.streams.career_sites import CAREER_SITES
from tests.archive.helpers import archive_command
from tests.support import Json, Tap, commands_in, tap_of
from tests.support.crash import finish

pytestmark = pytest.mark.slow

Change = Callable[[Json], Any]
BILLED = ("career_sites", "jobs")
"""Streams whose pages have a list of the same name."""


def camel(name: str) -> str:
    return re.sub("_(.)", lambda found: found[1].upper(), name)


def camel_case(value: Any) -> Any:
    """The same JSON with the names that another serializer writes."""
    if isinstance(value, dict):
        return {camel(name): camel_case(member) for name, member in value.items()}
    return [camel_case(each) for each in value] if isinstance(value, list) else value


def list_in(body: Json) -> str:
    """The name of the list of rows."""
    return next(name for name in BILLED if name in body)


def rows_in(body: Json) -> list[Json]:
    rows: list[Json] = body[list_in(body)]
    return rows


def without_nulls(value: Any) -> Any:
    """The same JSON as .NET writes it if it is told to leave out nulls."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def spoil(sandbox: Sandbox, endpoint: str, change: object, **more: Any) -> None:
    sandbox.faults.add(Fault(replace=change, times=None, **more), endpoint=endpoint)


# Rows


def each_row(change: Callable[[Json], Any]) -> Change:
    """Change each row."""
    return lambda body: {**body, list_in(body): [change(row) for row in rows_in(body)]}


def without(name: str) -> Change:
    """Leave a field out of each row."""
    return each_row(lambda row: {key: row[key] for key in row if key != name})


def after(odd: object) -> Change:
    """An odd row, and then ids alone."""
    return lambda body: {**body, "jobs": [odd, *({"id": row["id"]} for row in rows_in(body)[1:])]}


def few_fields(count: int, bad: int = 0) -> Change:
    """Some career sites with no more than the fields that are never null, and some bad ids."""
    names = ("id", *CAREER_SITES.never_null)

    def change(body: Json) -> Json:
        rows = [{name: row[name] for name in names} for row in rows_in(body)[:count]]
        return {**body, "career_sites": [*rows, *[{"id": 7}] * bad]}

    return change


def in_every_body(**members: object) -> Change:
    """Change members of each page."""
    return lambda body: {**body, **members}


TRUNCATED: list[Change] = [
    each_row(lambda row: {"id": row["id"]}),
    each_row(lambda row: {"id": row["id"], "type": "row", "attributes": row}),  # JSON:API
    each_row(lambda row: {"id": row["id"], "name": "x", "title": "x", "ats": "x"}),  # a summary
]
RENAMED = each_row(
    lambda row: {camel(key) if key == "updated_at" else key: row[key] for key in row}
)
ERRORS = in_every_body(errors=["Timed out"])


DELIVERED: list[tuple[str, int, Change, list[str], int]] = [
    ("jobs", 20, each_row(lambda row: dict.fromkeys(row) | {"id": row["id"]}), [], 90),
    ("jobs", 5, without_nulls, [], 90),
    ("jobs", 5, RENAMED, ["new-fields"] * 2, 90),
    ("career_sites", 20, without("logo_url"), ["new-fields"], 20),
    ("career_sites", 21, without("logo_url"), [], 20),  # on a page that is not full
    ("career_sites", 50, few_fields(4), ["unexpected-bill"], 4),  # 20 were billed
    ("career_sites", 50, few_fields(3, bad=1), ["unexpected-bill"], 3),
    ("career_sites", 5, ERRORS, ["missing-rows"], 20),
    ("jobs", 20, ERRORS, ["missing-rows"], 90),
    ("expired_jobs", 0, ERRORS, ["missing-rows"], 4),
    ("jobs", 40, in_every_body(has_more=False), ["missing-rows"], 40),  # and a cursor
    ("jobs", 40, lambda body: body | {"next_cursor": body["next_cursor"] or "x"}, [], 90),
    ("expired_jobs", 0, in_every_body(job_ids=[]), [], 0),
]
STOPPED: list[tuple[str, int, Change]] = [
    ("career_sites", 2, few_fields(2)),
    *(("career_sites", 50, few_fields(5 - bad, bad)) for bad in (0, 1, 5)),
    ("career_sites", 2, without("ats")),
    ("career_sites", 20, lambda body: without_nulls(without("ats")(body))),
    *(("career_sites", size, change) for size in (20, 2) for change in TRUNCATED),
    ("jobs", 20, TRUNCATED[0]),
    ("expired_jobs", 50, camel_case),
    *(("jobs", 50, after(odd)) for odd in (None, 7, {}, {"id": 7})),
]


@pytest.fixture
def with_nulls(hiring: Sandbox) -> Sandbox:
    """An API that does not leave nulls out."""
    for key in hiring.world.rows():
        hiring.world.touch(key, crunchbase_url=None)
    return hiring


@pytest.mark.parametrize(("stream", "size", "change", "warnings", "rows"), DELIVERED)
def test_rows_in_another_form_are_delivered(  # noqa: PLR0913, PLR0917 - a row of the table
    with_nulls: Sandbox,
    tmp_path: Path,
    stream: str,
    size: int,
    change: Change,
    warnings: list[str],
    rows: int,
) -> None:
    spoil(with_nulls, stream, change)
    sizes = {"batch_size": size, "jobs_batch_size": size} if size else {}
    run = tap_of(with_nulls, tmp_path, stream).succeed(**sizes)
    assert run.codes("WARNING") == warnings
    assert len(run.of(stream).rows) == rows
    assert "sync complete" in run.summaries[stream]
    for line in run.messages_of("WARNING", "missing-rows"):
        assert commands_in(line) == [["restart", stream]]


@pytest.mark.parametrize(("stream", "size", "change"), STOPPED)
def test_rows_without_most_documented_fields_are_a_changed_format(
    with_nulls: Sandbox, tmp_path: Path, stream: str, size: int, change: Change
) -> None:
    spoil(with_nulls, stream, change)
    run = tap_of(with_nulls, tmp_path, stream).fail(
        code="format-changed", batch_size=size, jobs_batch_size=size
    )
    assert commands_in(run.complaint) == [["drop", stream, "1"]]
    assert run.records == []
    assert len(with_nulls.requests_to(stream)) == 1


def test_a_page_whose_rows_were_erased_shows_no_format(hiring: Sandbox, tmp_path: Path) -> None:
    tap = tap_of(hiring, tmp_path, "career_sites")
    archive_command(tap, "erase", *tap.succeed().ids)
    run = tap.succeed()
    assert (run.records, run.codes("WARNING")) == ([], [])


@pytest.mark.parametrize("has_bad_id", [False, True])
def test_a_deeply_nested_unknown_field_is_no_crash(
    hiring: Sandbox, tmp_path: Path, *, has_bad_id: bool
) -> None:
    rows = without_nulls([*hiring.world.rows().values()])
    for row in rows:
        row["extra"] = "DEEP"
    if has_bad_id:
        rows[0]["id"] = 7
    text = json.dumps({"career_sites": rows, "has_more": False})
    text = text.replace('"DEEP"', "[" * 950 + "]" * 950)
    hiring.faults.add(Fault(garbage=text), endpoint="career_sites")
    tap = tap_of(hiring, tmp_path, "career_sites")
    tap.settings["batch_size"] = 20  # a full page is searched for nulls
    run = finish(tap.start())  # with all of the stack
    assert "Traceback" not in run.stderr
    assert (run.returncode, len(run.ids)) == (0, 19 if has_bad_id else 20)


# The last page

EMPTY: Json = {"jobs": [], "has_more": False, "next_cursor": None}
NULL = EMPTY | {"jobs": None}


@pytest.mark.parametrize(
    "end", [NULL, EMPTY | {"error": None, "errors": []}, EMPTY | {"took_ms": 3}]
)
def test_an_empty_last_page_in_another_form_ends_the_sync(
    jobs_tap: Tap, hiring: Sandbox, end: Json
) -> None:
    state = jobs_tap.succeed().state
    spoil(hiring, "jobs", end)
    run = jobs_tap.succeed(state=state, lookback_minutes=0)
    assert (run.records, run.lines("WARNING")) == ([], [])
    assert "sync complete" in run.summaries["jobs"]


def test_an_empty_last_page_that_was_billed_is_kept(jobs_tap: Tap, hiring: Sandbox) -> None:
    spoil(hiring, "jobs", NULL)
    for _ in range(2):
        run = jobs_tap.fail(code="format-changed")
    assert commands_in(run.complaint) == [["drop", "jobs", "1"]]
    assert " ($0.12) " in run.complaint
    assert len(hiring.requests_to("jobs")) == 1


@pytest.mark.parametrize("stream", BILLED)
def test_a_cursor_that_leads_to_nothing_is_a_warning(
    hiring: Sandbox, tmp_path: Path, stream: str
) -> None:
    tap = tap_of(hiring, tmp_path, stream)
    tap.settings |= {"batch_size": 5, "jobs_batch_size": 5}
    first = tap.succeed(max_credits=250 if stream == "career_sites" else 15)
    empty = EMPTY | {"career_sites": []}
    spoil(hiring, stream, empty, headers={"X-Credits-Deducted": "0"})
    run = tap.succeed(state=first.state)
    line = run.messages_of("WARNING", "missing-rows")[-1]
    assert commands_in(line) == [["restart", stream]]
    assert run.of(stream).bookmark["replication_key_value"]


@pytest.mark.parametrize("stream", [*BILLED, "managed_jobs"])
def test_a_first_sync_without_rows_is_a_warning(
    hiring: Sandbox, tmp_path: Path, stream: str
) -> None:
    none = EMPTY | {"career_sites": []}
    hiring.faults.add(Fault(replace=none, headers={"X-Credits-Deducted": "0"}, times=None))
    tap = tap_of(hiring, tmp_path, stream)
    run = tap.succeed()
    (line,) = run.messages_of("WARNING", "missing-rows")
    assert (run.states, commands_in(line)) == ([], [])  # the next run buys everything anyway
    tap.settings |= {"start_date": "2026-01-01", "archive": False}
    assert tap.succeed().codes("WARNING") == []


# The connection check


@pytest.mark.parametrize("change", [camel_case, each_row(lambda row: {**row, "id": 7})])
@pytest.mark.parametrize("stream", BILLED)
def test_the_connection_check_fails_for_one_row_where_a_run_would_for_a_page(
    hiring: Sandbox, tmp_path: Path, stream: str, change: Change
) -> None:
    spoil(hiring, stream, change)
    run = tap_of(hiring, tmp_path, stream).fail("--test", code="format-changed")
    assert f" ({'$0.05' if stream == 'career_sites' else '$0.003'}) " in run.complaint
    assert (run.records, hiring.rows_billed) == ([], 1)


@pytest.mark.parametrize("stream", BILLED)
def test_the_connection_check_accepts_a_row_with_few_fields(
    hiring: Sandbox, tmp_path: Path, stream: str
) -> None:
    names = {"id", "name", "title", "ats", "source", "listing_url"}
    spoil(hiring, stream, each_row(lambda row: {name: row[name] for name in row.keys() & names}))
    assert len(tap_of(hiring, tmp_path, stream).succeed("--test").records) == 1
