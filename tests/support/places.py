"""Places that hold archives, each under a name, seen and changed from outside the tap."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from obstore.store import S3Store

from tests.support.s3 import S3

Files = dict[str, bytes]
"""The files of an archive, by their names."""


class Place(Protocol):
    """Holds archives, each under a name."""

    env: dict[str, str]

    def location(self, name: str) -> str:
        """Return the setting `archive_dir`."""

    def files(self, name: str) -> Files:
        """Return all files of an archive."""

    def write(self, name: str, files: Files) -> None:
        """Replace all files of an archive."""

    def release_locks(self) -> None:
        """Let a minute pass, so that a killed run holds no lease."""


@dataclass
class Folders:
    """A folder for each archive."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def location(self, name: str) -> str:
        return str(self.root / name)

    def files(self, name: str) -> Files:
        top = self.root / name
        found: dict[str, bytes] = {}
        for path in sorted(top.rglob("*")):
            with suppress(FileNotFoundError, IsADirectoryError):  # a run may write aside meanwhile
                found[str(path.relative_to(top))] = path.read_bytes()
        return found

    def write(self, name: str, files: Files) -> None:
        shutil.rmtree(self.root / name, ignore_errors=True)
        for file, content in files.items():
            path = self.root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def release_locks(self) -> None:
        """The operating system has released them."""


class Objects:
    """A prefix in a bucket for each archive."""

    def __init__(self, s3: S3, prefix: str) -> None:
        self.env = s3.env
        self._s3, self._prefix = s3, prefix
        self._store: S3Store = s3.store
        self._known: dict[tuple[str, str | None], bytes] = {}

    def location(self, name: str) -> str:
        return f"s3://{self._s3.bucket}/{self._prefix}/{name}"

    def files(self, name: str) -> Files:
        top = f"{self._prefix}/{name}"
        found = self._store.list(top).collect()
        return {each["path"].removeprefix(f"{top}/"): self._read(each) for each in found}

    def _read(self, meta: Any) -> bytes:
        key = meta["path"], meta["e_tag"]
        if key not in self._known:
            self._known[key] = bytes(self._store.get(meta["path"]).bytes())
        return self._known[key]

    def write(self, name: str, files: Files) -> None:
        top = f"{self._prefix}/{name}"
        if old := [each["path"] for each in self._store.list(top).collect()]:
            self._store.delete(old)
        for file, content in files.items():
            self._store.put(f"{top}/{file}", content)

    def release_locks(self) -> None:
        found = [each["path"] for each in self._store.list(self._prefix).collect()]
        if leases := [path for path in found if "/leases/" in path]:
            self._store.delete(leases)
