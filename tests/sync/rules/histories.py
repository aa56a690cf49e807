"""Random histories of a simulated world: what may happen to pipelines, archives, and states."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from tests.sync.rules.parts import COUNTRIES, Order, Wrong, at, countries
from tests.sync.rules.world import World

FILTERS: Final = (
    countries(),
    countries("AT"),
    countries("AT", "BE"),
    countries("BE", "CH"),
    countries("BE"),
    countries("AT", "BE", "CH"),
)
START_MINUTES: Final = (None, None, 5, 20, 60, "now")
_LONGEST: Final = 22


@dataclass(frozen=True)
class Setting:
    """What a history begins with."""

    order: Order
    has_two: bool  # pipelines
    is_free: bool
    has_shared_settings: bool
    seed: int  # of the users' answers at its end


@dataclass(frozen=True)
class Step:
    """What happens next: the name of a move, and the seed of how it happens."""

    move: str
    seed: int


class Moves:
    """What can happen in a world, each drawn from a random number generator."""

    def __init__(self, world: World, rng: random.Random, *, has_shared_settings: bool) -> None:
        self.world = world
        self.rng = rng
        self._has_shared_settings = has_shared_settings
        self.pipe = rng.choice([*world.pipes.values()])

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _country(self) -> str:
        return self.rng.choice(COUNTRIES)

    def _changes(self) -> tuple[tuple[int, str], ...]:
        """Return rows that change during a run."""
        count = 2 if self._chance(0.4) else 0
        return tuple((self.rng.randrange(8), self._country()) for _ in range(count))

    def _set(self, **settings: Any) -> None:
        for pipe in self.world.pipes.values() if self._has_shared_settings else [self.pipe]:
            pipe.settings = replace(pipe.settings, **settings)
            self.world.note(f"settings of {pipe.name}: {settings}")

    def _run(self, **conditions: Any) -> None:
        conditions = {"batch": self.rng.randint(1, 8), "changes": self._changes()} | conditions
        self.world.run(self.pipe.name, **conditions)

    # Rows and runs

    def rows_change(self) -> None:
        first = self.rng.randrange(8)
        for number in range(self.rng.randint(1, 5)):
            self.world.api.put((first + number) % 8, self._country())
        self.world.note("rows change")

    def runs(self) -> None:
        self._run()

    def dies(self) -> None:
        self._run(
            die_at=1 + int(self.rng.random() ** 2 * 40),
            kills_target=self._chance(0.7),
            full_refresh=self._chance(0.15),
        )

    def reaches_limit(self) -> None:
        self._run(pages=self.rng.randint(1, 2))

    def refreshes(self) -> None:
        dies = self._chance(0.6)
        self._run(
            full_refresh=True,
            die_at=self.rng.randint(1, 30) if dies else None,
            kills_target=self._chance(0.5),
        )

    def rejects_cursors(self) -> None:
        self.world.api.rejects = self.rng.randint(1, 2)

    def waits(self) -> None:
        self.world.api.now += self.rng.randrange(100)
        self.world.note("time passes")

    def clock_is_behind(self) -> None:
        self.world.skew = self.rng.randrange(80) if self._chance(0.5) else 0
        self.world.most_skew = max(self.world.most_skew, self.world.skew)
        self.world.note(f"the clock is behind by {self.world.skew}")

    # Settings

    def filters(self) -> None:
        self.world.has_same_settings = False
        self._set(filters=self.rng.choice(FILTERS))

    def start_date(self) -> None:
        self.world.has_same_settings = False
        minute = self.rng.choice(START_MINUTES)
        minute = self.world.api.now if minute == "now" else minute
        self._set(start_date=at(minute) if isinstance(minute, int) else None)

    def lookback(self) -> None:
        self._set(lookback=timedelta(minutes=self.rng.choice([0, 15, 60])))

    def batch_size(self) -> None:
        self._set(batch_size=self.rng.randint(1, 3))

    def on_filter_change(self) -> None:
        self._set(on_filter_change=self.rng.choice(["resync", "resync", "keep", "error"]))

    def user_answers(self) -> None:
        if self.pipe.question:
            self.world.answer(self.pipe.name, self.rng.choice(self.world.ways(self.pipe)))

    # States

    def loses_state(self) -> None:
        self.world.note(f"the state of {self.pipe.name} is lost")
        self.pipe.raw = {}

    def restores_state(self) -> None:
        if self.pipe.saved:
            self.pipe.raw = self.rng.choice(self.pipe.saved)
            self.world.note(f"a state of {self.pipe.name} is restored: {self._described}")

    # Archives

    @property
    def _described(self) -> str:
        return self.world.describe(self.pipe)

    def loses_folder(self) -> None:
        self.world.folders.pop(self.pipe.folder, None)
        self.world.note(f"the folder {self.pipe.folder} is lost")

    def copies_folder(self) -> None:
        if folder := self.world.folders.get(self.pipe.folder):
            self.world.copies.setdefault(self.pipe.folder, []).append(folder.copy())
            self.world.note(f"the folder {self.pipe.folder} is copied")

    def restores_folder(self) -> None:
        if copies := self.world.copies.get(self.pipe.folder):
            self.world.folders[self.pipe.folder] = self.rng.choice(copies).copy()
            self.world.note(f"the folder {self.pipe.folder} is restored: {self._described}")

    def switches_archive(self) -> None:
        self.pipe.uses_archive = not self.pipe.uses_archive
        self.world.note(f"{self.pipe.name} has an archive: {self.pipe.uses_archive}")

    def is_off_for_a_night(self) -> None:
        was, self.pipe.uses_archive = self.pipe.uses_archive, False
        dies = self._chance(0.3)
        die_at = self.rng.randint(1, 20) if dies else None
        self._run(die_at=die_at, kills_target=self._chance(0.5))
        self.pipe.uses_archive = was

    def cannot_write(self) -> None:
        self._run(is_disk_full=True)

    def damages_page(self) -> None:
        folder = self.world.folders.get(self.pipe.folder)
        if folder and folder.current and self._chance(0.5):
            number = self.rng.choice(sorted(folder.current))
            folder.damaged.add(number)
            if self._chance(0.4):
                folder.headless.add(number)
            self.world.note(f"page {number} of {self.pipe.folder} is damaged")

    def drops_page(self) -> None:
        folder = self.world.folders.get(self.pipe.folder)
        damaged = sorted(folder.damaged & folder.current.keys()) if folder else []
        if damaged and self._chance(0.7):
            number = self.rng.choice(damaged)
            self.world.drop(self.pipe.folder, number)
            self.world.note(f"page {number} of {self.pipe.folder} is dropped")

    def restarts(self) -> None:
        if self._chance(0.5):
            self.world.restart(self.pipe.folder)
            self.world.note(f"restart: {self._described}")

    def restarts_since(self) -> None:
        if self._chance(0.5):
            since = at(self.rng.randint(0, self.world.api.now))
            self.world.restart(self.pipe.folder, since, filters=self.pipe.settings.filters)
            self.world.note(f"restart --since {since}: {self._described}")


SHARES: Final[dict[Callable[[Moves], None], int]] = {
    Moves.rows_change: 6,
    Moves.runs: 8,
    Moves.dies: 8,
    Moves.reaches_limit: 4,
    Moves.refreshes: 2,
    Moves.rejects_cursors: 1,
    Moves.waits: 1,
    Moves.clock_is_behind: 1,
    Moves.filters: 3,
    Moves.start_date: 1,
    Moves.lookback: 1,
    Moves.batch_size: 1,
    Moves.on_filter_change: 1,
    Moves.user_answers: 3,
    Moves.loses_state: 1,
    Moves.restores_state: 2,
    Moves.loses_folder: 1,
    Moves.copies_folder: 1,
    Moves.restores_folder: 1,
    Moves.switches_archive: 1,
    Moves.is_off_for_a_night: 2,
    Moves.cannot_write: 1,
    Moves.damages_page: 1,
    Moves.drops_page: 1,
    Moves.restarts: 1,
    Moves.restarts_since: 1,
}
"""How often each move is drawn."""
MOVES: Final = {move.__name__: move for move in SHARES}
_TOUCHES_FOLDERS: Final = {
    "loses_folder",
    "copies_folder",
    "restores_folder",
    "switches_archive",
    "is_off_for_a_night",
    "cannot_write",
    "damages_page",
    "drops_page",
} - {"copies_folder"}
_CHANGES_SETTINGS: Final = {"filters", "start_date"}


def draw(rng: random.Random) -> tuple[Setting, list[Step]]:
    """Return a random history: some are without trouble, or without changes of filters."""
    setting = Setting(
        order=rng.choice(["time", "id"]),
        has_two=rng.random() < 0.6,
        is_free=rng.random() < 0.12,
        has_shared_settings=rng.random() < 0.6,
        seed=rng.getrandbits(32),
    )
    left_out = _TOUCHES_FOLDERS | {"restarts", "restarts_since"} if rng.random() < 0.3 else set()
    if rng.random() < 0.2:
        left_out = left_out | _CHANGES_SETTINGS
    names, shares = [*MOVES], [*SHARES.values()]
    moves = rng.choices(names, shares, k=rng.randint(3, _LONGEST))
    return setting, [Step(move, rng.getrandbits(32)) for move in moves if move not in left_out]


def begin(setting: Setting) -> World:
    names = ("prod", "dev") if setting.has_two else ("prod",)
    world = World(*names, order=setting.order, is_free=setting.is_free)
    world.has_same_settings = setting.has_shared_settings
    return world


def take(world: World, setting: Setting, step: Step) -> None:
    """Let something happen."""
    if step.move in _TOUCHES_FOLDERS:
        world.is_calm = False
    rng = random.Random(step.seed)
    MOVES[step.move](Moves(world, rng, has_shared_settings=setting.has_shared_settings))


def end(world: World, setting: Setting) -> None:
    """Let the world come to rest, with users who give the first answer, or any."""
    for pipe in world.pipes.values():
        pipe.settings = replace(pipe.settings, on_filter_change="error")
    rng = random.Random(setting.seed)
    world.quiesce(lambda ways: rng.choice(ways) if rng.random() < 0.5 else ways[0])


def play(setting: Setting, steps: Sequence[Step]) -> str:
    """Return what is wrong with a history, empty if nothing is."""
    world = begin(setting)
    try:
        for step in steps:
            take(world, setting, step)
        end(world, setting)
    except Wrong as error:
        return str(error)
    except Exception:  # noqa: BLE001 - a rule that fails is wrong, too
        return "\n".join([f"CRASH {traceback.format_exc()}", *world.log])
    return ""


def shrink(setting: Setting, steps: Sequence[Step]) -> list[Step]:
    """Return the fewest steps with which a history is wrong in the same way."""
    steps, kind = [*steps], play(setting, steps)[:12]
    size = len(steps)
    while size:
        index = 0
        while index < len(steps):
            less = steps[:index] + steps[index + size :]
            if play(setting, less)[:12] == kind:
                steps = less
                size = min(size, len(steps) or 1)
                index = 0
            else:
                index += size
        size //= 2
    return steps


def find_wrong(seed: int, count: int) -> str:
    """Play random histories; return what is wrong with the first one that is, or nothing."""
    rng = random.Random(seed)
    for number in range(count):
        setting, steps = draw(rng)
        if play(setting, steps):
            steps = shrink(setting, steps)
            wrong = play(setting, steps)
            return f"Seed {seed}, history {number}, {setting}, {len(steps)} steps:\n{wrong}"
    return ""
