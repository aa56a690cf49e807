"""Harsh histories: whatever happens, no month costs more than `max_credits_per_month`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tap_jobo.archive.__main__ import main
from tap_jobo.errors import TapJoboError
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tests.support.clock import FakeClock
from tests.sync.model import (
    MORE_SITES,
    Accident,
    CrashError,
    FakeApi,
    FaultyStore,
    OneRun,
    Settings,
    temporary_folder,
)

pytestmark = pytest.mark.exhaustive

PAGE = 100
"""Credits of a page of two rows."""
LIMIT = 7 * PAGE + 50
LATE = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


class History:
    """Runs of two streams over two months, some side by side, with all that goes wrong.

    Attributes:
        limit: The limit of the runs, None until there is one.
        hidden: Credits that no count may include: of requests that were in flight when a run was
            killed, and of pages that could not be written.
    """

    def __init__(self, folder: Path, seed: int, *, is_in_bucket: bool) -> None:
        self.rng = Random(seed)
        self.folder = folder
        self.store = FaultyStore(None if is_in_bucket else folder)
        self.clock = FakeClock(start=LATE - timedelta(seconds=self.rng.randint(0, 8 * 60)))
        self.api = FakeApi(self.clock)
        self.limit: int | None = LIMIT
        self.hidden = 0
        self.bills: Counter[str] = Counter()
        self.unlimited: Counter[str] = Counter()  # the bills when the limit was set
        self.states: list[dict[str, Any]] = [{}]
        self.kills = self.refusals = 0
        for number in range(1, 12):
            self.api.touch(number)

    def billed(self) -> None:
        """Check the bill of the month, with each page."""
        month = f"{self.clock.true:%Y-%m}"
        self.bills[month] += len(self.api.pages[-1].rows) * PAGE // 2
        if self.limit is not None:
            assert self.bills[month] <= max(LIMIT + self.hidden, self.unlimited[month])

    def set_limit(self) -> None:
        """Set the limit, after runs without one."""
        self.limit = LIMIT
        self.unlimited = Counter(self.bills)

    def go_on(self) -> None:
        """Let something happen."""
        rng = self.rng
        happens: Callable[[], object] = rng.choice(
            [
                lambda: self.api.touch(rng.randint(1, 20)),
                lambda: setattr(self.clock, "passed", self.clock.passed + rng.choice([1, 60, 600])),
                self.api.kill_cursors,
                self.drop_all,
                *[self.run_some] * 6,
            ]
        )
        happens()

    def drop_all(self) -> None:
        if self.store.folder and any(self.folder.glob("v2/*/*")):
            arguments = ["--archive-dir", str(self.folder), "drop", "--all", "--yes"]
            main(arguments, standalone_mode=False)

    def run_some(self) -> None:
        """Run one pipeline, or two side by side, page by page."""
        rng = self.rng
        runs = [
            self.begin(spec)
            for spec in rng.sample([CAREER_SITES, MORE_SITES], rng.choice([1, 1, 2]))
        ]
        while runs:
            run = rng.choice(runs)
            try:
                next(run)
            except StopIteration:
                runs.remove(run)
            except CrashError:
                self.kills += 1
                runs.remove(run)
            except TapJoboError:
                self.refusals += 1
                runs.remove(run)
            finally:
                if self.limit is None:
                    self.hidden += PAGE * (self.store.unwritten + bool(self.store.in_flight))
                self.store.unwritten = 0
                self.store.is_full = rng.random() < 0.03
                self.store.in_flight = None

    def begin(self, spec: FeedSpec) -> Iterator[None]:
        rng = self.rng
        settings = Settings(
            countries=(rng.choice(["DE", "FR"]),),
            on_missing_state="resync",
            is_full_table=rng.random() < 0.3,
            batch_size=2,
        )
        accident = Accident(
            crash_at=rng.choice([10**9, rng.randint(0, 60)]),
            events=[lambda world: self._pass(world, rng.choice([0, 0.4, 3])) for _ in range(9)],
        )
        state = deepcopy(rng.choice([self.states[-1], self.states[-1], *self.states[-4:], {}]))
        run = OneRun(
            self,
            settings,
            state,
            self.take,
            accident,
            is_alone=False,
            specs=(spec,),
            limit=self.limit,
        )
        return run.messages()

    def take(self, message: dict[str, Any]) -> None:
        if message["type"] == "STATE":
            self.states.append(message["value"])

    @staticmethod
    def _pass(world: Any, seconds: float) -> None:
        world.clock.passed += seconds


@pytest.mark.parametrize("is_in_bucket", [False, True], ids=["folder", "bucket"])
def test_a_limit_that_is_set_later_includes_all_but_requests_in_flight(
    *, is_in_bucket: bool
) -> None:
    above = reached = 0
    for seed in range(50):
        with temporary_folder() as folder:
            history = History(Path(folder), seed, is_in_bucket=is_in_bucket)
            history.limit = None
            for _ in range(1 + seed % 4):
                history.go_on()
            history.set_limit()
            for _ in range(12):
                history.go_on()
            above += max(history.unlimited.values(), default=0) > LIMIT
            reached += max(history.bills.values(), default=0) > LIMIT - PAGE
    assert above >= 5
    assert reached - above >= 10, "the histories are not harsh"


@pytest.mark.parametrize("is_in_bucket", [False, True], ids=["folder", "bucket"])
def test_no_month_costs_more_than_the_limit(*, is_in_bucket: bool) -> None:
    reached = kills = months = 0
    for seed in range(50):
        with temporary_folder() as folder:
            history = History(Path(folder), seed, is_in_bucket=is_in_bucket)
            for _ in range(30):
                history.go_on()
            reached += any(bill > LIMIT - PAGE for bill in history.bills.values())
            months += len(history.bills)
            kills += history.kills
    assert reached >= 20, "the histories are not harsh"
    assert kills >= 100
    assert months >= 60
