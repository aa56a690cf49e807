from __future__ import annotations

import json
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api.json_body import NotJsonError, parse_json
from tap_jobo.api.page import read_page
from tap_jobo.errors import ApiError
from tests.support import Tap, complaint, state_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobo_sandbox.order import Order

    Body = dict[str, Any]

OLD = "2020-01-01T00:00:00.000000Z"
FILTERS: dict[str, Any] = {
    "industries": ["biotech", "education", "fintech", "gaming", "healthcare", "saas", "travel"],
    "company_sizes": ["1-10", "1001-5000", "11-50", "201-500", "51-200"],
    "country_codes": ["DE", "FR", "GB", "US"],
    "funding_stages": ["pre_seed", "seed", "series_a", "series_b"],
    "company_types": ["for_profit"],
    "founded_after": 1960,
    "is_agency": False,
}
TRAITS = {
    "company_sizes": "company_size",
    "country_codes": "country_code",
    "funding_stages": "funding_stage",
    "company_types": "company_type",
}


def _matches(traits: dict[str, Any]) -> bool:
    return (
        bool(set(traits["industries"]) & set(FILTERS["industries"]))
        and all(traits[trait] in FILTERS[name] for name, trait in TRAITS.items())
        and (traits["founded_year"] or 0) >= 1960
        and not traits["is_agency"]
    )


def test_request_is_as_documented(tap: Tap, sandbox: Sandbox) -> None:
    tap.run()
    request = sandbox.ledger[0]
    assert request.endpoint == "feed"  # which is only there for a POST of the documented path
    assert request.headers["x-api-key"] == sandbox.api_key
    assert f"tap-jobo/{version('tap-jobo')}" in request.headers["user-agent"].split()
    assert request.headers["content-type"] == "application/json"
    assert request.body == {"batch_size": 50}


def test_slash_at_the_end_of_api_url_makes_no_difference(tap: Tap, sandbox: Sandbox) -> None:
    run = tap.run(api_url=sandbox.url + "/")
    assert run.returncode == 0
    assert len(run.ids) == 120


def test_proxy_of_the_environment_does_not_see_requests_to_this_machine(tap: Tap) -> None:
    dead = "http://127.0.0.1:1"
    run = tap.run(env={"http_proxy": dead, "HTTP_PROXY": dead, "ALL_PROXY": dead, "no_proxy": ""})
    assert run.returncode == 0
    assert len(run.ids) == 120


def test_every_page_repeats_filters_window_and_page_size_beside_the_cursor(
    tap: Tap, sandbox: Sandbox
) -> None:
    tap.run(**FILTERS, start_date="2020-01-01", batch_size=2)
    bodies = [request.body for request in sandbox.ledger]
    cursors = [body.pop("cursor", None) for body in bodies]
    assert len(bodies) >= 3
    assert cursors[0] is None
    assert all(cursors[1:])
    assert len(set(cursors)) == len(cursors)
    repeated = {**FILTERS, "updated_after": "2019-12-31T23:59:59.999000Z", "batch_size": 2}
    assert bodies == [repeated] * len(bodies)


def test_filters_choose_the_rows(tap: Tap, sandbox: Sandbox) -> None:
    run = tap.run(**FILTERS)
    companies = {key: sandbox.world.company(key) for key in sandbox.world.rows()}
    expected = {key for key, company in companies.items() if company and _matches(company.traits)}
    assert 0 < len(expected) < 120
    assert sorted(run.ids) == sorted(expected)


@pytest.mark.parametrize("order", ["id", "updated_asc", "updated_desc"])
def test_full_sync_emits_every_row_once(tmp_path: Path, order: Order) -> None:
    with Sandbox(size=230, seed=3, order=order) as sandbox:
        run = Tap(sandbox, tmp_path).run()
        assert run.returncode == 0
        rows = sandbox.world.rows()
        assert sorted(run.ids) == sorted(rows)
        assert all(rows[row["id"]] == {**row} for row in _without_updated_at(run.records))
        assert sandbox.rows_billed == 230


def _without_updated_at(records: list[Body]) -> list[Body]:
    return [{k: v for k, v in record.items() if k != "updated_at"} for record in records]


def test_feed_without_any_row_is_a_complete_scan(tmp_path: Path) -> None:
    with Sandbox(size=0) as sandbox:
        run = Tap(sandbox, tmp_path).run()
    assert run.returncode == 0
    assert run.ids == []
    assert run.bookmark["replication_key_value"]


