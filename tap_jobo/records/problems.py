"""Values that do not fit a record: they are logged, and kept in its field `_rescued_data`."""

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tap_jobo.messages import message
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
        self._lines: Counter[str] = Counter()

    def row_skipped(self, row: object, place: str, known: Mapping[str, str | None]) -> None:
        """Log a row without a usable id, but not its other values, which may be about a person."""
        row_id = row.get("id") if isinstance(row, dict) else row
        fact = f"Skipped {place}, because its id is not a UUID: {_shown(row_id)}."
        self._error("skipped rows", message("rows-skipped", fact, **known))

    def problems_found(self, problems: Sequence[Problem], row_id: str) -> None:
        """Log the values of a row that are not emitted as received."""
        unknown = {re.sub(r"\[\d+\]", "[]", each.path) for each in problems if each.is_unknown}
        if unknown and not self._is_unknown_reported:
            self._is_unknown_reported = True
            names = _cut(", ".join(map(ascii, sorted(unknown))))
            fact = f"Jobo sent unknown fields: {names}."
            self._logger.warning("%s", message("new-fields", fact))
        for each in problems:
            if not each.is_unknown:
                fact = (
                    f"Field '{each.path}' of row {row_id} has a value of the wrong type: "
                    f"{_shown(each.value)}."
                )
                self._error("values", message("new-fields", fact))

    def _error(self, kind: str, text: str) -> None:
        self._lines[kind] += 1
        if self._lines[kind] <= _MAX_LINES:
            self._logger.error("%s", text)
        if self._lines[kind] == _MAX_LINES:
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
