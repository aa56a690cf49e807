"""Every call of the archive's store fails once, in turn, or takes longer than a lease lasts.

In one history of several runs, the first call of each run fails, in another one the second, and so
on. After each failure, the target loses a state, and the pipeline runs again, without another one.
No row may be lost, and no page billed twice, except one that could not be written, if the error
says so. What was billed is counted in the month.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from obstore.exceptions import GenericError

from tap_jobo.archive.bucket import Bucket
from tap_jobo.archive.contents import Spent, read_json
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.layout import COUNT
from tap_jobo.archive.store import Lock, StoreError
from tap_jobo.errors import TapJoboError
from tap_jobo.streams.career_sites import CAREER_SITES
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

LIVE = Settings().api_key
_T = TypeVar("_T")
_READS = {"list", "read", "get", "head"}
_WRITES = {"create", "replace", "remove", "put", "delete"}


@dataclass(frozen=True)
class Step:
    """What happens, and then a run.

    Attributes:
        days: What passes.
        changed: The rows that change.
        country: The filter. After a change, all rows are read again, as the user has decided.
        api_key: The key of the API. One of another kind has an archive of its own.
        pages: After how many pages the run ends.
        lost: How many of its states are lost.
        is_refresh: Whether it is a full refresh, whose rows are stored, but none of its states is.
    """

    days: int = 0
    changed: tuple[int, ...] = ()
    country: str = "DE"
    api_key: str = LIVE
    pages: int = NEVER
    lost: int = 0
    is_refresh: bool = False


HISTORY = [
    Step(pages=3, lost=1),
    Step(changed=(2,)),
    Step(changed=(1, 3), pages=2, lost=1),
    Step(changed=(5,)),
    Step(changed=(4,), pages=1, lost=1),
    Step(country="FR"),  # which gives up the page before
    Step(country="FR", days=31),  # which removes it
    Step(country="FR", api_key="jbe_test_1"),  # which removes what the other key has left
]
REFRESHES = [
    Step(),
    Step(),
    Step(changed=(1, 2, 3), pages=2, is_refresh=True),
    Step(changed=(1, 2, 3)),
]
OVERWRITES = Step(pages=0, is_refresh=True)
"""After them, it replays rows that are older than those stored, which the next run mends."""


@dataclass
class Trouble:
    """What goes wrong with one call.

    Attributes:
        how: `refused` if nothing happens, `lost` if only the response is (and of several removals,
            half take place), `slow` if the call takes 100 seconds.
        at: The number of the call, counted anew in each step of the history.
        error: Returns what the call raises.
        calls: How many there were in this step.
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
    """A pipeline whose store is in trouble now and then."""

    def __init__(self, folder: Path | None, how: str, at: int) -> None:
        self.clock = FakeClock()
        self.api = FakeApi(self.clock, pace=20)
        self.target = Target(merges_states=True, state={})
        self.unwritten: list[object] = []  # the pages that may be billed again
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

    def run(self, step: Step) -> bool:
        """Let happen what comes before a run, and run once; return whether that went well."""
        self.clock.passed += step.days * 86_400
        for number in step.changed:
            self.api.touch(number)
        self.trouble.calls = 0
        return self.go(step)

    def go(self, step: Step) -> bool:
        """Run once; return whether that went well."""
        states_lost = NEVER if step.is_refresh else step.lost
        on_missing_state = "resync" if step.is_refresh else "error"
        run = OneRun(
            self,
            Settings((step.country,), on_missing_state=on_missing_state, api_key=step.api_key),
            {} if step.is_refresh else self.target.state,
            self.target.take,
            Accident(pages=step.pages),
            is_alone=False,
            limit=10**6,
        )
        with run.locks:
            error = run.outcome()
        if error:
            self.check_message(error)
            states_lost = max(1, states_lost)
        self.store.in_flight = None
        self.target.drain(states_lost=states_lost, is_ahead=step.is_refresh)
        return error is None

    def check_message(self, error: TapJoboError) -> None:
        text = str(error)
        is_lost = "The lease" in text  # the call took too long
        assert code_of(text) == ("run-in-progress" if is_lost else "archive-unusable")
        assert "\n" not in text
        if "could not be written" in text:
            assert "If the target has not stored them, they are billed again" in text
            self.unwritten.append(self.api.pages[-1].content)

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
        again = [content for number, content in enumerate(contents) if content in contents[:number]]
        assert all(again.count(content) <= self.unwritten.count(content) for content in again)
        spent = read_json(self.store, COUNT.format(Settings().key().name), Spent)
        assert spent
        rows = sum(len(page.rows) for page in self.api.pages)
        assert sum(spent.credits.values()) >= rows * CAREER_SITES.list_price


@pytest.mark.parametrize(
    ("place", "how"),
    [
        ("folder", "refused"),
        ("folder", "lost"),
        *(
            pytest.param("bucket", how, marks=pytest.mark.slow)
            for how in ("refused", "lost", "slow")
        ),
    ],
)
@pytest.mark.parametrize(
    ("calm", "troubled", "least"),
    [([], HISTORY, 13), (REFRESHES, [OVERWRITES], 4)],
    ids=["history", "refresh"],
)
def test_a_call_that_fails_loses_and_bills_nothing(
    place: str, how: str, calm: list[Step], troubled: list[Step], least: int
) -> None:
    """The calls of the calm runs all succeed."""
    for at in count(1):
        is_over = True
        with temporary_folder() as name:
            world = World(Path(name) if place == "folder" else None, how, NEVER)
            for step in calm:
                assert world.run(step)
            world.trouble.at = at
            for step in troubled:
                assert world.run(step) or world.go(step)
                is_over &= world.trouble.calls < at
            world.trouble.at = NEVER
            assert world.go(Step(country=step.country, api_key=step.api_key))
            world.check()
        if is_over:
            break
    assert at >= least
