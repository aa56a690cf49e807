"""The folder `.sandbox`: all that outlives a run."""

import json
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from jobo_sandbox.companies import Json
from jobo_sandbox.switches import Switches

_LOCK = "lock"
_IGNORE = ".gitignore"


class InUseError(Exception):
    """Another run uses the folder."""


@dataclass
class State:
    """What a later run needs to go on in the same world.

    Attributes:
        seed: Of the world.
        size: Of the world.
        created_at: Of the world, in ISO 8601.
        changes: What was done to the world from outside (`World.changes`).
        secret: Signs cursors, in hexadecimal.
        balance: Credits in the wallet.
        requests: All ever, as are `rows` and `credits`.
        rows: Rows billed.
        credits: Credits billed.
        api_port: Where the API listened; 0 if it never did.
        postgres_port: Where Postgres listened.
    """

    seed: int = 1
    size: int = 300
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    changes: list[Json] = field(default_factory=list)
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    balance: int = Switches.balance
    requests: int = 0
    rows: int = 0
    credits: int = 0
    api_port: int = 0
    postgres_port: int = 0


@dataclass(frozen=True)
class Folder:
    """The folder and where things are in it. All paths are absolute."""

    path: Path

    @classmethod
    def here(cls) -> Self:
        """The folder in the current directory; it need not exist."""
        return cls(Path.cwd() / ".sandbox")

    @property
    def journal(self) -> Path:
        """Where the tap keeps its journal."""
        return self.path / "journal"

    @property
    def postgres(self) -> Path:
        """Where Postgres keeps its data."""
        return self.path / "postgres"

    @property
    def meltano(self) -> Path:
        """Meltano's system database."""
        return self.path / "meltano.db"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if need be, and have it for oneself.

        Raises:
            InUseError: If another run has it.
        """
        self.path.mkdir(exist_ok=True)
        (self.path / _IGNORE).write_text("*\n")
        # SQLite's lock works everywhere, and dies with its process.
        with closing(sqlite3.connect(self.path / _LOCK, timeout=0)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                raise InUseError(f"another sandbox uses {self.path}") from error
            yield

    def reset(self) -> None:
        """Remove what earlier runs left; the lock stays held."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in {_LOCK, _IGNORE}:
                path.unlink()

    def load(self) -> State | None:
        """The state that the last run left, if one did."""
        path = self._state
        return State(**json.loads(path.read_text())) if path.exists() else None

    def save(self, state: State) -> None:
        """Keep the state, as a whole or not at all."""
        draft = self._state.with_suffix(".new")
        draft.write_text(json.dumps(asdict(state), indent=1))
        draft.replace(self._state)

    @property
    def _state(self) -> Path:
        return self.path / "state.json"
