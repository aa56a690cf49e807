"""Helpers for the schemas of streams: each call declares a field with its description."""

from collections.abc import Callable
from typing import Any, Final

from singer_sdk import typing as th

from tap_jobo.records import converter


def _of(type_: th.JSONTypeHelper[Any]) -> Callable[[str, str], th.Property[Any]]:
    return lambda name, description: th.Property(name, type_, description=description)


_TEXT: Final = th.StringType(nullable=True)
text: Final = _of(_TEXT)
texts: Final = _of(th.ArrayType(_TEXT, nullable=True))
integer: Final = _of(th.IntegerType(nullable=True))
number: Final = _of(th.NumberType(nullable=True))
boolean: Final = _of(th.BooleanType(nullable=True))
instant: Final = _of(th.DateTimeType(nullable=True))
uuid: Final = _of(th.UUIDType(nullable=True))


def key(description: str) -> th.Property[Any]:
    """Return the primary key `id`, a UUID. MySQL refuses a text key without a length."""
    return th.Property("id", th.UUIDType(max_length=36), required=True, description=description)


def object_of(*members: th.Property[Any]) -> th.ObjectType:
    """Return the type of an object with these members."""
    return th.ObjectType(*members, additional_properties=False, nullable=True)


def nested(name: str, description: str, *members: th.Property[Any]) -> th.Property[Any]:
    """Return a field with an object."""
    return _of(object_of(*members))(name, description)


def objects(name: str, description: str, *members: th.Property[Any]) -> th.Property[Any]:
    """Return a field with a list of objects."""
    return _of(th.ArrayType(object_of(*members), nullable=True))(name, description)


RESCUED_DATA: Final = text(
    converter.RESCUED_DATA,
    "Unknown fields and values of the wrong type, as a JSON object keyed by path, such as "
    "funding_rounds[0].raised_amount. Null if everything fits the schema.",
)


def schema(*fields: th.Property[Any]) -> th.PropertiesList:
    """Return the schema of a stream with these fields and one for rescued data."""
    return th.PropertiesList(*fields, RESCUED_DATA)
