"""Random histories of a simulated world: what may happen to pipelines, archives, and states."""

import random
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from tap_jobo.model import ALL
from tests.sync.world.in_memory import PRICE
from tests.sync.world.parts import (
    COUNTRIES,
    KINDS,
    OLD_RULES,
    Folder,
    RowOrder,
    Wrong,
    at,
    having,
    minutes,
    short_spans,
)
from tests.sync.world.process import ProcessWorld, process_world
from tests.sync.world.world import World

FILTERS: Final = (
    having(),
    having("AT"),
    having("AT", "BE"),
    having("BE", "CH"),
    having("BE"),
    having(*COUNTRIES),
    having("AT", kind="x"),
    having("AT", "BE", kind="x"),
    having(kind="xy"),
    having(kind="x"),
    having("AT", "BE", kind="xy"),
    having(founded=1992),
    having("AT", founded=1993),
)
_START_MINUTES: Final = (0, 0, 5, 20, 60, None)  # None: now
_ROWS: Final = 8
A_MONTH: Final = 31 * 24 * 60
"""Minutes of the first month."""
_LONGEST: Final = 24

Kind = Literal["memory", "folder", "bucket"]
"""Where archives are, of runs in memory or of processes."""


@dataclass(frozen=True)
class Setting:
    """What a history begins with."""

    names: tuple[str, ...]
    order: RowOrder
    has_old_version: bool  # the last pipeline
    is_free: bool
    seed: int  # of the users' answers at its end
    kind: Kind


@dataclass(frozen=True)
class Step:
    """What happens next: the name of a move, and the seed of how it happens."""

    move: str
    seed: int


