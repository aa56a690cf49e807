"""A setting, declared once: its schema, its check, and its wording derive from the declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from singer_sdk import typing as th

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_jobo.settings.setting_types import SettingType


@dataclass(frozen=True)
class Setting:
    """A setting of the tap.

    Attributes:
        parameter: The request parameter of a filter; None if it has the setting's name.
        listed_by: The free endpoint that lists the values of a filter, see `api.known_values`.
    """

    name: str
    title: str
    description: str
    type: SettingType
    default: str | int | None = None
    required: bool = False
    secret: bool = False
    parameter: str | None = None
    listed_by: Literal["filters", "industries", "locations"] | None = None

    @property
    def request_parameter(self) -> str:
        """The request parameter of a filter."""
        return self.parameter or self.name

    @property
    def is_boolean(self) -> bool:
        """Whether it accepts true or false, and the usual strings for them."""
        return isinstance(self.type.json_type, th.BooleanType)

    @property
    def json_property(self) -> th.Property[Any]:
        """Its part of the JSON schema of the configuration."""
        return th.Property(
            self.name,
            self.type.json_type,
            required=self.required,
            default=self.default,
            description=self.description,
            secret=self.secret,
            title=self.title,
        )

    def normalize(self, value: Any) -> Any:
        """Return a value in the one form that equivalent values share; None if it is empty.

        Raises:
            TypeError: The value is not one that this setting allows.
            ValueError: The same.
        """
        return None if value is None else self.type.normalize(value)

    def value_hints(self, value: Any) -> list[str]:
        """Return a warning for each item of a list that probably matches nothing.

        Args:
            value: The value, which is allowed; None if the setting is not set.
        """
        items = value if isinstance(value, list) else []
        hints = {item: self.type.hint(item) for item in items if isinstance(item, str)}
        return [
            f"Setting '{self.name}': {item!r} {hint} Unknown values match no rows."
            for item, hint in hints.items()
            if hint
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
        return new is not None and self.type.allows(old) and self.type.narrows(old, new)


def config_schema(settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the JSON schema of a configuration with these settings, in their order."""
    return th.PropertiesList(*(setting.json_property for setting in settings)).to_dict()
