"""The bookmark and the window that it opens, and states as they are stored."""

import json
import re
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.clock import format_timestamp
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.state import as_raw, read_state
from tests.archive.helpers import change, pass_time
from tests.support import Tap, discover, entry_of, state_until

OLD = "2020-01-01T00:00:00.000000Z"
MISSING = object()

SYNC: dict[str, Any] = {
    "id": "5",
    "reads": 1,
    "filters": 1,
    "since": "",
    "started": OLD,
    "kept": None,
    "order": None,
    "replaces": None,
    "restarts": 0,
    "batch_size": 50,
    "lookback": {"warehouse": "0f", "minutes": 15, "last": OLD},
}
WRITTEN: dict[str, Any] = {
    "replication_key": "updated_at",
    "replication_key_value": OLD,
    "owner": "api-live-1a2b3c4d",
    "offset": 2,
    "entry": "0f",
    "time": OLD,
    "gap": None,
    "warehouse": "0f",
    "position": {
        "reads": [{"filters": 0, "start": "", "until": OLD, "gap": None}],
        "progress": [{"sync": SYNC, "pages": 1, "rows": 50, "cursor": "c", "has_gap": False}],
        "is_begun": True,
        "order": "",
        "lookbacks": [SYNC["lookback"]],
        "filter_sets": [{"country_codes": ["DE"]}, {}],
    },
}


@pytest.mark.parametrize(
    ("has_read", "settings", "asked"),
    [
        (True, {}, "2019-12-31T23:44:59.999000Z"),
        (
            True,
            {"lookback_minutes": 90, "start_date": "2019-01-01"},
            "2019-12-31T22:29:59.999000Z",
        ),
        (True, {"start_date": OLD}, "2019-12-31T23:59:59.999000Z"),
        (True, {"start_date": "2020-02-01"}, "2020-01-31T23:59:59.999000Z"),
        (False, {"start_date": "2020-02-01T08:30:00+02:00"}, "2020-02-01T06:29:59.999000Z"),
        (False, {"start_date": "0001-01-01"}, None),
    ],
)
def test_a_window_starts_at_the_bookmark_less_the_lookback_but_not_before_the_start_date(
    tap: Tap, settings: dict[str, Any], asked: str | None, *, has_read: bool
) -> None:
    """`updated_after` is a millisecond earlier, as it excludes the instant itself."""
    run = tap.succeed(state=state_until(tap, OLD) if has_read else None, **settings)
    since = tap.sandbox.feed_requests[0].body.get("updated_after")
    assert asked is None or since == asked
    assert len(run.ids) == 120


def test_rows_before_the_window_are_one_warning_also_if_their_time_is_not_selected(
    tap: Tap, sandbox: Sandbox
) -> None:
    catalog = discover()
    for part in entry_of(catalog)["metadata"]:
        if part["breadcrumb"][-1:] == ["updated_at"]:
            part["metadata"]["selected"] = False
    sandbox.ignored = ["updated_after"]
    now = sandbox.now()
    for key in sandbox.world.rows():
        sandbox.world.touch(key, updated_at=format_timestamp(now - timedelta(hours=2)))
    state = state_until(tap, format_timestamp(now - timedelta(minutes=50)))
    run = tap.succeed(state=state, lookback_minutes=0, catalog=catalog)
    (warning,) = run.messages_of("WARNING", "unexpected-bill")
    since = sandbox.feed_requests[-1].body["updated_after"]
    for part in ("50 rows", "career_sites", f"updated_after {since[:16]}"):
        assert part in warning


# States


def test_it_is_read_as_it_was_written() -> None:
    """What an earlier version has left beside it is ignored, as Meltano keeps it."""
    state = read_state({**WRITTEN, "sync": {"started_at": OLD}}, CAREER_SITES, {})
    assert state
    (read,), (progress,) = state.position.reads, state.position.progress
    assert (read.filters, progress.sync.filters) == ({"country_codes": ["DE"]}, {})
    assert json.loads(json.dumps(as_raw(state, CAREER_SITES, OLD))) == WRITTEN


@pytest.mark.parametrize("raw", [{}, {"replication_key": "updated_at"}])
def test_one_that_says_nothing_is_none(raw: dict[str, Any]) -> None:
    assert read_state(raw, CAREER_SITES, {}) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *[(name, MISSING) for name in ("owner", "offset", "entry", "time")],
        ("owner", 5),
        ("offset", -1),
        ("offset", None),
        ("entry", ""),
        ("entry", "../x"),
        ("time", None),
        ("position", "x"),
        ("position.reads", None),
        ("position.reads.0.until", 5),
        ("position.reads.0.filters", -1),
        ("position.reads.0.filters", 2),
        ("position.is_begun", "yes"),
        ("position.order", None),
        ("position.filter_sets", {}),
        ("position.filter_sets", MISSING),
        ("position.revenue", 1),
        ("position.progress.0.pages", 0),
        ("position.progress.0.rows", -1),
        ("position.progress.0.cursor", ""),
        ("position.progress.0.has_gap", None),
        ("position.progress.0.sync.id", "5" * 65),
        ("position.progress.0.sync.since", None),
        ("position.progress.0.sync.started", 5),
        ("position.progress.0.sync.restarts", 0.5),
        ("position.progress.0.sync.batch_size", 0),
        ("position.progress.0.sync.revenue", 1),
    ],
)
def test_a_bad_member_is_named(path: str, value: Any) -> None:
    raw = deepcopy(WRITTEN)
    part: Any = raw
    *parents, name = path.split(".")
    for each in parents:
        part = part[int(each) if each.isdecimal() else each]
    part[name] = value
    if value is MISSING:
        del part[name]
    with pytest.raises(ValueError, match="career_sites: ") as refusal:
        read_state(raw, CAREER_SITES, {})
    assert re.search(rf"\b{name}\b|filter_sets", str(refusal.value))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("edit", ["2025-06-01", "soon", {}])
def test_an_edited_bookmark_decides_nothing_and_names_the_restart_that_would(
    tap: Tap, edit: object
) -> None:
    state = tap.succeed().state
    until = state["bookmarks"]["career_sites"]["replication_key_value"]
    key, *_ = tap.sandbox.world.rows()
    change(tap, key)
    state["bookmarks"]["career_sites"]["replication_key_value"] = edit
    run = tap.succeed(state=state)
    assert run.codes("WARNING") == ["edited-bookmark"]
    assert ("--since 2025-06-01T00:00:00.000000Z" in run.stderr) == (edit == "2025-06-01")
    assert run.ids == [key]
    assert until < run.state["bookmarks"]["career_sites"]["replication_key_value"]
    pass_time(tap)
    assert not tap.succeed(state=run.state).codes("WARNING")
