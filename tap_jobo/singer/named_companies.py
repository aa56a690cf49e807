"""The companies that the settings name, and how far earlier runs got with their profiles.

The state of `companies` is `{"ids_hash": "0c9e7b6d2a574f0e", "ids_done": 150}`: the hash of the
list, and how many of its ids are done, from the first one on. Meltano merges states key by key, so
both keys are always written together, and none is ever an object.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tap_jobo.errors import ConfigError, StateError
from tap_jobo.records.values import parse_uuid

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence


class NamedCompanies:
    """A list of company ids.

    Args:
        ids: The ids, in lower case; empty if a file has them.
        path: The file that has them, one per line.

    Attributes:
        count: How many there are.

    Raises:
        ConfigError: The file cannot be read, or a line is not a uuid.
    """

    def __init__(self, ids: Sequence[str], path: Path | None = None) -> None:
        self._ids = ids
        self._path = path
        digest = hashlib.sha256()
        self.count = 0
        for company_id in self:  # checks all of them before the first request
            digest.update(company_id.encode())
            self.count += 1
        self._hash = digest.hexdigest()[:16]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Return the companies that the settings name, none if they name none.

        Raises:
            ConfigError: As for the class.
        """
        if name := config.get("company_ids_file"):
            return cls((), Path(name).expanduser())
        return cls([*dict.fromkeys(map(str.lower, config.get("company_ids", ())))])

    def __iter__(self) -> Iterator[str]:
        return _read_ids(self._path) if self._path else iter(self._ids)

    def state(self, done: int) -> dict[str, Any]:
        """Return the part of the Singer state after so many ids."""
        return {"ids_hash": self._hash, "ids_done": done}

    def done(self, state: Mapping[str, Any], logger: logging.Logger) -> int:
        """Return how many ids to pass over, because an earlier run wrote their profiles.

        Args:
            state: The part of the Singer state.
            logger: Where it is said why the list is continued or read from the start.

        Raises:
            StateError: This tap did not write the state.
        """
        list_hash, done = state.get("ids_hash"), state.get("ids_done")
        if list_hash is None:
            return 0
        if not isinstance(done, int) or isinstance(done, bool) or done < 0:
            raise StateError(
                "The state is not from this tap: 'ids_done' of bookmarks.companies must be a whole "
                "number, 0 or more. Pass the state that the last run wrote, or none."
            )
        if list_hash != self._hash:
            logger.info("The list of company ids is new: its profiles are read from the start.")
        elif done >= self.count:
            logger.info(
                "An earlier run read all of the %s profiles: they are read again from the start.",
                f"{self.count:,}",
            )
        else:
            progress = f"{done:,} of {self.count:,}"
            logger.info("Resuming the list of company ids after %s.", progress)
            return done
        return 0


def _read_ids(path: Path) -> Iterator[str]:
    """Yield the uuids in a file, one per line; blank lines are ignored.

    Raises:
        ConfigError: The file cannot be read, or a line is not a uuid.
    """
    if not path.is_file():
        raise ConfigError(
            f"Setting 'company_ids_file' must be the path of a file, which {path} is not."
        )
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                company_id = line.strip()
                if company_id and not parse_uuid(company_id):
                    raise ConfigError(
                        f"Setting 'company_ids_file': line {number} of {path} must be the uuid of "
                        f"a company, not {company_id[:60]!a}."
                    )
                if company_id:
                    yield parse_uuid(company_id) or company_id
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Setting 'company_ids_file' must be the path of a readable text file: {path} "
            f"({type(error).__name__})."
        ) from error
