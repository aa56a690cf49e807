"""Signs that all rows of a page are written in another way than documented."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tap_jobo.records.values import fold_name, parse_uuid


def comparable_rows(rows: Sequence[object]) -> list[dict[str, Any]]:
    """Return the rows that show a page's format: those with a usable id, otherwise all objects."""
    objects = [row for row in rows if isinstance(row, dict)]
    return [row for row in objects if parse_uuid(row.get("id"))] or objects


def renamed_fields(rows: Sequence[dict[str, Any]], fields: Mapping[str, Any]) -> set[str]:
    """Return the paths of fields that no row has, but each under a name with other case.

    For example, `listing_url` if each row has `listingUrl`. Fields of nested objects count too.
    """
    found: set[str] | None = None
    for row in rows:
        here = {*_renamed(row, fields, "")}
        found = here if found is None else found & here
        if not found:  # as soon as one row is as documented
            break
    return found or set()


def _renamed(value: object, fields: Mapping[str, Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    unknown = {fold_name(name) for name in value if name not in fields}
    for name, definition in fields.items():
        if name not in value:
            if fold_name(name) in unknown:
                yield path + name
            continue
        members = definition.get("items", definition).get("properties", {})
        for each in value[name] if isinstance(value[name], list) else [value[name]]:
            yield from _renamed(each, members, f"{path}{name}.") if members else ()


def missing_fields(rows: Sequence[dict[str, Any]], fields: Collection[str]) -> list[str]:
    """Return the fields that no row has, not even as null, if they are more than half of all."""
    present: set[str] = set()
    for row in rows:
        present |= row.keys() & fields
        if 2 * len(present) >= len(fields):
            return []
    return [name for name in fields if name not in present] if rows else []


def writes_nulls(rows: Sequence[object]) -> bool:
    """Return whether a member of an object is null: some APIs leave such members out instead."""
    waiting: list[object] = [*rows]
    while waiting:  # not recursive, since an unknown field may be nested deeply
        value = waiting.pop()
        if isinstance(value, dict):
            members = [*value.values()]
            if any(member is None for member in members):
                return True
            waiting += members
        elif isinstance(value, list):
            waiting += value
    return False
