"""The one target of tests: what a loader has stored, and which state it hands back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
Row = dict[str, Any]


@dataclass
class Target:
    """Stores rows once the STATE behind them arrived, or earlier, as a full batch is.

    Attributes:
        merges_states: Whether a state is merged into the one before it, as Meltano does, or
            replaces it, as in a pipe to a file.
        tables: The rows stored of each stream, by id.
        state: The state stored last.
    """

    merges_states: bool = False
    tables: dict[str, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    state: Any = None
    _received: list[Message] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, Row]:
        """The rows of the career sites, by id."""
        return self.tables["career_sites"]

    def take(self, message: Message) -> None:
        """Take a message, without storing anything yet."""
        self._received.append(deepcopy(message))

    def drain(self, *, states_lost: int = 0, is_ahead: bool = False) -> None:
        """Store the messages up to the last state that was not lost, and forget the others.

        Args:
            states_lost: How many of the last states are not handed back.
            is_ahead: Whether the rows behind the last state handed back are stored, too. The SDK's
                targets store a full batch at once, and hand back a state only when all is stored.
        """
        states = [n for n, message in enumerate(self._received) if message["type"] == "STATE"]
        kept = states[: max(0, len(states) - states_lost)]
        end = kept[-1] + 1 if kept else 0
        for number, message in enumerate(self._received):
            if message["type"] == "RECORD" and (is_ahead or number < end):
                self.tables[message["stream"]][message["record"]["id"]] = message["record"]
            elif message["type"] == "STATE" and number < end:
                new = message["value"]
                self.state = merge(self.state, new) if self.merges_states else new
        self._received = []

    def receive(
        self, messages: Iterable[Message], *, states_lost: int = 0, is_ahead: bool = False
    ) -> None:
        """Take the messages of a run that is over, and store them as `drain` does."""
        for message in messages:
            self.take(message)
        self.drain(states_lost=states_lost, is_ahead=is_ahead)


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge two states as Meltano does: key by key, objects united."""
    merged = dict(old)
    for name, value in new.items():
        assert isinstance(value, dict) == isinstance(old.get(name, value), dict), name
        merged[name] = merge(old.get(name, {}), value) if isinstance(value, dict) else value
    return merged
