"""Checks of the types within the setting `stream_maps`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from singer_sdk.mapper import (
    MAPPER_ALIAS_OPTION,
    MAPPER_ELSE_OPTION,
    MAPPER_KEY_PROPERTIES_OPTION,
    MAPPER_SOURCE_OPTION,
    NULL_STRING,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOTHING: Final = type(None)
_VALUE: Final = ((str, _NOTHING), "an expression in quotes, or null")
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "": ((_NOTHING,), "an object of fields, or null"),
    MAPPER_ALIAS_OPTION: ((str,), "a name in quotes"),
    MAPPER_ELSE_OPTION: ((_NOTHING,), f"null or {NULL_STRING}"),
    MAPPER_KEY_PROPERTIES_OPTION: ((list, _NOTHING), "a list of fields, or null"),
    MAPPER_SOURCE_OPTION: ((str,), "the name of a stream in quotes"),
}
"""What the members of a map may be, and in words; the empty name stands for the map itself."""


def check_shape(maps: object) -> Iterator[str]:
    """Yield a line for each value of the wrong type within the setting `stream_maps`.

    The SDK says only that one does not fit, or fails with a traceback.
    """
    if not isinstance(maps, dict | _NOTHING):
        yield "Setting 'stream_maps' must be an object of streams and their maps."
        return
    for name, definition in (maps or {}).items():
        is_else = name == MAPPER_ELSE_OPTION
        members = (
            definition if isinstance(definition, dict) else {name if is_else else "": definition}
        )
        for member, value in members.items():
            allowed, words = _TYPES.get(member, _VALUE)
            if not isinstance(value, allowed) and value != NULL_STRING:
                where = f"{name}.{member}" if isinstance(definition, dict) else name
                yield f"Setting 'stream_maps': {where!a} must be {words}."
