"""What processes reach: an API over HTTP, and archives in a folder or a bucket."""

from __future__ import annotations

from pathlib import Path

from jobo_sandbox import Sandbox
from tests.support.archives import Files
from tests.sync.world.parts import BEGINNING, Api, Disk, Row, RowOrder, minutes


class ServedApi(Api):
    """The feed of a sandbox, whose clock is a file that the tap reads, too."""

    def __init__(self, order: RowOrder, file: Path) -> None:
        super().__init__(order)
        self._file = file
        self.sandbox = Sandbox(size=0, seed=1, clock=self.unix_time, created_at=BEGINNING)
        self.sandbox.order = "updated_asc" if order == "time" else "id"
        self._keys: dict[int, str] = {}
        self.wait(0)

    def unix_time(self) -> float:
        return (BEGINNING + minutes(self.now)).timestamp()

    def wait(self, minutes_: int) -> None:
        super().wait(minutes_)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.unix_time():.3f}", "ascii")
        fresh.replace(self._file)

    def key(self, id_: int) -> str:
        return self._keys.get(id_, "")

    def set(self, row: Row) -> None:
        super().set(row)
        if row.id not in self._keys:
            self._keys[row.id] = self.sandbox.world.add()
        self.sandbox.world.touch(
            self._keys[row.id],
            at=BEGINNING + minutes(row.at),
            name=row.name,
            country_code=row.country,
            industries=[row.kind],
            founded_year=row.founded,
        )


class Stored(Disk):
    """The files of an archive that processes write, as they were after the last run."""

    def __init__(self, stored: Files) -> None:
        super().__init__()
        self._stored = stored
        self.pull()

    def pull(self) -> None:
        self.files = self._stored.copy()

    def create(self, name: str, content: bytes) -> None:
        super().create(name, content)
        self._stored.store.create(name, content)

    def replace(self, name: str, content: bytes) -> None:
        super().replace(name, content)
        self._stored.store.replace(name, content)