class Moves:
    """What can happen in a world, each drawn from a random number generator."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.pipe = rng.choice([*world.pipes.values()])

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _row(self) -> tuple[int, str, str]:
        return self.rng.randrange(_ROWS), self.rng.choice(COUNTRIES), self.rng.choice(KINDS)

    @property
    def _folder(self) -> Folder | None:
        return self.world.folders.get(self.pipe.folder)

    @property
    def _other(self) -> str:
        """Another pipeline, empty if there is none."""
        others = [name for name in self.world.pipes if name != self.pipe.name]
        return self.rng.choice(others) if others else ""

    def _set(self, **settings: Any) -> None:
        for pipe in self.world.pipes.values() if self._chance(0.5) else [self.pipe]:
            own = dict(settings)
            if "filters" in own and pipe.wanted.rules is OLD_RULES:
                own["filters"] = {k: v for k, v in own["filters"].items() if k != "industries"}
            pipe.wanted = replace(pipe.wanted, **own)
            self.world.note(f"settings of {pipe.name}: {own}")

    def _run(self, **conditions: Any) -> None:
        happens: dict[str, Any] = {
            "batch": self.rng.randint(1, 8),
            "changes": tuple(self._row() for _ in range(2 if self._chance(0.4) else 0)),
        }
        if (other := self._other) and self._chance(0.25):
            happens["other"] = other, self._early_step()
            happens["loses_lock"] = self._chance(0.5)
        self.world.run(self.pipe.name, **(happens | conditions))

    def _early_step(self) -> int:
        return self.rng.randint(1, self.world.steps // 3)

    # Rows and runs

    def rows_change(self) -> None:
        for _ in range(self.rng.randint(1, 5)):
            self.world.api.put(*self._row())
        self.world.note("rows change")

    def rows_appear_late(self) -> None:
        for _ in range(self.rng.randint(1, 3)):
            self.world.api.put_late(*self._row(), late=self.rng.randint(1, 60))
        self.world.note("rows appear late")

    def row_changes_silently(self) -> None:
        self.world.api.change_silently(self.rng.randrange(_ROWS))
        self.world.note("a row changes, but not its time")

    def runs(self) -> None:
        self._run()

    def dies(self) -> None:
        self._run(
            die_at=1 + int(self.rng.random() ** 2 * self.world.steps),
            kills_target=self._chance(0.7),
            full_refresh=self._chance(0.2),
            signal=self.rng.choice([*["SIGKILL"] * 4, "SIGTERM"]),
        )

    def api_is_away(self) -> None:
        die_at = self._early_step() if self._chance(0.3) else None
        self._run(is_offline=True, die_at=die_at, full_refresh=self._chance(0.3), other=None)

    def buys(self) -> None:
        if self.pipe.uses_archive:
            die_at = self._early_step() if self._chance(0.3) else None
            pages = self.rng.randint(0, 2) if self._chance(0.3) else None
            self._run(only_buys=True, die_at=die_at, pages=pages)

    def reaches_limit(self) -> None:
        self._run(pages=self.rng.randint(0, 2))

    def cursors_are_rejected(self) -> None:
        self.world.api.rejects = self.rng.randint(1, 2)
        self.world.note("cursors are rejected")

    def sync_is_stuck(self) -> None:
        stuck = self.world.api.stuck
        if self._chance(0.3):
            (stuck.add if self._chance(0.6) else stuck.discard)("all")
        folder = self._folder
        if folder and not folder.headless and (going := folder.position.progress):
            stuck.add(self.rng.choice(going).sync.id)
        self.world.note(f"the cursors of {stuck} are rejected")

    def waits(self) -> None:
        self.world.api.wait(self.rng.randrange(100))
        self.world.note("time passes")

    def clock_is_behind(self) -> None:
        world = self.world
        world.skew = self.rng.randrange(60) if self._chance(0.5) else 0
        world.note(f"the clock is behind by {world.skew}")

    def local_clock_is_off(self) -> None:
        world = self.world
        world.drift = self.rng.randrange(-200, 200) if self._chance(0.6) else 0
        world.note(f"until a run buys, its clock is ahead by {world.drift}")

    # Settings

    def filters(self) -> None:
        self._set(filters=self.rng.choice(FILTERS))

    def start_date(self) -> None:
        start = self.rng.choice(_START_MINUTES)
        now = self.world.api.now if start is None else start
        self._set(start=at(now) if now else ALL)

    def lookback(self) -> None:
        self._set(lookback=minutes(self.rng.choice([0, 15, 60])))

    def batch_size(self) -> None:
        self._set(batch_size=self.rng.randint(1, 3))

    def on_filter_change(self) -> None:
        self._set(choice=self.rng.choice(["resync", "resync", "keep", "error"]))

    def user_answers(self) -> None:
        if (question := self.pipe.question) and question.ways:
            self.world.answer(self.pipe.name, self.rng.choice(question.ways))

    # States

    def loses_state(self) -> None:
        self.pipe.state = None
        self.world.note(f"the state of {self.pipe.name} is lost")

    def restores_state(self) -> None:
        pipe = self.pipe
        if pipe.saved:
            place = self.rng.randrange(len(pipe.saved))
            pipe.state = pipe.saved[place]
            del pipe.saved[place + 1 :]
            pipe.forget()
            self.world.note(f"a state of {pipe.name} is restored: {self.world.describe(pipe)}")

    def switches_from_another_tap(self) -> None:
        self.world.adopt(self.pipe)

    # Archives

    def loses_folder(self) -> None:
        self.world.lose_folder(self.pipe.folder)
        self.world.note(f"the folder {self.pipe.folder} is lost")

    def copies_folder(self) -> None:
        if self._folder:
            self.world.copy_folder(self.pipe.folder)
            self.world.note(f"the folder {self.pipe.folder} is copied")

    def restores_folder(self) -> None:
        if copies := self.world.copies.get(self.pipe.folder):
            self.world.restore_folder(self.pipe.folder, self.rng.randrange(len(copies)))
            self.world.note(f"the folder {self.pipe.folder} is restored")

    def uses_other_folder(self) -> None:
        self.pipe.folder = self.rng.choice(["main", "other"])
        self.world.note(f"{self.pipe.name} uses {self.pipe.folder}")

    def is_off_for_a_night(self) -> None:
        self.pipe.uses_archive = False
        self._run(
            die_at=self._early_step() if self._chance(0.3) else None,
            kills_target=self._chance(0.5),
        )
        self.pipe.uses_archive = True

    def switches_archive(self) -> None:
        self.pipe.uses_archive = not self.pipe.uses_archive
        self.world.note(f"{self.pipe.name} has an archive: {self.pipe.uses_archive}")

    def store_fails(self) -> None:
        at = self.rng.randint(1, 15)
        self._run(fails_at=at, loses_response=self._chance(0.3), other=None)

    def damages_page(self) -> None:
        folder = self._folder
        if folder and folder.entries and self._chance(0.6):
            number = folder.head if self._chance(0.5) else self.rng.randint(1, folder.head)
            is_headless = self._chance(0.4)
            self.world.damage(self.pipe.folder, number, is_headless=is_headless)

    def drops_page(self) -> None:
        folder = self._folder
        if folder and folder.entries and not folder.intact and self._chance(0.3):
            self.world.damage(self.pipe.folder, max(1, folder.head - self.rng.randrange(3)))
        if folder and folder.intact:
            self.world.drop(self.pipe.folder, self.rng.choice(sorted(folder.intact)))

    def erases_row(self) -> None:
        folder = self._folder
        if folder and not folder.intact and self._chance(0.5):
            row, in_warehouses = self.rng.randrange(_ROWS), self._chance(0.7)
            self.world.erase(self.pipe.folder, row, in_warehouses=in_warehouses)

    def _restarts(self, since: str | None) -> None:
        wanted, folder = self.pipe.wanted, self._folder
        if folder and not folder.headless and self._chance(0.5):
            self.world.restart(self.pipe.folder, since, wanted.filters, wanted.start)

    def restarts(self) -> None:
        self._restarts(None)

    def restarts_since(self) -> None:
        self._restarts(at(self.rng.randint(0, self.world.api.now)))

    def restarts_sync(self) -> None:
        folder = self._folder
        if folder and not folder.headless:
            self.world.restart_sync(self.pipe.folder, self.pipe)

    # Months, in the world of processes

    def limits_month(self) -> None:
        if isinstance(self.world, ProcessWorld):
            self.world.set_limit(self.rng.randint(3, 20) * PRICE)

    def month_ends(self) -> None:
        if isinstance(self.world, ProcessWorld):
            self.world.api.wait(max(0, A_MONTH - 10 - self.world.api.now))


_OFTEN: Final = {
    "rows_change": 7,
    "runs": 8,
    "dies": 8,
    "lookback": 2,
    "rows_appear_late": 2,
    "api_is_away": 3,
    "buys": 3,
    "reaches_limit": 4,
    "filters": 4,
    "user_answers": 4,
    "restores_state": 2,
    "is_off_for_a_night": 2,
    "store_fails": 3,
}
"""How often a move is drawn for each time that any other one is."""
_TOUCHES_FOLDERS: Final = {
    "loses_folder",
    "restores_folder",
    "uses_other_folder",
    "is_off_for_a_night",
    "switches_archive",
    "switches_from_another_tap",
    "damages_page",
    "drops_page",
}


def draw(rng: random.Random, kind: Kind = "memory") -> tuple[Setting, list[Step]]:
    """Return a random history; in some, nobody touches folders."""
    names = ("prod", "dev", "lab")
    is_process = kind != "memory"
    setting = Setting(
        names=names[: rng.choice([1, 2, 2, 3])],
        order=rng.choice(["time", "id"]),
        has_old_version=rng.random() < 0.25 and not is_process,
        is_free=rng.random() < 0.3 and not is_process,
        seed=rng.getrandbits(32),
        kind=kind,
    )
    left_out = _TOUCHES_FOLDERS if rng.random() < 0.4 else set()
    moves = [name for name in vars(Moves) if not name.startswith("_")]
    shares = [_OFTEN.get(name, 1) for name in moves]
    drawn = rng.choices(moves, shares, k=rng.randint(3, _LONGEST))
    return setting, [Step(move, rng.getrandbits(32)) for move in drawn if move not in left_out]


@contextmanager
def begin(setting: Setting) -> Iterator[World]:
    if setting.kind != "memory":
        is_in_bucket = setting.kind == "bucket"
        with process_world(*setting.names, is_in_bucket=is_in_bucket, order=setting.order) as made:
            yield made
        return
    world = World(*setting.names, order=setting.order, is_free=setting.is_free)
    if setting.has_old_version:
        pipe = world.pipes[setting.names[-1]]
        pipe.wanted = replace(pipe.wanted, rules=OLD_RULES)
    with short_spans():
        yield world


def play(setting: Setting, steps: Sequence[Step]) -> str:
    """Return what is wrong with a history, empty if nothing is.

    At its end, the world comes to rest, with users who give the first answer, or any.
    """
    rng = random.Random(setting.seed)
    with begin(setting) as world:
        try:
            for step in steps:
                world.is_calm &= step.move not in _TOUCHES_FOLDERS
                getattr(Moves(world, random.Random(step.seed)), step.move)()
            world.quiesce(lambda ways: rng.choice(ways) if rng.random() < 0.5 else ways[0])
        except Wrong as error:
            return str(error)
        except Exception:  # noqa: BLE001 - a rule that fails is wrong, too
            return "\n".join([f"CRASH {traceback.format_exc()}", *world.log])
    return ""


def shrink(setting: Setting, steps: Sequence[Step]) -> list[Step]:
    """Return fewer steps, with each of which a history is wrong in the same way."""
    needed, kind = [*steps], play(setting, steps)[:14]
    for step in steps:
        less = [each for each in needed if each is not step]
        if play(setting, less)[:14] == kind:
            needed = less
    return needed


def find_wrong(seed: int, count: int, kind: Kind = "memory") -> str:
    """Play random histories; return what is wrong with the first one that is, or nothing."""
    rng = random.Random(seed)
    for number in range(count):
        setting, steps = draw(rng, kind)
        if wrong := play(setting, steps):
            steps = shrink(setting, steps)
            wrong = play(setting, steps) or f"Only once:\n{wrong}"
            return f"Seed {seed}, history {number}, {setting}, {len(steps)} steps:\n{wrong}"
    return ""
