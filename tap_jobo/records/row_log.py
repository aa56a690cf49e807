"""Log lines about single rows and fields that do not match the documentation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

    from tap_jobo.records.fields import Problem

_MAX_LINES: Final = 20
"""Log lines per run about skipped rows, and as many about fields of the wrong type."""
_MAX_SHOWN: Final = 500
"""Characters of a row or value that a log line shows."""
_INDEX: Final = re.compile(r"\[[0-9]+\]")


class RowLog:
    """Reports and counts rows that are skipped and values of the wrong type.

    Args:
        logger: Where to report them.
        is_rescuing: Whether records keep the values that do not fit in `_rescued_data`.

    Attributes:
        skipped: Rows without a usable id, so far.
        nulled: Values of the wrong type, so far.
    """

    def __init__(self, logger: logging.Logger, *, is_rescuing: bool) -> None:
        self._logger = logger
        self._is_rescuing = is_rescuing
        self._is_unknown_reported = False
        self.skipped = 0
        self.nulled = 0

    def row_skipped(self, row: object) -> None:
        """Report a row without a usable id."""
        self.skipped += 1
        self._error(self.skipped, "Row skipped because its id is not a UUID: %s", _shown(row))

    def problems_found(self, problems: Iterable[Problem], row_id: str) -> None:
        """Report the values of a row that are not emitted as received."""
        unknown = {_INDEX.sub("[]", each.path) for each in problems if each.is_unknown}
        if unknown and not self._is_unknown_reported:
            self._is_unknown_reported = True
            self._warn_of_unknown(", ".join(map(ascii, sorted(unknown))))
        for problem in problems:
            if not problem.is_unknown:
                self.nulled += 1
                self._error(
                    self.nulled,
                    "Field '%s' of row %s has the wrong type and is emitted as null: %s",
                    problem.path,
                    row_id,
                    _shown(problem.value),
                )

    def _warn_of_unknown(self, names: str) -> None:
        kept = "They are kept in" if self._is_rescuing else "They are dropped; to keep them, select"
        self._logger.warning(
            "Jobo sends fields that this version of tap-jobo does not know: %s. %s the field "
            "_rescued_data. A newer version of tap-jobo may know them.",
            _cut(names),
            kept,
        )

    def _error(self, count: int, message: str, *args: object) -> None:
        if count <= _MAX_LINES:
            self._logger.error(message, *args)
        if count == _MAX_LINES:
            self._logger.error("Further errors of this kind are counted but not logged.")


def _shown(value: object) -> str:
    try:
        return _cut(ascii(value))
    except RecursionError:
        return "(nested too deeply to be shown)"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
