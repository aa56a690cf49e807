"""Helpers for the schemas of streams: each call declares a field with its description."""

from __future__ import annotations

from typing import Any, Final

from singer_sdk import typing as th

from tap_jobo.records import problems

_TEXT: Final = th.StringType(nullable=True)
_UUID: Final = th.UUIDType(max_length=36)
"""With a length: MySQL refuses a text key without one, SQL Server makes it `VARCHAR(max)`."""


def text(name: str, description: str) -> th.Property[Any]:
    """Return a text field."""
    return th.Property(name, _TEXT, description=description)


def texts(name: str, description: str) -> th.Property[Any]:
    """Return a field with a list of texts."""
    return th.Property(name, th.ArrayType(_TEXT, nullable=True), description=description)


def integer(name: str, description: str) -> th.Property[Any]:
    """Return a field with a whole number."""
    return th.Property(name, th.IntegerType(nullable=True), description=description)


def number(name: str, description: str) -> th.Property[Any]:
    """Return a field with a number."""
    return th.Property(name, th.NumberType(nullable=True), description=description)


def boolean(name: str, description: str) -> th.Property[Any]:
    """Return a field with true or false."""
    return th.Property(name, th.BooleanType(nullable=True), description=description)


def instant(name: str, description: str) -> th.Property[Any]:
    """Return a field with a date-time."""
    return th.Property(name, th.DateTimeType(nullable=True), description=description)


def key(description: str) -> th.Property[Any]:
    """Return the field `id`, a UUID and the primary key."""
    return th.Property("id", _UUID, required=True, description=description)


def object_of(*members: th.Property[Any]) -> th.ObjectType:
    """Return the type of an object with these members."""
    return th.ObjectType(*members, additional_properties=False, nullable=True)


def objects(name: str, description: str, *members: th.Property[Any]) -> th.Property[Any]:
    """Return a field with a list of objects."""
    return th.Property(
        name, th.ArrayType(object_of(*members), nullable=True), description=description
    )


RESCUED_DATA: Final = text(
    problems.RESCUED_DATA,
    "JSON object of data that the other fields cannot hold: fields that this version does not "
    "know, and values of the wrong type, by their path, such as funding_rounds[0].raised_amount. "
    "Null if there is none.",
)
