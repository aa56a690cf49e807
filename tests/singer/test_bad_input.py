"""Input that is whole but not what it should be: each costs one sentence and no request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault
from tests.support import COMMAND, complaint, discover, entry_of, execute, state_at
from tests.support.companies import ids_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobo_sandbox import Sandbox
    from tests.support import Tap

STATE = state_at("2026-01-31T08:00:00Z")


@pytest.mark.parametrize(
    "state", [{"type": "STATE", "value": STATE}, {"singer_state": STATE}, {"career_sites": {}}]
)
def test_wrapped_state_is_rejected_and_bills_nothing(
    tap: Tap, sandbox: Sandbox, state: object
) -> None:
    assert "'bookmarks'" in complaint(tap.run(state=state))
    assert sandbox.ledger == []


def test_state_of_another_stream_logs_a_warning(tap: Tap) -> None:
    run = tap.run(state={"bookmarks": {"career-sites": {}}})
    (warning,) = run.lines("WARNING")
    assert "'career-sites'" in warning
    assert "synced from the start" in warning


@pytest.mark.parametrize("stream", ["jobs", "companies"])
def test_state_of_another_stream_of_the_tap_is_usual(tap: Tap, stream: str) -> None:
    assert tap.run(state={"bookmarks": {stream: {}}}).lines("WARNING") == []


def _without_schema(entry: dict[str, Any]) -> None:
    del entry["schema"]


def _without_id(entry: dict[str, Any]) -> None:
    del entry["schema"]["properties"]["id"]


def _deselect_id(entry: dict[str, Any]) -> None:
    for item in entry["metadata"]:
        if item["breadcrumb"][-1:] == ["id"]:
            item["metadata"].update(inclusion="available", selected=False)


def _rename(entry: dict[str, Any]) -> None:
    entry["stream"] = "sites"


def _without_breadcrumbs(entry: dict[str, Any]) -> None:
    for item in entry["metadata"]:
        del item["breadcrumb"]


@pytest.mark.parametrize(
    "spoil", [_without_schema, _without_id, _deselect_id, _rename, _without_breadcrumbs]
)
def test_a_catalog_that_would_break_the_run_is_refused(
    tap: Tap, sandbox: Sandbox, spoil: Callable[[dict[str, Any]], None]
) -> None:
    catalog = discover(tap.folder)
    spoil(entry_of(catalog))
    assert "catalog" in complaint(tap.run(catalog=catalog))
    assert sandbox.ledger == []


@pytest.mark.parametrize("streams", ["x", None, ["x"], [{}]])
def test_invalid_catalog_is_rejected(tap: Tap, sandbox: Sandbox, streams: object) -> None:
    assert "'streams'" in complaint(tap.run(catalog={"streams": streams}))
    assert sandbox.ledger == []


def test_settings_in_place_of_their_file_are_not_shown(tap: Tap, sandbox: Sandbox) -> None:
    inline = json.dumps({"api_key": sandbox.api_key})
    run = execute([str(COMMAND), "--config", inline], tap.environment())
    assert "--config" in complaint(run)


def test_cursor_that_cannot_be_sent_back_is_a_broken_response(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(replace=lambda body: {**body, "next_cursor": "\ud800"}))
    assert "'next_cursor'" in complaint(tap.run())


def test_bad_rows_do_not_reduce_the_row_count(tap: Tap, sandbox: Sandbox) -> None:
    catalog = discover(tap.folder)
    for item in entry_of(catalog, "companies")["metadata"]:
        if not item["breadcrumb"]:
            item["metadata"]["selected"] = True
    sandbox.faults.add(
        Fault(replace=lambda body: {**body, "career_sites": [{"id": "x"}, *body["career_sites"]]})
    )
    sandbox.faults.add(Fault(status=403, times=None), endpoint="profile")
    run = tap.run(catalog=catalog)
    assert run.returncode == 1
    # The rows of the page were written, although its state was not: the page comes again.
    assert run.metrics["record_count"] == len(ids_of(run, "career_sites")) == 50
    assert run.metrics["jobo_rows_skipped"] == 1
    assert "50 rows in 1 page, 1 skipped, 1 quarantined, " in run.stderr


def test_state_with_a_misspelled_member_is_rejected(tap: Tap, sandbox: Sandbox) -> None:
    state = {"bookmarks": {"career_sites": {"bookmark": "2026-01-31T08:00:00Z"}}}
    assert "career_sites" in complaint(tap.run(state=state))
    assert sandbox.ledger == []


def test_leftovers_of_the_sdk_in_a_state_are_ignored(tap: Tap) -> None:
    junk = {"partitions": 5, "progress_markers": "x"}
    run = tap.run(state=state_at("2026-01-31T08:00:00Z", **junk))
    assert run.returncode == 0, run.stderr
    assert not junk.keys() & run.bookmark.keys()


def test_a_key_in_place_of_an_option_is_not_shown(tap: Tap, sandbox: Sandbox) -> None:
    for args in (["ENV", sandbox.api_key], ["ENV", "--catalog", sandbox.api_key]):
        run = execute([str(COMMAND), "--config", *args], tap.environment())
        assert run.returncode != 0
        assert sandbox.api_key not in run.stdout + run.stderr
