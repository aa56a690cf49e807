"""The folder `.sandbox`: everything that is kept between runs."""

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from jobo_sandbox.core import Core

_LOCK = "lock"
_IGNORE = ".gitignore"


class RefusedError(Exception):
    """The options cannot be met; the message says why."""


@dataclass
class Saved:
    """What the next run needs to continue in the same world. The port is 0 before the first run."""

    seed: int = 1
    size: int = 300
    jobs: int = 600
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    balance: int = Core.balance
    api_port: int = 0


@dataclass(frozen=True)
class Folder:
    """The folder and the paths in it. All paths are absolute."""

    path: Path

    @classmethod
    def here(cls) -> Self:
        """The folder in the current directory, which may not exist yet."""
        return cls(Path.cwd() / ".sandbox")

    @property
    def postgres(self) -> Path:
        """The data of Postgres."""
        return self.path / "postgres"

    @property
    def container(self) -> Path:
        """The variables of a container."""
        return self.path / "container.env"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder if necessary, and lock it.

        Raises:
            RefusedError: If another run is using it.
        """
        self.path.mkdir(exist_ok=True)
        (self.path / _IGNORE).write_text("*\n")
        try:
            with FileLock(self.path / _LOCK, blocking=False):
                yield
        except Timeout as error:
            raise RefusedError(f"another sandbox is using {self.path}") from error

    def reset(self) -> None:
        """Delete everything from earlier runs. The lock stays held."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in {_LOCK, _IGNORE}:
                path.unlink()

    def load(self) -> Saved | None:
        """Load what the last run saved, if there was one."""
        path = self._state
        return Saved(**json.loads(path.read_text())) if path.exists() else None

    def save(self, saved: Saved) -> None:
        """Save atomically."""
        draft = self._state.with_suffix(".new")
        draft.write_text(json.dumps(asdict(saved), indent=1))
        draft.replace(self._state)

    @property
    def _state(self) -> Path:
        return self.path / "state.json"
