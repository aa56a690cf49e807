"""Rows as they go out: every documented field, of its documented type, or null.

A row or a field that is not what it should be is reported and left out, and never stops the run:
it would be bought again for ever.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.clock import parse_timestamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MOST_LINES: Final = 20
"""Lines about bad rows and fields a run; a feed that changed a type would fill the log."""
_MOST_SHOWN: Final = 500
"""Characters of a bad row or field that a line shows."""

Row = dict[str, Any]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_timestamp(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(parse_timestamp(value))
    except ValueError:
        return False


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(item is None or isinstance(item, str) for item in value)


def _check_of(definition: Mapping[str, Any]) -> Callable[[object], bool]:
    if "array" in definition["type"]:
        return _is_texts
    return _is_timestamp if definition.get("format") == "date-time" else _is_text


class RowCleaner:
    """Turns the feed's rows into records of the stream's schema, and counts what it leaves out.

    Args:
        schema: The stream's own schema.
        emitted: The fields that the catalog's schema has; the others are left out.
        logger: Where bad rows and fields are reported.

    Attributes:
        left_out: Rows without a usable id, so far; they are not emitted.
        nulled: Fields of a wrong type, so far; they are emitted as null.
    """

    def __init__(
        self, schema: Mapping[str, Any], emitted: Container[str], logger: logging.Logger
    ) -> None:
        known = schema["properties"]
        self._known = known.keys()
        self._checks = {name: _check_of(known[name]) for name in known if name in emitted}
        self._logger = logger
        self._unknown_seen = False
        self.left_out = 0
        self.nulled = 0

    def clean(self, rows: Iterable[object]) -> Iterator[Row]:
        """Yield a record for each row that has a uuid as its id."""
        for row in rows:
            if not isinstance(row, dict) or not _is_id(row.get("id")):
                self.left_out += 1
                self._report("A row is left out: its id is not a uuid: %s", row)
                continue
            if not row.keys() <= self._known:
                self._report_unknown(row)
            yield {
                name: self._field(row, name, is_valid) for name, is_valid in self._checks.items()
            }

    def _field(self, row: Row, name: str, is_valid: Callable[[object], bool]) -> object:
        value = row.get(name)
        if value is None:
            return None
        if not is_valid(value):
            self.nulled += 1
            self._report(
                f"Field '{name}' of career site {row['id']} has a wrong type and becomes null: %s",
                value,
            )
            return None
        return _storable(value)

    def _report(self, message: str, shown: object) -> None:
        count = self.left_out + self.nulled
        if count <= _MOST_LINES:
            text = ascii(shown)
            self._logger.error(message, text[:_MOST_SHOWN] + "..." * (len(text) > _MOST_SHOWN))
        if count == _MOST_LINES:
            self._logger.error("Further bad rows and fields are counted, not shown.")

    def _report_unknown(self, row: Row) -> None:
        if not self._unknown_seen:
            self._unknown_seen = True
            self._logger.warning(
                "The API sends fields that this version of tap-jobo does not know; they are left "
                "out: %s. A newer version may know them.",
                ", ".join(ascii(name) for name in sorted(row.keys() - self._known)),
            )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _storable(value: object) -> object:
    """Take out what databases and JSON writers refuse: NUL, and halves of surrogate pairs."""
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        if "\0" in value:
            value = value.replace("\0", "")
        if not value.isascii() and _SURROGATE.search(value):
            value = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    return value
