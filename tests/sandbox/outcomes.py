"""What the tap itself does with an API that differs from the documentation, seen from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobo_sandbox import Sandbox
from jobo_sandbox.contract import command
from jobo_sandbox.contract.outcomes import CHANGE, HANDLED, WARNED
from jobo_sandbox.feeds import FEEDS
from tap_jobo.api.headers import reported_credits
from tests.archive.helpers import pass_time
from tests.support import Run, Tap
from tests.support.jobs import tap_of

from .lies import Lie, Tell, options

WRONG_KEY = f"jbe_test_{'x' * 21}_{'x' * 43}"
STREAMS = {name: (name,) for name in FEEDS} | {"profile": ("career_sites", "companies")}
SETTINGS: dict[str, Any] = {"batch_size": 5, "jobs_batch_size": 5, "lookback_minutes": 0}
FILTERS: dict[str, dict[str, Any]] = {
    "industries": {"industries": ["fintech"]},
    "source": {"jobs_sources": ["greenhouse", "ashby", "lever_co", "workday"]},
}
"""What a user sets to select some rows."""


@dataclass(frozen=True)
class Seen:
    """What is seen of some runs from outside.

    Attributes:
        is_failed: Whether a run ended with exit code 1.
        rows: The ids of the rows of each stream, and of jobs with their source.
        warnings: The starts of the WARNING and ERROR lines.
        uncounted: Credits that were billed, or are said to be, beyond those that were counted.
    """

    is_failed: bool
    rows: frozenset[tuple[str, str]]
    warnings: frozenset[str]
    uncounted: int


def outcome_of_tap(lie: Lie) -> str:
    """Return what the tap does about a lie, in the words of the contract check."""
    stream = stream_of(lie)
    seen, honest = _see(lie.tell, lie.way, stream), _honest(lie.way, stream)
    has_warned = bool(seen.warnings - honest.warnings)
    is_wrong = seen.is_failed != honest.is_failed or bool(honest.rows - seen.rows)
    if is_wrong or seen.uncounted > 0 or (seen.rows - honest.rows and not has_warned):
        return CHANGE
    return WARNED if has_warned else HANDLED


def stream_of(lie: Lie) -> str:
    """Return the stream that a lie concerns; empty if that is all of them."""
    if lie.way == "key":
        return "career_sites"
    return next((each for each in STREAMS if lie.name.startswith(each)), "")


@cache
def _honest(way: str, stream: str) -> Seen:
    return _see(options(), way, stream)


def _see(tell: Tell, way: str, stream: str) -> Seen:
    with _checked() as sandbox, TemporaryDirectory() as folder:
        tell(sandbox)
        every = dict.fromkeys(name for names in STREAMS.values() for name in names)
        tap = tap_of(sandbox, Path(folder), *STREAMS.get(stream, every))
        tap.settings |= SETTINGS
        runs = [*_runs(tap, way, stream)]
        return _seen(runs, sandbox)


@contextmanager
def _checked() -> Iterator[Sandbox]:
    with command.sandbox() as sandbox:
        sandbox.rate_limits = sandbox.profile_rate_limits = ((10_000, 1),)
        yield sandbox


def _run(tap: Tap, **how: Any) -> Run:
    """Run a minute later: rows of the same second may be read again."""
    pass_time(tap, timedelta(minutes=1))
    return tap.run(**how)


def _runs(tap: Tap, way: str, stream: str) -> Iterator[Run]:
    tap.oddities = {"TEST_WAITS": "none"}
    if way == "key":
        yield _run(tap, api_key=WRONG_KEY)
        return
    tap.settings |= FILTERS.get(way, {})
    if way == "cursor":
        a_page = 15 if stream == "jobs" else 250
        first = _run(tap, max_credits=a_page, archive=False)
        state = first.state
        for bookmark in state["bookmarks"].values():
            for sync in bookmark.get("position", {}).get("progress", ()):
                sync["cursor"] = "garbage"
        yield first
        yield _run(tap, state=state, archive=False)
        return
    first = _run(tap)
    yield first
    if first.returncode == 0:
        yield _run(tap, state=first.state)  # nothing has changed
        world = tap.sandbox.world
        for key in [*world.rows()][:16]:
            world.touch(key)
        for key in [*world.jobs()][:16]:
            world.touch_job(key)
        yield _run(tap, state=first.state)


def _seen(runs: list[Run], sandbox: Sandbox) -> Seen:
    rows = {
        (f"{number} {message['stream']}", f"{message['record']['id']}{_filtered(message)}")
        for number, run in enumerate(runs)
        for message in run.messages
        if message["type"] == "RECORD"
    }
    lines = [line for run in runs for level in ("WARNING", "ERROR") for line in run.lines(level)]
    lines += [line for run in runs for line in run.lines("CRITICAL") if "deducted" in line]
    counted = sum(
        point["value"] for run in runs for point in run.points if point["metric"] == "jobo_credits"
    )
    said = sum(reported_credits(entry.sent) or 0 for entry in sandbox.ledger)
    balances = [reported_credits(entry.sent, "X-Credits-Balance") for entry in sandbox.ledger]
    known = [each for each in balances if each is not None]
    fallen = known[0] - min(known) if known else 0
    unseen = 0
    if any("balance fell" in line for line in lines):  # all but the first page counts
        unseen = max(entry.credits for entry in sandbox.ledger)
    return Seen(
        any(run.returncode for run in runs),
        frozenset(rows),
        frozenset(re.sub(r"[\d.,:]+", "#", line)[:60] for line in lines),
        max(said, fallen, sandbox.credits_billed) - counted - unseen,
    )


def _filtered(message: dict[str, Any]) -> str:
    return f" {message['record'].get('source', '')}"
