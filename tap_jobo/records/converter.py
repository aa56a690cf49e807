"""Rows as they go out: every documented field, of its documented type, or null.

A row or a field that is not what it should be is reported and left out, and never stops the run:
it would be bought again for ever.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Required, TypedDict

import msgspec

from tap_jobo.clock import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_RFC_3339: Final = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
"""Without a flag, which would not go along to msgspec."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MOST_LINES: Final = 20
"""Lines about bad rows and fields a run; a feed that changed a type would fill the log."""
_MOST_SHOWN: Final = 500
"""Characters of a bad row or field that a line shows."""

Row = dict[str, Any]
Converter = Callable[[Any], Any]
"""Makes of a value what is emitted: the value, fit for databases, or null."""


class RecordConverter:
    """Turns what the API returns into records of a schema, and counts what it leaves out.

    Args:
        schema: The stream's own schema.
        emitted: The fields that the catalog's schema has; the others are left out.
        logger: Where bad rows and fields are reported.

    Attributes:
        skipped: Rows without a usable id, so far; they are not emitted.
        nulled: Values of a wrong type, so far; they are emitted as null.
    """

    def __init__(
        self, schema: Mapping[str, Any], emitted: Container[str], logger: logging.Logger
    ) -> None:
        self._logger = logger
        self._row_id = ""
        self._unknown_seen = False
        self._record = self._object_converter(schema["properties"], "", emitted)
        self._plain = _PlainRows(schema["properties"], emitted)
        self.skipped = 0
        self.nulled = 0

    def clean(self, rows: Sequence[object], *, is_plain: bool = False) -> Iterable[Row]:
        """Return a record for each row that has a uuid as its id.

        Args:
            rows: The rows as they came.
            is_plain: Whether no text in them can hold what databases refuse. All rows at once are
                then taken the fast way, if there is nothing in them to report.
        """
        records = self._plain.records(rows) if is_plain else None
        return self._clean_each(rows) if records is None else records

    def _clean_each(self, rows: Sequence[object]) -> Iterator[Row]:
        for row in rows:
            if isinstance(row, dict) and is_uuid(row.get("id")):
                self._row_id = row["id"]
                yield self._record(row)
            else:
                self.skipped += 1
                self._report(self.skipped, "A row is left out: its id is not a uuid: %s", row)

    def _converter(self, definition: Mapping[str, Any], path: str) -> Converter:
        """Return the converter of a field, or of an item of a list, by its schema."""
        kind = next(kind for kind in definition["type"] if kind != "null")
        if kind == "object":
            return self._object_converter(definition["properties"], f"{path}.")
        if kind == "array":
            return self._array_converter(definition["items"], path)
        is_valid = _CHECKS[definition.get("format", kind)]
        finish = _with_zone if definition.get("format") == "date-time" else sanitize_text

        def convert(value: Any) -> Any:
            if value is None:
                return None
            return finish(value) if is_valid(value) else self._wrong(value, path)

        return convert

    def _array_converter(self, items: Mapping[str, Any], path: str) -> Converter:
        convert_item = self._converter(items, f"{path}[]")
        is_text = "string" in items["type"]

        def convert(value: Any) -> Any:
            if value is None:
                return None
            if not isinstance(value, list) or (
                is_text and not all(item is None or isinstance(item, str) for item in value)
            ):
                return self._wrong(value, path)
            return [convert_item(item) for item in value]

        return convert

    def _object_converter(
        self, properties: Mapping[str, Any], prefix: str, emitted: Container[str] | None = None
    ) -> Converter:
        known = properties.keys()
        converters = {
            name: self._converter(definition, prefix + name)
            for name, definition in properties.items()
            if emitted is None or name in emitted
        }

        def convert(value: Any) -> Any:
            if value is None:
                return None
            if not isinstance(value, dict):
                return self._wrong(value, prefix.rstrip("."))
            if not value.keys() <= known:
                self._report_unknown(prefix + name for name in value.keys() - known)
            return {name: convert(value.get(name)) for name, convert in converters.items()}

        return convert

    def _wrong(self, value: object, path: str) -> None:
        self.nulled += 1
        self._report(
            self.nulled,
            f"Field '{path}' of company {self._row_id} has a wrong type and becomes null: %s",
            value,
        )

    def _report(self, count: int, message: str, shown: object) -> None:
        if count <= _MOST_LINES:
            text = ascii(shown)
            self._logger.error(message, text[:_MOST_SHOWN] + "..." * (len(text) > _MOST_SHOWN))
        if count == _MOST_LINES:
            self._logger.error("Further ones are counted, not shown.")

    def _report_unknown(self, names: Iterable[str]) -> None:
        if not self._unknown_seen:
            self._unknown_seen = True
            self._logger.warning(
                "The API sends fields that this version of tap-jobo does not know; they are left "
                "out: %s. A newer version may know them.",
                ", ".join(map(ascii, sorted(names))),
            )


