"""A feed that Jobo does not have, declared here: it syncs, loads and costs like the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import UUID

import pytest
from singer_sdk import typing as th

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.feed import Feed
from jobo_sandbox.feeds import FEEDS as SERVED
from jobo_sandbox.pricing import Price
from jobo_sandbox.queries import Cursor
from jobo_sandbox.world import Position, World
from tap_jobo.cli import run
from tap_jobo.clock import parse_timestamp
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.fields import RESCUED_DATA, instant, key, text
from tap_jobo.tap import TapJobo
from tests.archive.helpers import pages
from tests.support import Run, Tap, complaint, kept_signals
from tests.support.companies import Json, selecting
from tests.support.jobs import bookmark_of

pytestmark = pytest.mark.slow

SPEC = FeedSpec(
    name="badges",
    summary="badges of companies",
    path="/api/badges/feed",
    item_key="badges",
    schema=th.PropertiesList(
        key("Id."), text("name", "Name."), instant("updated_at", "Last change."), RESCUED_DATA
    ),
    method="GET",
    since_parameter="changed_since",
    since_is_inclusive=True,
    page_cap=7,
    list_price=2,
)
ROWS = 20
"""Three pages: 7, 7 and 6."""


class MadeUpTap(TapJobo):
    """The tap with one feed more."""

    feeds: ClassVar[Sequence[FeedSpec]] = (*FEEDS, SPEC)


def main() -> None:
    """Run the command with that tap."""
    feeds = patch("tap_jobo.archive.archive.FEEDS", MadeUpTap.feeds)
    with feeds, patch("tap_jobo.cli.TapJobo", MadeUpTap):
        run()


class MadeUp(Tap):
    """The made-up tap as a process."""

    def command(self, *args: str, **given: Any) -> list[str]:
        program = f"from {__name__} import main; main()"
        return [sys.executable, "-c", program, *super().command(*args, **given)[1:]]

    @property
    def queries(self) -> list[Json]:
        return [entry.body for entry in self.sandbox.requests_to("badges")]


def discover() -> Json:
    with kept_signals():
        return MadeUpTap(validate_config=False).catalog_dict


def _walk(_: World, cursor: Cursor) -> Iterator[tuple[Position, None]]:
    """Yield the rows after a cursor; none has changed since any instant."""
    start = cursor.after[0] + 1 if cursor.after else ROWS * bool(cursor.query.newer_than)
    for number in range(start, ROWS):
        yield (number, str(UUID(int=number))), None


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeUp]:
    """The tap against a sandbox that has the feed too."""
    feed = Feed(
        path=SPEC.path,
        method=SPEC.method,
        item_key="badges",
        walk=_walk,
        row=lambda _, key: {"id": key, "name": f"row {UUID(key).int}"},
        largest_page=7,
        since_parameter="changed_since",
        since_is_inclusive=True,
        price=lambda _: Price(2),
    )
    monkeypatch.setitem(SERVED, SPEC.name, feed)
    with Sandbox(size=3) as sandbox:
        catalog = selecting(discover(), career_sites=False, badges=True)
        yield MadeUp(sandbox, tmp_path, catalog=catalog)


def fail_third_page(made_up: MadeUp) -> None:
    fault = Fault(status=400, body={"detail": "made-up failure"})
    made_up.sandbox.faults.add(fault, endpoint="badges", on=3)


def names(run: Run) -> list[str]:
    return [row["name"] for row in run.records]


def test_it_syncs_page_by_page_with_the_cursor_in_the_query(made_up: MadeUp) -> None:
    run = made_up.succeed()
    assert names(run) == [f"row {number}" for number in range(ROWS)]
    parts = [state["bookmarks"]["badges"]["position"] for state in run.states[:2]]
    cursors = [progress["cursor"] for part in parts for progress in part["progress"]]
    first = {"batch_size": "7"}
    assert made_up.queries == [first, *({**first, "cursor": cursor} for cursor in cursors)]
    assert run.lines("WARNING") == run.lines("ERROR") == []
    assert run.metrics["jobo_credits"] == made_up.sandbox.credits_billed == 40


def test_its_state_has_a_bookmark_and_the_next_sync_starts_there(made_up: MadeUp) -> None:
    run = made_up.succeed()
    part = bookmark_of(run, "badges")
    assert part["position"]["progress"] == []
    assert names(made_up.succeed(state=run.state)) == []
    since = parse_timestamp(made_up.queries[-1]["changed_since"])
    assert (parse_timestamp(part["replication_key_value"]) - since).total_seconds() == 15 * 60


def test_it_is_resumed_from_the_archive_after_a_failure(made_up: MadeUp) -> None:
    fail_third_page(made_up)
    assert "made-up failure" in complaint(made_up.run())
    assert [int(page.stem) for page in pages(made_up.folder / "archive")] == [1, 2]
    again = made_up.succeed()  # without a state: the target stored nothing
    assert names(again) == [f"row {number}" for number in range(ROWS)]
    assert made_up.queries[3:] == made_up.queries[2:3]
    assert again.loaded == 14
    assert again.metrics["jobo_credits"] == 12
