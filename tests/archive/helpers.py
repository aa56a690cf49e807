"""A warehouse, the command, and what else the tests of the archive share."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.files import read_pending
from tap_jobo.archive.key import all_keys
from tap_jobo.archive.store import Store
from tap_jobo.model import NOTHING, EntryHeader, new_id
from tests.support import ARCHIVE_COMMAND, Run, Tap
from tests.support.inside import run_inside
from tests.support.target import Target

MINUTE = timedelta(minutes=1)


def new_header(**members: Any) -> EntryHeader:
    """A header of which nothing else matters."""
    header = EntryHeader(
        id=new_id(),
        previous=None,
        before=NOTHING,
        own=None,
        sync=None,
        page=1,
        time="2026-01-01T00:00:00Z",
        receipt=None,
        spent={},
        dropped=None,
    )
    return replace(header, **members)


def succeeded(run: Run) -> Run:
    assert run.returncode == 0, run.stderr
    return run


def spent_in(store: Store) -> Counter[str]:
    """What all streams of an archive were billed, by month."""
    total: Counter[str] = Counter()
    for key in all_keys(store):
        archive = StreamArchive(store, key)
        total.update(archive.spent_so_far(read_pending(store, key.name)))
    return total


def archive_command(tap: Tap, *args: str) -> Run:
    """Run `tap-jobo-archive` on the tap's archive."""
    location = str(tap.settings.get("archive_dir", tap.folder / "archive"))
    env = tap.environment({"TAP_JOBO_ARCHIVE_DIR": location})
    return Run(*run_inside([str(ARCHIVE_COMMAND), *args], env))


def written(tap: Tap, *args: str) -> list[str]:
    """The lines that `tap-jobo-archive` writes, when it succeeds."""
    run = succeeded(archive_command(tap, *args))
    assert run.stderr == ""
    return run.stdout.splitlines()


def drop(tap: Tap, page: int) -> str:
    """Drop a page of the archive of career sites; return what the command says."""
    return "\n".join(written(tap, "drop", "career_sites", f"{page}", "--yes"))


def restart(tap: Tap, *args: str) -> None:
    """Order to buy career sites again, a minute before the next run."""
    written(tap, "restart", "career_sites", *args, "--yes")
    pass_time(tap)


@dataclass
class Warehouse:
    """A warehouse and the tap that loads it, with Meltano's state."""

    tap: Tap
    target: Target = field(default_factory=lambda: Target(merges_states=True, state={}))

    @property
    def state(self) -> Any:
        return self.target.state

    @property
    def is_current(self) -> bool:
        """Whether it has each row of the world as it is now."""
        world = self.tap.sandbox.world.rows()
        names = {key: row["name"] for key, row in self.target.rows.items()}
        return names == {key: row["name"] for key, row in world.items()}

    def run(self, **settings: Any) -> Run:
        """Run the tap, which must succeed, and store what it writes."""
        run = self.tap.succeed(state=self.state, **settings)
        self.target.receive(run.messages)
        return run

    def rows_billed(self, **settings: Any) -> int:
        """How many rows a run is billed, after which the warehouse is current."""
        before = self.tap.sandbox.rows_billed
        self.run(**settings)
        assert self.is_current
        return self.tap.sandbox.rows_billed - before


def keys_in(tap: Tap, *countries: str) -> set[str]:
    """The keys of the rows of the world in some countries."""
    world: Any = tap.sandbox.world
    return {key for key in world.rows() if world.company(key).traits["country_code"] in countries}


def change(tap: Tap, *keys: str, name: str = "Changed") -> None:
    """Change rows of the world, a minute before the next run."""
    for key in keys:
        tap.sandbox.world.touch(key, name=name)
    pass_time(tap)


def pass_time(tap: Tap, time: timedelta = MINUTE) -> None:
    """Put the clocks of the API and of the tap forward."""
    tap.sandbox.clock_offset += time.total_seconds()
    tap.oddities["TEST_CLOCK"] = str(tap.sandbox.clock_offset)
