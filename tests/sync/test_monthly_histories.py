"""Harsh histories: whatever happens, no month costs more than `max_credits_per_month`.

The installed tap runs against the sandbox, see `model`: two pipelines of one account, of career
sites and of jobs, some side by side, over two months.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from tests.support import Run, discover
from tests.support.companies import selecting
from tests.sync.model import NEVER, Accident, Pipeline, World, new_world

pytestmark = pytest.mark.exhaustive

PAGE = 100
"""Credits of a page, of two career sites or of 25 jobs."""
LIMIT = 7 * PAGE + 50
LATE = datetime(2026, 1, 31, 23, 59, tzinfo=UTC).timestamp()
STREAMS = ("career_sites", "jobs")


class History:
    """Runs of two streams over two months, with all that goes wrong.

    Attributes:
        limit: The limit of the runs, None until there is one.
        hidden: Credits that no count may include: of requests that were in flight when a run was
            killed, and of pages that could not be written.
        unlimited: The bills when the limit was set.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.rng = Random(seed)
        self.world = world
        world.is_calm = False  # it counts from zero
        self.limit: int | None = LIMIT
        self.hidden = 0
        self.unlimited: Counter[str] = Counter()
        self.refusals = 0
        world.pass_time(LATE - world.time - self.rng.randint(0, 8 * 60))
        for name in STREAMS:
            selected = {each: each == name for each in STREAMS}
            world.pipelines[name] = Pipeline(name, catalog=selecting(discover(), **selected))
        world.sandbox.jobs_price = 4
        for number in range(11):
            world.touch(number)
        for _ in range(120):
            world.sandbox.world.add_job()

    @property
    def bills(self) -> Counter[str]:
        """What each month has cost, by the sandbox."""
        bills: Counter[str] = Counter()
        for request in self.world.sandbox.ledger:
            bills[f"{request.time:%Y-%m}"] += request.credits
        return bills

    def set_limit(self) -> None:
        """Set the limit, after runs without one, whose pages in flight nobody has counted."""
        self.limit = LIMIT
        self.unlimited = self.bills
        held = [self.world.held("shared", name) for name in STREAMS]
        spent = [each.headers[each.head].spent.values() for each in held if each.headers]
        self.hidden = self.bills.total() - sum(map(sum, spent))

    def check(self) -> None:
        """Check the bills of the months."""
        for month, bill in self.bills.items() if self.limit is not None else ():
            assert bill <= max(LIMIT + self.hidden, self.unlimited[month]), month

    def go_on(self) -> None:
        """Let something happen."""
        world, rng = self.world, self.rng
        happens: Callable[[], object] = rng.choice(
            [
                lambda: world.touch(rng.randint(1, 20)),
                lambda: world.pass_time(rng.choice([1, 60, 600])),
                world.sandbox.expire_cursors,
                lambda: world.change_settings(
                    countries=rng.choice([(), ("DE",), ("FR",)]),
                    on_filter_change="resync",
                ),
                *[self.run_one] * 4,
                *[self.run_two] * 2,
            ]
        )
        happens()
        self.check()

    def run_one(self) -> None:
        """Run a pipeline."""
        self._note(self._run(self.world.pipelines[self.rng.choice(STREAMS)]))

    def run_two(self) -> None:
        """Suspend a pipeline within a request, and run the other one."""
        pipe, other = self.rng.sample([*self.world.pipelines.values()][-2:], 2)
        page = self.rng.randint(0, 2)
        how = self._how()
        ends: list[Run] = []
        self._note(
            self.world.run_beside(
                pipe, page, lambda: ends.append(self._run(other)), keeps_lock=True, **how
            )
        )
        for end in ends:
            self._note(end)

    def _run(self, pipe: Pipeline) -> Run:
        rng = self.rng
        accident = Accident(
            die_at=rng.choice([NEVER, rng.randint(0, 40)]),
            states_lost=rng.choice([0, 0, 1, 99]),
            events=[self._pass] * 9,
        )
        return self.world.run(
            pipe,
            accident,
            is_fresh=rng.random() < 0.2,
            is_full=rng.random() < 0.03,
            **self._how(),
        )

    def _how(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"jobs_batch_size": 25, "max_credits": 10**9}
        if self.limit is not None:
            settings["max_credits_per_month"] = self.limit
        return settings

    def _pass(self, world: World) -> None:
        world.pass_time(self.rng.choice([0, 0.4, 3]))

    def _note(self, run: Run) -> None:
        self.refusals += run.returncode == 1


def histories(seeds: int, *, is_in_bucket: bool) -> Iterator[History]:
    """Yield a history for each seed, in a world of its own."""
    for seed in range(seeds):
        with new_world(is_in_bucket=is_in_bucket, names=()) as world:
            yield History(world, seed)


PLACES = pytest.mark.parametrize(
    ("is_in_bucket", "seeds"), [(False, 5), (True, 2)], ids=["folder", "bucket"]
)


@PLACES
def test_a_limit_that_is_set_later_includes_all_but_requests_in_flight(
    *, is_in_bucket: bool, seeds: int
) -> None:
    above = reached = 0
    for number, history in enumerate(histories(seeds, is_in_bucket=is_in_bucket)):
        history.limit = None
        for _ in range(1 + number % 4):
            history.go_on()
        history.set_limit()
        for _ in range(10):
            history.go_on()
        above += max(history.unlimited.values(), default=0) > LIMIT
        reached += max(history.bills.values(), default=0) > LIMIT - PAGE
    assert reached > above, "the histories are not harsh"


@PLACES
def test_no_month_costs_more_than_the_limit(*, is_in_bucket: bool, seeds: int) -> None:
    reached = kills = months = 0
    for history in histories(seeds, is_in_bucket=is_in_bucket):
        for _ in range(15):
            history.go_on()
        reached += any(bill > LIMIT - PAGE for bill in history.bills.values())
        months += len(history.bills)
        kills += history.world.kills
    assert reached > seeds / 3, "the histories are not harsh"
    assert kills > seeds
    assert months > seeds
