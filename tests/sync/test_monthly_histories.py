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

from tap_jobo.api.budget import FeedCost
from tap_jobo.api.responses import ApiResponse
from tap_jobo.errors import TapJoboError
from tap_jobo.journal.__main__ import main
from tap_jobo.journal.monthly_limit import MonthlyLimit
from tests.support.clock import FakeClock
from tests.sync.model import (
    Accident,
    CrashError,
    FakeApi,
    FaultyStore,
    OneRun,
    Settings,
    temporary_folder,
)

PAGE = 100
"""Credits of a page of two rows."""
LIMIT = 7 * PAGE + 50
LATE = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


class LimitedRun(OneRun):
    """A run with the limit, which reserves each page as the client does."""

    cost: FeedCost | None = None

    def messages(self) -> Iterator[None]:
        try:
            yield from super().messages()
        except TapJoboError:
            self._settle()
            raise
        self._settle()

    def fetch(
        self, request: dict[str, Any], *, rows: int = 0, cost: FeedCost | None = None, **more: Any
    ) -> ApiResponse:
        if cost and not self.cost:
            store, key, now = self.world.store, self.settings.key(), self.api_clock.now
            self.cost, self.limit = cost, MonthlyLimit(store, key, LIMIT, now, lambda: None)
            cost.month = self.limit
        if cost:
            cost.reserve(rows)
        return super().fetch(request, rows=rows, cost=cost, **more)

    def _settle(self) -> None:
        if self.cost:
            self.limit.settle(self.cost.credits)


class History:
    """Runs of several filters over two months, some side by side, with all that goes wrong."""

    def __init__(self, folder: Path, seed: int, *, is_in_bucket: bool) -> None:
        self.rng = Random(seed)
        self.folder = folder
        self.store = FaultyStore(None if is_in_bucket else folder)
        self.clock = FakeClock(start=LATE - timedelta(seconds=self.rng.randint(0, 8 * 60)))
        self.api = FakeApi(self.clock)
        self.bills: Counter[str] = Counter()
        self.states: list[dict[str, Any]] = [{}]
        self.kills = self.refusals = 0
        for number in range(1, 12):
            self.api.touch(number)

    def billed(self) -> None:
        """Check the bill of the month, with each page."""
        self.bills[f"{self.clock.true:%Y-%m}"] += len(self.api.pages[-1].rows) * PAGE // 2
        assert max(self.bills.values()) <= LIMIT

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
        if self.store.folder and any(self.folder.glob("v1/*/*")):
            arguments = ["--journal-dir", str(self.folder), "drop", "--all", "--yes"]
            main(arguments, standalone_mode=False)

    def run_some(self) -> None:
        """Run one pipeline, or two side by side, page by page."""
        rng = self.rng
        runs = [self.begin(name) for name in rng.sample(["DE", "FR", "US"], rng.choice([1, 1, 2]))]
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
                self.store.is_full = rng.random() < 0.03
                self.store.in_flight = None

    def begin(self, country: str) -> Iterator[None]:
        rng = self.rng
        settings = Settings(
            countries=(country,),
            on_missing_state="resync",
            is_full_table=rng.random() < 0.3,
            batch_size=2,
        )
        accident = Accident(
            crash_at=rng.choice([10**9, rng.randint(0, 60)]),
            events=[lambda world: self._pass(world, rng.choice([0, 0.4, 3])) for _ in range(9)],
        )
        state = deepcopy(rng.choice([self.states[-1], self.states[-1], *self.states[-4:], {}]))
        run = LimitedRun(self, settings, state, self.take, accident, is_alone=False)
        return run.messages()

    def take(self, message: dict[str, Any]) -> None:
        if message["type"] == "STATE":
            self.states.append(message["value"])

    @staticmethod
    def _pass(world: Any, seconds: float) -> None:
        world.clock.passed += seconds


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
