"""The names of the journal's objects: all that the journal knows of a page stands in them.

One listing then tells what there is, and no page has to be read to know about it. Per page there
are two objects in the folder of its scan:

    pages/OWNER/SCAN.BASE.REPLACES.RESTARTS.SINCE.STARTED_AT.BATCH_SIZE/
        NUMBER.CURSOR.CREDITS.RECEIVED_AT.page     its body, written before anything looks at it
        NUMBER.CURSOR.FOLLOWING.ROWS.TALLY.note    empty, written when it has been read

Names hold only characters that every store takes as they are: letters, digits, `-`, `_` and `.`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from tap_jobo.journal.page_store import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGES: Final = "pages"
_LONGEST: Final = 500
"""Bytes; stores allow 1,024, of which the prefix needs some."""
_NONE: Final = "_"
"""Stands for None; no text is written so, since `_` is always followed by two digits there."""


def page_name(entry: Entry) -> str:
    """Return the name of the object that holds a page."""
    return (
        f"{_folder(entry)}/{_joined(_number(entry), entry.cursor, entry.credits)}."
        f"{_written(entry.received_at)}.page"
    )


def note_name(entry: Entry) -> str:
    """Return the name of the object that says what reading a page has shown.

    It is empty where the name would be too long: the page can be read again to know.
    """
    shown = _joined(_number(entry), entry.cursor, entry.following, entry.rows, entry.tally)
    name = f"{_folder(entry)}/{shown}.note"
    return name if len(name) <= _LONGEST else ""


def read_names(names: Iterable[str]) -> dict[str, Entry]:
    """Return what a listing tells: the entries of the pages, by the names of their objects.

    Raises:
        ValueError: A name is not one of ours; the text is that name.
    """
    pages: dict[str, Entry] = {}
    notes: dict[tuple[str, str], tuple[str, ...]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        *parts, kind = file.split(".")
        if kind == "page":
            pages[name] = _read_page(name, folder, parts)
        elif kind == "note" and len(parts) == 5:  # noqa: PLR2004 - as `note_name` writes it
            number, cursor, *shown = parts
            notes[folder, f"{number}.{cursor}"] = tuple(shown)
        else:
            raise ValueError(name)
    return {name: _with_note(name, entry, notes) for name, entry in pages.items()}


def page_part(name: str) -> tuple[str, str]:
    """Return what the names of a page and its note have in common: folder, number and cursor."""
    folder, _, file = name.rpartition("/")
    return folder, ".".join(file.split(".")[:2])


def _read_page(name: str, folder: str, parts: list[str]) -> Entry:
    try:
        _, owner, scan_part = folder.split("/")
        scan, base, replaces, restarts, since, started_at, batch_size = scan_part.split(".")
        number, cursor, cost, received_at = parts
        return Entry(
            owner=_text(owner),
            scan=_text(scan),
            base=None if base == _NONE else _text(base),
            replaces=_text(replaces),
            restarts=int(restarts),
            since=_text(since),
            started_at=_text(started_at),
            batch_size=int(batch_size),
            number=int(number),
            cursor=_text(cursor),
            following=None,
            rows=None,
            credits=int(cost),
            received_at=_text(received_at),
        )
    except ValueError as error:
        raise ValueError(name) from error


def _with_note(name: str, entry: Entry, notes: dict[tuple[str, str], tuple[str, ...]]) -> Entry:
    note = notes.get(page_part(name))
    if note is None:
        return entry
    following, rows, tally = note
    try:
        return replace(
            entry,
            following=None if following == _NONE else _text(following),
            rows=None if rows == _NONE else int(rows),
            tally=_text(tally),
        )
    except ValueError as error:
        raise ValueError(name) from error


def _folder(entry: Entry) -> str:
    scan = _joined(
        entry.scan,
        entry.base,
        entry.replaces,
        entry.restarts,
        entry.since,
        entry.started_at,
        entry.batch_size,
    )
    return f"{PAGES}/{_written(entry.owner)}/{scan}"


def _number(entry: Entry) -> str:
    return f"{entry.number:010}"


def _joined(*values: str | int | None) -> str:
    return ".".join(map(_written, values))


def _written(value: str | int | None) -> str:
    """Return a value without the characters that have a meaning in names."""
    if value is None:
        return _NONE
    return re.sub("[_.~]", lambda odd: f"%{ord(odd[0]):02X}", quote(str(value), safe="")).replace(
        "%", "_"
    )


def _text(written: str) -> str:
    return unquote(written.replace("_", "%"), errors="strict")
