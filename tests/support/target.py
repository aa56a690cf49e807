"""The one target of tests: what a loader has stored, and which state it hands back."""

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
Row = dict[str, Any]


@dataclass
class Target:
    """Stores rows once the STATE behind them has arrived."""

    #: whether a state is merged into the one before it, as Meltano does, or replaces it, as in a
    #: pipe to a file
    merges_states: bool = False
    #: the rows stored of each stream, by id
    tables: dict[str, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    state: Any = None  #: the state stored last

    @property
    def rows(self) -> dict[str, Row]:
        """The rows of the career sites, by id."""
        return self.tables["career_sites"]

    def receive(self, messages: Iterable[Message], *, states_lost: int = 0) -> None:
        """Store the messages of a run up to the last state that was not lost, and no others.

        Args:
            messages: What the run has written.
            states_lost: How many of the last states are not handed back.
        """
        received = deepcopy([*messages])
        states = [n for n, message in enumerate(received) if message["type"] == "STATE"]
        kept = states[: max(0, len(states) - states_lost)]
        for message in received[: kept[-1] + 1 if kept else 0]:
            if message["type"] == "RECORD":
                self.tables[message["stream"]][message["record"]["id"]] = message["record"]
            elif message["type"] == "STATE":
                new = message["value"]
                self.state = merge(self.state, new) if self.merges_states else new


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge two states as Meltano does: key by key, objects united."""
    merged = dict(old)
    for name, value in new.items():
        assert isinstance(value, dict) == isinstance(old.get(name, value), dict), name
        merged[name] = merge(old.get(name, {}), value) if isinstance(value, dict) else value
    return merged
