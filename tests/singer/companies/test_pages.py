"""Profiles of career sites, page by page: their order, the state, concurrency, the summary."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap
from tests.support.companies import (
    Json,
    Plain,
    asked_for,
    ids_of_page,
    profiles_of,
    selecting,
)

pytestmark = pytest.mark.slow


def test_profiles_follow_their_page_in_order_before_the_state(plain: Plain) -> None:
    kinds = [m["type"] for m in plain.run.messages if m.get("stream") == "companies"]
    assert kinds == ["SCHEMA"] + ["RECORD"] * 120
    pages: list[list[Json]] = [[]]
    for message in plain.run.messages:
        if message["type"] == "RECORD":
            pages[-1].append(message)
        elif message["type"] == "STATE":
            pages.append([])
    full = [page for page in pages if page]
    assert len(full) == 5
    for number, page in enumerate(full, 1):
        ids = ids_of_page(plain.sandbox, number)
        streams = ["career_sites"] * len(ids) + ["companies"] * len(ids)
        assert [message["stream"] for message in page] == streams
        assert [message["record"]["id"] for message in page] == ids * 2
    for state in plain.run.states:
        assert state["bookmarks"]["companies"].keys() == {"followed"}
    rows = plain.sandbox.world.rows()
    assert sorted(map(str, asked_for(plain.sandbox))) == sorted(rows)


def test_profiles_follow_the_pages_of_a_load_too(tap: Tap, sandbox: Sandbox) -> None:
    """They are not in the archive. An older version of a site that comes later asks for none."""
    first = tap.succeed()
    changed = first.ids[:10]
    for key in changed:
        sandbox.world.touch(key, name="Changed", at=sandbox.now() - timedelta(minutes=1))
    tap.succeed(state=first.state)
    asked = len(asked_for(sandbox))
    run = tap.succeed(lookback_minutes=0)
    assert sorted(map(str, asked_for(sandbox)[asked:])) == sorted(sandbox.world.rows())
    assert sorted(row["id"] for row in profiles_of(run)) == sorted(sandbox.world.rows())
    assert sandbox.rows_billed == 130
    assert run.state["bookmarks"]["companies"]["followed"]
    assert any("profiles of these companies" in line for line in run.lines("INFO"))


def test_a_load_without_them_asks_for_none(tap: Tap, sandbox: Sandbox) -> None:
    tap.succeed()
    asked = len(asked_for(sandbox))
    sites = selecting(tap.catalog, companies=False)
    run = tap.succeed(catalog=sites)
    assert len(run.ids) == 120
    assert len(asked_for(sandbox)) == asked
    later = tap.succeed(state=run.state)
    assert later.codes("WARNING") == ["missing-profiles"]
