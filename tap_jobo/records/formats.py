"""What the rows of a page lack: fields that no row has, and nulls that are omitted."""

from collections.abc import Collection, Sequence

from tap_jobo.records.values import parse_uuid


def missing_fields(rows: Sequence[object], fields: Collection[str]) -> list[str]:
    """Return the fields that no row has, not even as null; none if no row shows the format.

    The rows with a usable id show it; if there are none, all objects do.
    """
    objects = [row for row in rows if isinstance(row, dict)]
    comparable = [row for row in objects if parse_uuid(row.get("id"))] or objects
    missing = dict.fromkeys(fields if comparable else ())
    for row in comparable:
        missing = {name: None for name in missing if name not in row}
    return [*missing]


def most_missing(rows: Sequence[object], fields: Collection[str]) -> list[str]:
    """Return the fields that no row has if they are most of all: then the format is another one.

    A single row shows too little: most fields of a company's profile may be missing.
    """
    missing = missing_fields(rows, fields)
    return missing if 2 * len(missing) > len(fields) else []


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
