"""Values that do not fit a record: they are logged, and kept in its field `_rescued_data`."""

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tap_jobo.records.values import sanitize_text

RESCUED_DATA: Final = "_rescued_data"  # as is customary in other loaders
_MAX_LINES: Final = 20  # per run about skipped rows, and as many about values of the wrong type
_MAX_SHOWN: Final = 500  # characters of a value that a log line shows
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A value that is not emitted as received."""

    path: str
    value: object
    is_unknown: bool = False


def rescue(problems: Sequence[Problem]) -> str | None:
    """Return a JSON object of the values by their paths, which Postgres accepts as JSONB."""
    values = {sanitize_text(each.path): _storable(each.value) for each in problems}
    return _ENCODER.encode(values) if values else None


class ProblemLog:
    """Logs rows that are skipped, unknown fields, and values of the wrong type."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._is_unknown_reported = False
        self._left_out: set[str] = set()
        self._lines: Counter[str] = Counter()

    def row_skipped(self, row: object, place: str, fate: str) -> None:
        """Log a row without a usable id, but not its other values, which may be about a person."""
        row_id = row.get("id") if isinstance(row, dict) else row
        text = "Skipped %s, because its id is not a UUID: %s.%s [rows-skipped]"
        self._error(text, place, _shown(row_id), fate)

    def field_left_out(self, name: str) -> None:
        """Log, once, a field that no row of a page has although it is never null."""
        if name not in self._left_out:
            self._left_out.add(name)
            self._logger.warning(
                "No row of a page has the field '%s'. The page has no nulls either, so Jobo leaves "
                "them out: the field is null in these rows.",
                name,
            )

    def problems_found(self, problems: Sequence[Problem], row_id: str) -> None:
        """Log the values of a row that are not emitted as received."""
        unknown = {re.sub(r"\[\d+\]", "[]", each.path) for each in problems if each.is_unknown}
        if unknown and not self._is_unknown_reported:
            self._is_unknown_reported = True
            self._logger.warning(
                "Unknown fields in Jobo's response: %s. Their values are in _rescued_data, if it "
                "is selected. Upgrade tap-jobo, or renew the catalog, to get them as columns. "
                "[new-fields]",
                _cut(", ".join(map(ascii, sorted(unknown)))),
            )
        for each in problems:
            if not each.is_unknown:
                text = (
                    "Field '%s' of row %s has a value of the wrong type: %s. It is in "
                    "_rescued_data, if that is selected. Upgrade tap-jobo. [new-fields]"
                )
                self._error(text, each.path, row_id, _shown(each.value))

    def _error(self, message: str, *args: object) -> None:
        self._lines[message] += 1
        if self._lines[message] <= _MAX_LINES:
            self._logger.error(message, *args)
        if self._lines[message] == _MAX_LINES:
            self._logger.error("Further errors of this kind are not logged.")


def _shown(value: object) -> str:
    return _cut(ascii(_storable(value)))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _storable(value: object) -> object:
    try:
        return _sanitize(value)
    except RecursionError:
        return "nested too deeply"


def _sanitize(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize_text(value)
    if isinstance(value, dict):
        return {sanitize_text(name): _sanitize(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_sanitize(item) for item in value]
    is_json = not isinstance(value, float) or math.isfinite(value)
    return value if is_json else str(value)
