"""Converts rows to records: each field of the schema has its documented type or is null.

A single row or field that does not match the documentation is logged but never stops the run:
it would be billed again and again. The caller decides whether a whole page is damaged.
"""

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tap_jobo.messages import message
from tap_jobo.records.fields import Problem, field_converter, object_converter, object_type
from tap_jobo.records.values import ERASED, parse_uuid, sanitize_text

Row = dict[str, Any]
RESCUED_DATA: Final = "_rescued_data"  # as is customary in other loaders
_MAX_LINES: Final = 20  # per run about skipped rows, and as many about values of the wrong type
_MAX_SHOWN: Final = 500  # characters of a value that a log line shows
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of converting a page's rows; nothing has been emitted yet."""

    records: Sequence[Row]  # one per row with a usable id, in order
    skipped: Mapping[int, object]  # those without one, by their numbers in the page, from 1


class RecordConverter:
    """Converts the rows of a stream to records, and logs what does not match its schema."""

    def __init__(
        self,
        schema: Mapping[str, Any],
        logger: logging.Logger,
        never_null: Sequence[str] = (),
        deselected: Collection[str] = (),  # paths, such as `company.name`
    ) -> None:
        # A field that a row itself calls _rescued_data is unknown, like any other.
        fields = {name: each for name, each in schema["properties"].items() if name != RESCUED_DATA}
        self._is_rescuing = RESCUED_DATA in schema["properties"]
        self.fields = fields
        self._convert_row = object_converter(fields)
        self._never_null = {name: field_converter(fields[name]) for name in never_null}
        self._logger = logger
        self._lines: Counter[str] = Counter()  # that were logged, by their kind
        self._deselected = [f"{path}." for path in deselected]
        self.row_type = object_type(fields, {"id", *never_null})

    def convert(self, rows: Sequence[object]) -> Conversion:
        """Convert the rows of a page, without those that were erased."""
        records: list[Row] = []
        skipped: dict[int, object] = {}
        for number, row in enumerate(rows, 1):
            row_id = parse_uuid(row.get("id")) if isinstance(row, dict) else None
            if row_id:
                records.append(self._record(row, row_id))
            elif row != ERASED:
                skipped[number] = row
        return Conversion(records, skipped)

    # What all rows of a page show, before they are converted, which may change them

    def unusable(self, rows: Sequence[object]) -> list[str]:
        """Return `id` and the fields that are never null, as far as no row has them usable.

        An explicit null is data. A row that is not a JSON object has no field.
        """
        names = [name for name in self._never_null if all(self._is_bad(row, name) for row in rows)]
        has_id = any(isinstance(row, dict) and parse_uuid(row.get("id")) for row in rows)
        return names if has_id else ["id", *names]

    def log_skipped(
        self,
        rows: Mapping[int, object],
        page: str = "a page",
        known: Mapping[str, str | None] | None = None,
    ) -> None:
        """Log rows without a usable id, but not their other values, which may be about a person.

        Args:
            rows: The rows, by their numbers in the page.
            page: Which page that is, and what each row has cost.
            known: What the message may name.
        """
        for number, row in rows.items():
            row_id = _shown(row.get("id") if isinstance(row, dict) else row)
            fact = f"Skipped row {number} of {page}, because its id is not a UUID: {row_id}."
            self._error("skipped rows", message("rows-skipped", fact, **(known or {})))

    def _is_deselected(self, problem: Problem) -> bool:
        """Return whether a value must be neither emitted nor logged."""
        path = re.sub(r"\[\d+\]", "", problem.path) + "."
        return any(path.startswith(each) for each in self._deselected)

    def _is_bad(self, row: Any, name: str) -> bool:
        if not isinstance(row, dict) or name not in row:
            return True
        return row[name] is not None and self._never_null[name](row[name], name, []) is None

    def complete(self, rows: list[Row]) -> list[Row]:
        """Make records, in place, of rows that were parsed as `row_type` and have no NUL."""
        if self._is_rescuing:
            for row in rows:
                row[RESCUED_DATA] = None
        return rows

    def _record(self, row: Any, row_id: str) -> Row:
        problems: list[Problem] = []
        record: Row = self._convert_row(row, "", problems)
        problems = [each for each in problems if not self._is_deselected(each)]
        if problems:
            self._log_problems(problems, row_id)
        if self._is_rescuing:
            record[RESCUED_DATA] = rescue(problems)
        return record

    def _log_problems(self, problems: Sequence[Problem], row_id: str) -> None:
        unknown = {re.sub(r"\[\d+\]", "[]", each.path) for each in problems if each.is_unknown}
        if unknown and not self._lines["unknown fields"]:
            self._lines["unknown fields"] = 1
            names = _cut(", ".join(map(ascii, sorted(unknown))))
            fact = f"Jobo sent unknown fields: {names}."
            self._logger.warning("%s", message("new-fields", fact))
        for each in problems:
            if not each.is_unknown:
                fact = (
                    f"Field '{each.path}' of row {row_id} has the wrong type: _rescued_data keeps "
                    f"{_shown(each.value)}."
                )
                self._error("values", message("new-fields", fact))

    def _error(self, kind: str, text: str) -> None:
        self._lines[kind] += 1
        if self._lines[kind] <= _MAX_LINES:
            self._logger.error("%s", text)
        if self._lines[kind] == _MAX_LINES:
            self._logger.error("Further errors of this kind are not logged.")


# Values that do not fit a record: they are logged, and kept in its field `_rescued_data`


def rescue(problems: Sequence[Problem]) -> str | None:
    """Return a JSON object of the values by their paths, which Postgres accepts as JSONB."""
    values = {sanitize_text(each.path): _storable(each.value) for each in problems}
    return _ENCODER.encode(values) if values else None


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


def most_missing(rows: Sequence[object], fields: Collection[str]) -> list[str]:
    """Return the fields that no row has, not even as null, if they are most of all.

    Then the format is another one. The rows with a usable id show it; if there are none, all
    objects do.
    """
    objects = [row for row in rows if isinstance(row, dict)]
    comparable = [row for row in objects if parse_uuid(row.get("id"))] or objects
    missing = [name for name in fields if not any(name in row for row in comparable)]
    return missing if comparable and 2 * len(missing) > len(fields) else []