def test_empty_page_is_not_the_end(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.empty_every = 2
    run = tap.run()
    assert run.returncode == 0
    assert [len(request.row_ids) for request in sandbox.ledger] == [50, 0, 50, 0, 20]
    assert sorted(run.ids) == sorted(sandbox.world.rows())


def test_empty_page_without_more_is_the_end(tap: Tap, sandbox: Sandbox) -> None:
    end: Body = {"career_sites": [], "next_cursor": None, "has_more": False}
    sandbox.faults.add(Fault(replace=end), on=2)
    run = tap.run()
    assert run.returncode == 0
    assert run.bookmark["replication_key_value"]
    assert len(sandbox.ledger) == 2


def test_page_without_more_is_the_end_though_it_has_a_cursor(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(replace=lambda body: {**body, "has_more": False}), on=2)
    run = tap.run()
    assert run.returncode == 0
    assert len(run.ids) == 100
    assert len(sandbox.ledger) == 2


def _without(name: str) -> Callable[[Body], Body]:
    return lambda body: {key: value for key, value in body.items() if key != name}


def _with(**members: object) -> Callable[[Body], Body]:
    return lambda body: {**body, **members}


BROKEN: dict[str, Callable[[Body], object]] = {
    "no has_more": _without("has_more"),
    "has_more null": _with(has_more=None),
    "has_more text": _with(has_more="false"),
    "has_more number": _with(has_more=0),
    "no next_cursor": _without("next_cursor"),
    "next_cursor null": _with(next_cursor=None),
    "next_cursor empty": _with(next_cursor=""),
    "next_cursor number": _with(next_cursor=7),
    "next_cursor with NUL": _with(next_cursor="a\0"),
    "next_cursor with half a character": _with(next_cursor="a\ud800"),
    "no career_sites": _without("career_sites"),
    "career_sites null": _with(career_sites=None),
    "career_sites object": _with(career_sites={}),
    "a list": lambda body: [body],
    "a text": lambda _: "rows",
    "null": lambda _: None,
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_broken_envelope_is_no_page(broken: Callable[[Body], object]) -> None:
    body = {"career_sites": [], "next_cursor": "next", "has_more": True}
    assert read_page(json.dumps(body).encode(), None).next_cursor == "next"
    with pytest.raises(ApiError, match="Jobo's answer"):
        read_page(json.dumps(broken(body)).encode(), None)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"career_sites": [', b"[" * 100_000])
def test_body_that_is_not_json_may_have_broken_on_its_way(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        read_page(body, None)


def test_json_is_read_though_some_of_it_is_not_utf_8() -> None:
    assert parse_json(b'{"detail": "Caf\xe9"}') == {"detail": "Caf\ufffd"}


@pytest.mark.parametrize(
    "name",
    ["no has_more", "next_cursor null", "no career_sites", "null"],
)
def test_broken_envelope_ends_the_run_with_the_bookmark_where_it_was(
    tap: Tap, sandbox: Sandbox, name: str
) -> None:
    sandbox.faults.add(Fault(replace=BROKEN[name]), on=2)
    run = tap.run(state=state_at(OLD))
    assert "Jobo's answer" in complaint(run)
    assert len(sandbox.ledger) == 2
    assert len(run.ids) == 50
    assert run.bookmark["replication_key_value"] == OLD
    assert run.bookmark["scan"]["cursor"] == sandbox.ledger[1].cursor


def test_broken_envelope_on_the_first_page_leaves_no_bookmark(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(replace=_without("has_more")))
    run = tap.run()
    complaint(run)
    assert run.ids == []
    assert not any(state["bookmarks"].get("career_sites") for state in run.states)


def test_cursor_that_was_just_used_ends_the_run(tap: Tap, sandbox: Sandbox) -> None:
    def same(body: Body) -> Body:
        return {**body, "next_cursor": sandbox.ledger[1].cursor}

    sandbox.faults.add(Fault(replace=same), on=2)
    run = tap.run(state=state_at(OLD))
    assert "just used" in complaint(run)
    assert len(sandbox.ledger) == 2
    assert run.bookmark["replication_key_value"] == OLD


def _lead_back_to_the_second_page(sandbox: Sandbox) -> None:
    def first_cursor(body: Body) -> Body:
        return {**body, "next_cursor": sandbox.ledger[1].cursor}

    sandbox.faults.add(Fault(replace=first_cursor), on=3)


def test_cursor_of_an_earlier_page_ends_the_run(tap: Tap, sandbox: Sandbox) -> None:
    _lead_back_to_the_second_page(sandbox)
    run = tap.run(state=state_at(OLD), batch_size=20, journal=False)
    assert "cursor" in complaint(run)
    assert len(sandbox.ledger) == 3
    assert run.bookmark["replication_key_value"] == OLD


def test_cursor_of_an_earlier_page_does_not_replay_the_journal_for_ever(
    tap: Tap, sandbox: Sandbox
) -> None:
    _lead_back_to_the_second_page(sandbox)
    with tap.start(batch_size=20) as process:
        assert process.stdout
        lines = list(islice(process.stdout, 200))
        process.kill()
    assert sum('"RECORD"' in line for line in lines) <= 60
