"""Each kind of request to the archive's bucket fails once in each step of a history.

It is refused, its response is lost, or it takes longer than a lease lasts, in turn: in one history
the first kind of each step, in the next one the second. After each failure, the target loses a
state, and the pipeline runs again, without another one. No row may be lost, and none billed twice,
except those of a page that could not be written, if the error says so. What was billed is counted
in the month. In random histories, a store in memory fails, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
from obstore.exceptions import GenericError

from jobo_sandbox import Sandbox
from tap_jobo.archive.bucket import Bucket
from tap_jobo.errors import TapJoboError
from tap_jobo.tap import TapJobo
from tests.archive.helpers import spent_in
from tests.support import bucket as fake
from tests.support import kept_signals
from tests.support.clock import FakeClock
from tests.support.crash import parse
from tests.support.target import Target

pytestmark = pytest.mark.slow

PAGE = 3
"""Rows; the world has three pages."""
_T = TypeVar("_T")
_READS = {"list", "get", "head"}
_WRITES = {"put", "delete"}
_WAYS = ("refused", "lost", "slow")


@dataclass(frozen=True)
class Step:
    """What happens, and then a run.

    Attributes:
        changed: The rows that change.
        archive: The archive that is used.
        pages: After how many pages the run ends, 0 for all.
        lost: How many of its states are lost.
        is_refresh: Whether the run has no state.
    """

    changed: tuple[int, ...] = ()
    archive: str = "a"
    pages: int = 0
    lost: int = 0
    is_refresh: bool = False


HISTORY = [
    Step(pages=2, lost=1),
    Step(changed=(0,)),
    Step(changed=(0, 1, 2, 3), pages=1, lost=1),
    Step(changed=(1,)),
    Step(changed=(4,), is_refresh=True),
    Step(changed=(5,), archive="b"),  # which goes on from the state
    Step(changed=(6,), archive="b", lost=1),
]


@dataclass
class Trouble:
    """What goes wrong with one call.

    Attributes:
        clock: The clock of all.
        how: `refused` if nothing happens, `lost` if only the response is, `slow` if the call takes
            100 seconds.
        at: The kind of the call: the so-many-th that this step makes, 0 for none.
        kinds: Those that it has made: the call, the file, and whether a page was written before.
    """

    clock: FakeClock
    how: str = "refused"
    at: int = 0
    kinds: set[tuple[str, str, bool]] = field(default_factory=set)

    def meet(self, name: str, call: Callable[..., _T], *args: Any, **options: Any) -> _T:
        has_bought = any(kind[:2] == ("put", ".page") for kind in self.kinds)
        kind = name, Path(str(args[0])).suffix, has_bought
        if kind in self.kinds:
            return call(*args, **options)
        self.kinds.add(kind)
        if len(self.kinds) != self.at:
            return call(*args, **options)
        if self.how == "slow":
            self.clock.passed += 100
            return call(*args, **options)
        if self.how == "lost" and name in _WRITES:
            call(*args, **options)
        raise GenericError("timed out")


class Troubled:
    """A bucket's objects, of which a call goes wrong."""

    def __init__(self, inner: Any, trouble: Trouble) -> None:
        self._inner = inner
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in _READS | _WRITES:
            return found
        return lambda *args, **options: self._trouble.meet(name, found, *args, **options)


class World:
    """A pipeline in this process, whose archives are in trouble now and then."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.target = Target(merges_states=True, state={})
        self.billed: Counter[tuple[str, str]] = Counter()  # the versions of rows
        self.unwritten: Counter[tuple[str, str]] = Counter()  # those that may be billed again
        self.trouble = Trouble(clock)
        self.stores = {name: self._open(name) for name in ("a", "b")}
        self.keys = sorted(sandbox.world.rows())

    def _open(self, name: str) -> Bucket:
        objects: Any = Troubled(fake.Bucket(lambda: self.clock.true), self.trouble)
        return Bucket(objects, f"s3://{name}", self.clock)

    def run(self, step: Step) -> bool:
        """Let happen what comes before a run, and run once; return whether that went well."""
        for number in step.changed:
            name = f"{self.clock.passed:.0f}"
            self.sandbox.world.touch(self.keys[number], name=name)
        self.clock.passed += 60
        self.trouble.kinds = set()
        return self.go(step)

    def go(self, step: Step) -> bool:
        """Run once; return whether that went well."""
        known, error = len(self.sandbox.ledger), None
        written = bytearray()
        try:
            self._sync(step, written)
        except TapJoboError as caught:
            error = caught
        self._note_bill(known, error)
        lines = bytes(written).decode().splitlines(keepends=True)
        self.target.receive(parse(lines), states_lost=max(step.lost, 1 if error else 0))
        self.clock.passed += 60
        return error is None

    def _sync(self, step: Step, written: bytearray) -> None:
        config = {
            "api_key": self.sandbox.api_key,
            "api_url": self.sandbox.url,
            "archive_dir": step.archive,
            "batch_size": PAGE,
            "lookback_minutes": 0,
            "max_credits": step.pages * PAGE * 50 or 10**9,
            "max_credits_per_month": 10**9,  # so that each request counts before it is sent
        }
        with ExitStack() as patches:
            patches.enter_context(kept_signals())
            patches.enter_context(patch("tap_jobo.singer.run.Clock", lambda: self.clock))
            store = self.stores[step.archive]
            patches.enter_context(patch("tap_jobo.singer.run.open_store", lambda *_: store))
            write = patch("tap_jobo.singer.writer._write", lambda lines, _: written.extend(lines))
            patches.enter_context(write)
            TapJobo(config=config, state={} if step.is_refresh else self.target.state).read_all()

    def _note_bill(self, known: int, error: TapJoboError | None) -> None:
        rows = self.sandbox.world.rows()
        pages = [
            [(key, rows[key]["name"]) for key in entry.row_ids]
            for entry in self.sandbox.ledger[known:]
            if entry.credits
        ]
        for page in pages:
            self.billed.update(page)
        if error:
            text = str(error)
            is_lost = "The lease" in text  # the call took too long
            fact, *_ = text.splitlines()
            assert fact.endswith(f"[{'run-in-progress' if is_lost else 'archive-unusable'}]")
            if "can't be written" in fact:
                last = self.sandbox.feed_requests[-1].row_ids
                price = f"(${len(last) * 50 / 1_000:.2f})"
                assert price in fact
                self.unwritten.update((key, rows[key]["name"]) for key in last)

    def check(self) -> None:
        """Check that all rows have arrived, and that none was billed twice without need."""
        wanted = {key: row["name"] for key, row in self.sandbox.world.rows().items()}
        assert {key: row["name"] for key, row in self.target.rows.items()} == wanted
        twice = Counter({version: times - 1 for version, times in self.billed.items()})
        assert twice <= self.unwritten
        counted = sum(sum(spent_in(store).values()) for store in self.stores.values())
        assert counted >= self.sandbox.credits_billed


def test_a_request_that_fails_loses_and_bills_nothing() -> None:
    for at in count(1):
        clock = FakeClock()
        with Sandbox(size=3 * PAGE, seed=1, clock=clock.unix_time) as sandbox:
            world, is_over = World(sandbox, clock), True
            for number, step in enumerate(HISTORY):
                world.trouble.at, world.trouble.how = at, _WAYS[(at + number) % len(_WAYS)]
                if not world.run(step):
                    assert world.go(step)
                is_over &= len(world.trouble.kinds) < at
            world.trouble.at = 0
            assert world.go(Step(archive="b"))
            world.check()
        if is_over:
            break
    assert at >= 10
