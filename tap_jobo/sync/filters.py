"""A change of filters: whether rows could be missing after it, and what each way on costs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tap_jobo.clock import format_timestamp
from tap_jobo.errors import StateError
from tap_jobo.model import Filters
from tap_jobo.settings.common import START_DATE
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.state import StreamState
from tap_jobo.wording import dollars, plural


@dataclass(frozen=True, slots=True)
class FilterChange:
    """The filters of a state, and the different ones of the settings, both with start dates."""

    spec: FeedSpec
    old: Filters
    new: Filters
    is_full_table: bool

    @property
    def only_narrows(self) -> bool:
        """Whether every row that matches the new filters matches the old ones."""
        return all(
            setting.narrows(self.old.get(setting.name), self.new[setting.name])
            for setting in (*self.spec.filters, START_DATE)
        )

    @property
    def added(self) -> tuple[str, list[Any]] | None:
        """The list that has more values, and these, if nothing else widens: only they are new."""
        settings = (*self.spec.filters, START_DATE)
        pairs = [(each, self.old.get(each.name), self.new[each.name]) for each in settings]
        wider = [
            (each.name, each.added(old, new))
            for each, old, new in pairs
            if not each.narrows(old, new)
        ]
        return wider[0] if len(wider) == 1 and wider[0][1] else None

    @property
    def is_harmless(self) -> bool:
        """Whether no row is missing after it, unless a sync is unfinished."""
        return self.is_full_table or self.only_narrows

    def describe(self) -> str:
        """Return which filters have changed, and how."""
        difference = differences(self.old, self.new)
        return f"The filters of {self.spec.name} have changed ({difference})"

    def error(
        self,
        state: StreamState,
        uses: Mapping[str, str],
        gives_up: Mapping[str, str],
        *,
        is_addition: bool,
    ) -> StateError:
        """Return an error with what each way on leaves missing, and what it costs.

        Args:
            state: The state before the change.
            uses: What `resync` and `keep` use of the archive.
            gives_up: What they do not use.
            is_addition: Whether a resync reads only the rows that the change adds.
        """
        reads = self._what_resync_reads(is_addition=is_addition)
        choices = "Set on_filter_change until this sync is complete: 'resync' reads "
        choices += f"{reads}{uses['resync']}{gives_up['resync']}."
        if state.bookmark and not self.is_full_table:
            bookmark = format_timestamp(state.bookmark)
            misses = self._what_keep_misses(state) + uses["keep"] + gives_up["keep"]
            choices += f" 'keep' continues from {bookmark}: {misses}."
        undo = "Otherwise, change the filters back"
        if state.pending:
            rows, cost = state.pending.rows, dollars(state.pending.rows * self.spec.list_price)
            choices += (
                f" The unfinished sync of the old filters is dropped: of its {plural(rows, 'row')} "
                f"({cost} at list price), those that still match are billed again."
            )
        if state.dropped:
            rows, cost = state.dropped.rows, dollars(state.dropped.rows * self.spec.list_price)
            choices += (
                f" The unfinished sync of added values is dropped: its {plural(rows, 'row')} "
                f"({cost} at list price) are billed again."
            )
            undo = "Otherwise, set the filters as they were when that sync began"
        if state.pending or state.dropped or (gives_up["resync"] and gives_up["keep"]):
            undo += " and complete that sync first"
        return StateError(
            f"{self.describe()}. Nothing was billed. {choices} {undo}. [filters-changed]"
        )

    def decision(
        self, state: StreamState, uses: Mapping[str, str], choice: str, *, is_addition: bool
    ) -> str:
        """Return what `on_filter_change` decides, and what that costs or leaves missing."""
        if choice == "resync":
            then = f"reads {self._what_resync_reads(is_addition=is_addition)}"
        else:
            then = f"continues from the bookmark: {self._what_keep_misses(state)}"
        return (
            f"{self.describe()}, and on_filter_change is '{choice}'. So this run {then}"
            f"{uses[choice]}. Remove the setting once this sync is complete, because it decides "
            "for every later change, too. [filters-changed]"
        )

    def _what_resync_reads(self, *, is_addition: bool) -> str:
        reads = "all matching rows"
        if is_addition and self.added:
            name, added = self.added
            reads = f"the rows with {name} {show(added)}, then what changed since the bookmark"
        price = dollars(self.spec.list_price * 1_000)
        return f"{reads}: each row is billed, {price} per 1,000 at list price"

    def _what_keep_misses(self, state: StreamState) -> str:
        if state.pending and state.pending.is_full:  # the bookmark may be of other filters
            return "any row that the unfinished sync has not read may stay missing"
        if self.only_narrows:
            return "no row is missing"
        return "rows that only the new filters match stay missing until they next change"


def differences(old: Filters, new: Filters) -> str:
    """Return which filters differ, and how."""
    return "; ".join(
        f"{name} was {show(old.get(name))} and is {show(value)}"
        for name, value in new.items()
        if old.get(name) != value
    )


def show(value: object, most: int | None = None) -> str:
    """Format a setting for a message, with at most so many items of a list."""
    if isinstance(value, list):
        more = [f"and {len(value) - most:,} more"] if most and len(value) > most else []
        texts = [item if isinstance(item, str) else json.dumps(item) for item in value[:most]]
        return " ".join([", ".join(texts), *more])
    if isinstance(value, bool):
        return str(value).lower()
    return "not set" if value is None else str(value)