class _PlainRows:
    """The fast way for rows in which all is as documented: one check of all rows, in C.

    Args:
        properties: The fields of the stream's schema.
        emitted: Those that are emitted.
    """

    def __init__(self, properties: Mapping[str, Any], emitted: Container[str]) -> None:
        names = [name for name in properties if name in emitted]
        self._nulls: Row = dict.fromkeys(names)
        self._timestamps = [n for n in names if properties[n].get("format") == "date-time"]
        self._known = properties.keys()
        types = {name: _TYPES.get(_kind(properties[name])) for name in names}
        # A schema with other fields, such as lists of objects, has no fast way.
        self._type = list[TypedDict("Row", types, total=False)] if all(types.values()) else None  # type: ignore[misc,operator]

    def records(self, rows: Sequence[object]) -> list[Row] | None:
        """Return the records, None where a row has anything that must be looked at closely."""
        if self._type is None:
            return None
        try:
            records: list[Row] = msgspec.convert(rows, self._type)
        except msgspec.ValidationError:
            return None
        if any(not row.keys() <= self._known for row in rows):  # type: ignore[attr-defined]
            return None
        if not all(self._is_timely(record) for record in records):
            return None
        return [self._nulls | record for record in records]

    def _is_timely(self, record: Row) -> bool:
        """Tell whether date-times, of which the pattern was checked, are days of the calendar."""
        for name in self._timestamps:
            if value := record.get(name):
                try:
                    datetime.fromisoformat(value)
                except ValueError:
                    return False
        return True


def _kind(definition: Mapping[str, Any]) -> str:
    """Return a field's format, or its type, with that of its items where it is a list."""
    kind = next(kind for kind in definition["type"] if kind != "null")
    if kind == "array":
        return f"list of {_kind(definition['items'])}"
    return str(definition.get("format", kind))


_TYPES: Final[dict[str, Any]] = {
    "string": str | None,
    "list of string": list[str | None] | None,
    "uuid": Required[Annotated[str, msgspec.Meta(pattern=rf"^(?i:{_UUID.pattern})\Z")]],
    # Years that no offset leads out of the calendar.
    "date-time": Annotated[str, msgspec.Meta(pattern=rf"^(?=[12]){_RFC_3339.pattern}\Z")] | None,
}
"""The types of msgspec that accept just what needs no change, by `_kind`."""


def is_uuid(value: object) -> bool:
    """Tell whether a value is a uuid in its usual text form."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def sanitize_text(value: Any) -> Any:
    """Take out of text what databases and JSON writers refuse.

    NUL characters go, halves of surrogate pairs become U+FFFD; other values stay as they are.
    """
    if isinstance(value, str):
        if "\0" in value:
            value = value.replace("\0", "")
        if not value.isascii() and _SURROGATE.search(value):
            value = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _with_zone(text: str) -> str:
    """Pass a date-time on as it is, but for one without a zone, which would not be one."""
    return text if _RFC_3339.fullmatch(text) else format_timestamp(parse_timestamp(text))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_timestamp(value: object) -> bool:
    try:
        return isinstance(value, str) and ":" in value and bool(parse_timestamp(value))
    except ValueError:
        return False


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


_CHECKS: Final[dict[str, Callable[[Any], bool]]] = {
    "string": _is_text,
    "uuid": is_uuid,
    "date-time": _is_timestamp,
    "integer": _is_integer,
    "number": _is_number,
    "boolean": _is_boolean,
}
"""The check of each JSON schema format, or type where there is no format."""
