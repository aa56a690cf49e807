"""The companies that the settings name, and how far earlier runs got with their profiles."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from tap_jobo.errors import ConfigError
from tap_jobo.records.values import parse_uuid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


class NamedCompanies:
    """A list of company ids, each once."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = [*dict.fromkeys(ids)]
        self._hash = hashlib.sha256("".join(self.ids).encode()).hexdigest()[:16]

    def state(self, done: int) -> dict[str, Any]:
        """Return `{"ids_hash": str, "ids_done": int}` for the bookmark after `done` ids.

        Both are always written together: Meltano merges states key by key.
        """
        return {"ids_hash": self._hash, "ids_done": done}

    def done(self, state: Mapping[str, Any]) -> int:
        """Return how many ids an earlier run has read, by its part of the Singer state.

        It is 0, to read the list from the start, if that run read another list, or all of this one.
        """
        done = state.get("ids_done")
        if state.get("ids_hash") != self._hash or not isinstance(done, int):
            return 0
        return done if 0 < done < len(self.ids) else 0


def read_ids(path: Path) -> Iterator[str]:
    """Yield the UUIDs in a file, one per line; blank lines are ignored.

    Raises:
        ConfigError: The file cannot be read, or a line is not a UUID.
    """
    try:
        lines = path.expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"company_ids_file: {path} is not a readable text file ({type(error).__name__})."
        ) from error
    for number, line in enumerate(map(str.strip, lines), 1):
        if company_id := parse_uuid(line):
            yield company_id
        elif line:
            raise ConfigError(
                f"company_ids_file: line {number} of {path} must be the UUID of a company, not "
                f"{line[:60]!a}."
            )
