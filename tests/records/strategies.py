"""Rows for hypothesis: as a schema documents them, and odd ones."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
"""Text that every database takes."""
ANY_TEXT = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\ud800"), max_size=5)
TIMES = st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-][0-2][0-9]:[0-5][0-9])?",
    fullmatch=True,
)
"""Date-times of every form, and some that only look like one."""
SCALARS: dict[str, SearchStrategy[Any]] = {
    "string": PLAIN,
    "uuid": st.uuids().map(str),
    "date-time": st.datetimes().map(lambda instant: f"{instant.isoformat()}Z") | TIMES,
    "integer": st.integers(),
    "number": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}


def json_values(texts: SearchStrategy[str], floats: SearchStrategy[float]) -> SearchStrategy[Any]:
    """Any JSON value."""
    leaves = st.none() | st.booleans() | st.integers() | floats | texts | TIMES
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
        max_leaves=4,
    )


PLAIN_JSON = json_values(PLAIN, st.floats(allow_nan=False, allow_infinity=False))
ANY_JSON = json_values(ANY_TEXT, st.floats())


def documented(definition: Mapping[str, Any]) -> SearchStrategy[Any]:
    """Values as a schema documents them."""
    kind = next(kind for kind in definition["type"] if kind != "null")
    if kind == "array":
        values: SearchStrategy[Any] = st.lists(documented(definition["items"]), max_size=2)
    elif kind == "object":
        values = documented_object(definition["properties"])
    else:
        values = SCALARS[definition.get("format", kind)]
    return values | st.none() if "null" in definition["type"] else values


def documented_object(properties: Mapping[str, Any]) -> SearchStrategy[dict[str, Any]]:
    """Objects as a schema documents them; fields that may be null may be missing."""
    members = {name: documented(definition) for name, definition in properties.items()}
    required = {name: members.pop(name) for name in ["id"] if len(properties) > 10}
    return st.fixed_dictionaries(required, optional=members)


def rows_of(
    properties: Mapping[str, Any], junk: SearchStrategy[Any], required: Mapping[str, Any]
) -> SearchStrategy[Any]:
    """Rows as a schema documents them, or with what is required and some odd fields, or junk."""
    return odd_rows(properties, junk, required) | documented_object(properties) | junk


def odd_rows(
    properties: Mapping[str, Any], junk: SearchStrategy[Any], required: Mapping[str, Any]
) -> SearchStrategy[dict[str, Any]]:
    """Rows with what is required, and a few fields of any value."""
    return _few_of(properties, junk).map(lambda row: {**required, **row})


def _few_of(
    properties: Mapping[str, Any], junk: SearchStrategy[Any]
) -> SearchStrategy[dict[str, Any]]:
    values = {name: _odd(definition, junk) for name, definition in properties.items()}
    names = st.lists(st.sampled_from([*values, "unknown", "_rescued_data"]), max_size=3)
    return names.flatmap(
        lambda some: st.fixed_dictionaries({name: values.get(name, junk) for name in some})
    )


def _odd(definition: Mapping[str, Any], junk: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Values of the shape that a schema documents, in which each leaf may be of any kind."""
    kind = next(kind for kind in definition["type"] if kind != "null")
    if kind == "array":
        return st.lists(_odd(definition["items"], junk), max_size=2) | junk
    if kind == "object":
        return _few_of(definition["properties"], junk) | junk
    own = SCALARS[definition.get("format", kind)]
    return st.sampled_from([own, *SCALARS.values(), junk]).flatmap(lambda each: each)
