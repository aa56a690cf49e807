"""Every call of the journal's store fails once, in turn, or takes longer than a lease lasts.

After each failure, the target loses a state, and the pipeline runs again, without another one. No
row may be lost, and no page billed twice, except one that could not be written, if the error says
so.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from obstore.exceptions import GenericError

from tap_jobo.errors import TapJoboError
from tap_jobo.journal.bucket import Bucket
from tap_jobo.journal.folder import Folder
from tap_jobo.journal.store import Lock, StoreError
from tests.support import bucket as fake
from tests.support.clock import FakeClock
from tests.support.loggers import LOGGER
from tests.support.target import Target
from tests.sync.model import (
    BROKEN,
    NEVER,
    Accident,
    FakeApi,
    FaultyStore,
    OneRun,
    Settings,
    code_of,
    temporary_folder,
)

_T = TypeVar("_T")
_READS = {"list", "read", "get", "head"}
_WRITES = {"create", "replace", "remove", "put", "delete"}
HISTORY: list[tuple[int, int, list[int]]] = [
    (3, 1, [2]),
    (NEVER, 0, [1, 3]),
    (2, 1, [5]),
    (NEVER, 0, []),
    (NEVER, 0, []),
]
"""Runs: after how many pages each ends, how many of its states are lost, what changes then."""


@dataclass
class Trouble:
    """What goes wrong with one call.

    Attributes:
        how: `refused` if nothing happens, `lost` if only the response is (and of several removals,
            half take place), `slow` if the call takes 100 seconds.
        at: The number of the call.
        error: Returns what the call raises.
        calls: How many there were.
    """

    how: str
    at: int
    clock: FakeClock
    error: Callable[[], Exception]
    calls: int = 0

    def meet(self, name: str, call: Callable[..., _T], *args: Any, **options: Any) -> _T:
        if self.how == "lost" and name in _READS:
            return call(*args, **options)
        self.calls += 1
        if self.calls != self.at:
            return call(*args, **options)
        if self.how == "slow":
            self.clock.passed += 100
            return call(*args, **options)
        if self.how == "lost":
            if name in ("remove", "delete"):
                names, *_ = args
                args = (names[: len(names) // 2],)
            call(*args, **options)
        raise self.error()


class Troubled:
    """A folder, or a bucket's objects, of which a call goes wrong."""

    def __init__(self, inner: Any, trouble: Trouble) -> None:
        self._inner = inner
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in _READS | _WRITES:
            return found
        return lambda *args, **options: self._trouble.meet(name, found, *args, **options)


class LockedStore(FaultyStore):
    """A store with its own lock, or lease, instead of none."""

    def __init__(self, store: Any, clock: FakeClock) -> None:
        super().__init__(None)
        self.inner, self.location = store, store.location
        self.list, self.read = store.list, store.read
        self.exclusive_lock = store.exclusive_lock
        self._clock = clock

    def run_lock(self, key: str, stream: str, wait: object) -> Lock:  # noqa: ARG002
        return self.inner.run_lock(key, stream, self._clock.sleep)


class World:
    """A pipeline whose store is in trouble once."""

    def __init__(self, folder: Path | None, how: str, at: int) -> None:
        self.clock = FakeClock()
        self.api = FakeApi(self.clock, pace=20)
        self.target = Target(merges_states=True, state={})
        self.may_be_billed_again = 0
        self.trouble = Trouble(how, at, self.clock, lambda: GenericError("timed out"))
        objects: Any = Troubled(fake.Bucket(lambda: self.clock.true), self.trouble)
        store: Any = Bucket(objects, "s3://a/b", self.clock, LOGGER)
        if folder:
            store = Troubled(Folder(folder), self.trouble)
            self.trouble.error = lambda: StoreError(str(folder), "no room")
        self.store: FaultyStore = LockedStore(store, self.clock)
        for number in range(6):
            self.api.touch(number)

    def billed(self) -> None:
        self.clock.passed += 1

    def go(self, pages: int = NEVER, states_lost: int = 0) -> bool:
        """Run once; return whether that went well."""
        run = OneRun(
            self,
            Settings(),
            self.target.state,
            self.target.take,
            Accident(pages=pages),
            is_alone=False,
            limit=10**6,
        )
        with run.locks:
            error = run.outcome()
        if error:
            self.check_message(error)
            states_lost = 1
        self.store.in_flight = None
        self.target.drain(states_lost=states_lost)
        return error is None

    def check_message(self, error: TapJoboError) -> None:
        text = str(error)
        is_lost = "The lease" in text  # the call took too long
        assert code_of(text) == ("run-in-progress" if is_lost else "journal-unusable")
        assert "\n" not in text
        if "could not be written" in text:
            assert "If the target has not stored them, they are billed again" in text
            self.may_be_billed_again += 1

    def check(self) -> None:
        """Check that all rows have arrived, and that no page was billed twice without need."""
        wanted = {key: str(version) for key, (_, version) in self.api.rows.items()}
        del wanted[BROKEN]
        assert {key: row["name"] for key, row in self.target.rows.items()} == wanted
        names = [name for name in self.store.list("v2") if "/quarantine/" in name]
        assert [self.store.read(name) for name in names] == [
            json.dumps(self.api.row(BROKEN)).encode()
        ]
        contents = [page.content for page in self.api.pages if page.content]
        again = sum(content in contents[:number] for number, content in enumerate(contents))
        assert again <= self.may_be_billed_again


@pytest.mark.parametrize(
    ("place", "how"),
    [
        ("folder", "refused"),
        ("folder", "lost"),
        *(
            pytest.param("bucket", how, marks=pytest.mark.exhaustive)
            for how in ("refused", "lost", "slow")
        ),
    ],
)
def test_a_call_that_fails_loses_and_bills_nothing(place: str, how: str) -> None:
    for at in itertools.count(1):
        with temporary_folder() as name:
            folder = Path(name) if place == "folder" else None
            world = World(folder, how, at)
            for pages, lost, changed in HISTORY:
                assert world.go(pages, lost) or world.go(pages, lost)
                for number in changed:
                    world.api.touch(number)
            is_over = world.trouble.calls < at
            world.trouble.at = NEVER
            world.check()
        if is_over:
            break
    assert at > 40
