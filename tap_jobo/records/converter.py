"""Converts rows to records: each field of the schema has its documented type or is null.

A single row or field that does not match the documentation is reported but never stops the run:
it would be billed again and again. The caller decides whether a whole page is damaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_jobo.records.fields import Problem, field_converter, object_converter, unknown_fields
from tap_jobo.records.rescue import RESCUED_DATA, rescue
from tap_jobo.records.row_check import RowCheck, row_type
from tap_jobo.records.row_log import RowLog
from tap_jobo.records.uuids import parse_uuid

if TYPE_CHECKING:
    import logging
    from collections.abc import Container, Mapping, Sequence

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of converting a page's rows; nothing has been emitted yet.

    Attributes:
        records: One per row with a usable id, in order.
        skipped: The rows without a usable id, as received.
        damaged: For `id` and each field that is never null, the number of rows in which it is
            missing, null, or of the wrong type. A row that is not a JSON object counts for all.
        rows: The number of rows.
    """

    records: Sequence[Row]
    skipped: Sequence[object]
    damaged: Mapping[str, int]
    rows: int


class RecordConverter:
    """Converts the rows of a stream to records, and reports what does not match its schema.

    Args:
        schema: The stream's own schema. Values that do not fit are kept in its field
            `_rescued_data`, if it has one.
        emitted: The fields that the catalog selects, including `id`.
        logger: Where single rows and fields are reported.
        never_null: The fields besides `id` that the API documents as never null.

    Attributes:
        row_type: The msgspec type of rows that `complete` makes records of.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        emitted: Container[str],
        logger: logging.Logger,
        *,
        never_null: Sequence[str] = (),
    ) -> None:
        # A field that a row itself calls _rescued_data is unknown, like any other.
        fields = {name: kind for name, kind in schema["properties"].items() if name != RESCUED_DATA}
        self._known = frozenset(fields)
        self._is_rescuing = RESCUED_DATA in schema["properties"] and RESCUED_DATA in emitted
        self._convert_row = object_converter(fields, "", emitted)
        self._check = RowCheck({name: fields[name] for name in fields if name in emitted})
        self._deselected = [name for name in fields if name not in emitted]
        self.row_type = row_type(
            fields,
            checked=[name for name in fields if name in emitted or name in never_null],
            required=never_null,
        )
        self._never_null = {name: field_converter(fields[name], name) for name in never_null}
        self._log = RowLog(logger, is_rescuing=self._is_rescuing)

    @property
    def skipped(self) -> int:
        """Rows without a usable id, so far; they are not emitted."""
        return self._log.skipped

    @property
    def nulled(self) -> int:
        """Values of the wrong type, so far; they are emitted as null."""
        return self._log.nulled

    def convert(self, rows: Sequence[object], *, is_plain: bool = False) -> Conversion:
        """Convert the rows of a page.

        Args:
            rows: The rows, as they were parsed from JSON.
            is_plain: Whether they are known to be free of NUL characters, lone surrogates,
                infinities, and NaN. Only then can a whole row be checked at once, which is faster.
        """
        records: list[Row] = []
        skipped: list[object] = []
        for row in rows:
            record = self._record(row, is_plain=is_plain)
            if record is None:
                skipped.append(row)
            else:
                records.append(record)
        damaged = {name: self._damage(name, rows) for name in self._never_null}
        return Conversion(records, skipped, {"id": len(skipped), **damaged}, len(rows))

    def complete(self, rows: list[Row]) -> Conversion:
        """Make records of a page's rows, in place, that were all parsed as `row_type`.

        Args:
            rows: The rows as objects, without NUL characters.
        """
        for row in rows:
            for name in self._deselected:
                del row[name]
            if self._is_rescuing:
                row[RESCUED_DATA] = None
        return Conversion(rows, [], dict.fromkeys(("id", *self._never_null), 0), len(rows))

    def _record(self, row: Any, *, is_plain: bool) -> Row | None:
        """Return the record of a row, None if it has no usable id."""
        problems: list[Problem] = []
        record: Row | None = self._check.record(row) if is_plain else None
        if record is None:
            if not isinstance(row, dict) or parse_uuid(row.get("id")) is None:
                self._log.row_skipped(row)
                return None
            record = self._convert_row(row, problems)
        elif not self._known.issuperset(row):
            problems = unknown_fields(row, self._known, "")
        if problems:
            self._log.problems_found(problems, str(parse_uuid(row["id"])))
        if self._is_rescuing:
            record[RESCUED_DATA] = rescue(problems)
        return record

    def _damage(self, name: str, rows: Sequence[object]) -> int:
        convert = self._never_null[name]
        return sum(not isinstance(row, dict) or convert(row.get(name), []) is None for row in rows)
