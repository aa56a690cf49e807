"""A setting, declared once: its schema, check, and wording derive from the declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_jobo.settings.kinds import Boolean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_jobo.settings.kinds import Kind


@dataclass(frozen=True)
class Setting:
    """A setting of the tap.

    Attributes:
        parameter: The request parameter of a filter; None if it has the setting's name.
    """

    name: str
    title: str
    description: str
    kind: Kind
    default: str | int | None = None
    required: bool = False
    secret: bool = False
    parameter: str | None = None

    @property
    def request_parameter(self) -> str:
        """The request parameter of a filter."""
        return self.parameter or self.name

    @property
    def is_boolean(self) -> bool:
        """Whether it accepts true or false, and the usual strings for them."""
        return isinstance(self.kind, Boolean)

    @property
    def words(self) -> str:
        """What is allowed, in words that complete "must be ..."."""
        return self.kind.words

    @property
    def json_property(self) -> th.Property[Any]:
        """Its part of the JSON schema of the configuration."""
        return th.Property(
            self.name,
            self.kind.json_type,
            required=self.required,
            default=self.default,
            description=self.description,
            secret=self.secret,
            title=self.title,
        )

    def allows(self, value: object) -> bool:
        """Return whether a value is allowed."""
        return self.kind.allows(value)

    def normalize(self, value: Any) -> Any:
        """Return a value in the one form that equivalent values share; None if it is empty.

        Raises:
            TypeError: The value is not one that this setting allows.
            ValueError: The same.
        """
        return self.kind.normalize(value)

    def doubts(self, value: Any) -> list[str]:
        """Return a warning for each item of a list that probably matches nothing.

        Args:
            value: The value, which is allowed; None if the setting is not set.
        """
        items = value if isinstance(value, list) else []
        found = {item: self.kind.doubt(item) for item in items if isinstance(item, str)}
        return [
            f"Setting '{self.name}': {item!r} {doubt} Unknown values match nothing."
            for item, doubt in found.items()
            if doubt
        ]

    def narrows(self, old: Any, new: Any) -> bool:
        """Return whether every row that matches a filter's new value matches the old one.

        Args:
            old: The old value, normalized; None for a filter that is not set. It comes from a
                state, so it may be one that is not allowed.
            new: The new value, normalized and allowed, or None.
        """
        if old is None or old == new:
            return True
        return new is not None and self.allows(old) and self.kind.narrows(old, new)


def config_schema(settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the JSON schema of a configuration with these settings, in their order."""
    return th.PropertiesList(*(setting.json_property for setting in settings)).to_dict()
