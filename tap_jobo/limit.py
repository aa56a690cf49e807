"""A limit of what is spent, and whether it allows a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit of what is spent, and what is used of it.

    Attributes:
        setting: The name of its setting.
        most: The credits that it allows.
        used: The credits that are used of it.
        month: The month that it limits, such as `2026-11`; empty for that of a run.
        known: What the ways out may name once it is reached.
    """

    setting: str
    most: int
    used: int = 0
    month: str = ""
    known: Mapping[str, str] = field(default_factory=dict)

    def allows(self, cost: int) -> bool:
        """Return whether a request may be sent that can cost so much; a free one always may."""
        return not cost or self.used + cost <= self.most

    @property
    def left(self) -> int:
        """The credits that it leaves."""
        return max(0, self.most - self.used)
