"""The questions that a run asks in place of deciding: what happened, and what an answer buys.

The ways out are those of `messages.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tap_jobo.clock import to_minute
from tap_jobo.commands import run_with
from tap_jobo.errors import StateError
from tap_jobo.model import Filters, Position
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import describe, differences
from tap_jobo.sync.log import ArchiveLog
from tap_jobo.sync.plan import best, nearest
from tap_jobo.sync.start import Question
from tap_jobo.sync.wanted import Wanted
from tap_jobo.wording import Lines


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a stream stands: what the run wants, what the warehouse has read, and the archive."""

    spec: FeedSpec
    wanted: Wanted
    log: ArchiveLog
    position: Position

    @property
    def name(self) -> str:
        """The stream."""
        return self.spec.name

    @property
    def is_in_first_sync(self) -> bool:
        """Whether nothing was read in full yet, and a sync is in progress."""
        return bool(self.position.progress) and not self.position.reads

    @property
    def price(self) -> str:
        """What rows cost."""
        return self.log.archive.describe_price()

    def price_of_everything(self) -> str:
        """Return the price of all rows that match, as far as the archive shows it."""
        least = self.log.least_rows(self.wanted.filters, self.wanted.start)
        return self.log.archive.describe_price(least)


def ask(asked: Question, standing: Standing, text: Callable[..., Lines]) -> StateError:
    """Return the error that asks a question.

    Args:
        asked: The question.
        standing: Where the stream stands.
        text: Returns a message of the stream, given a code, a fact, and what is known.
    """
    if asked.code == "filters-changed":
        fact = f"{standing.name} lacks rows: {what_changed(standing)}"
        if standing.is_in_first_sync:
            fact = f"{standing.name}: {what_changed(standing)} during the first sync"
        known = _answers(asked, standing)
    elif asked.code == "archive-lacks-rows":
        fact = f"{standing.name} has no state, and its archive lacks earlier rows"
        # The price is of everything it lacks at the most, so it is no sum.
        known = {"resync": run_with("on_filter_change", "resync"), "price": standing.price}
    else:
        fact = f"The state of {standing.name} belongs to another address, account, or API key"
        known = {}
        if standing.log.archive.lasts and not standing.log.archive.head:
            known = {"archive": None, "everything": "everything"}
    return StateError(text(asked.code, f"{fact}. Nothing was billed.", **known))


def _answers(asked: Question, standing: Standing) -> dict[str, str | None]:
    """Return what `on_filter_change` can be set to for one run, and what that buys."""
    new = _what_is_added(standing)
    known: dict[str, str | None] = {
        "resync": run_with("on_filter_change", "resync"),
        "resync_rows": f"the rows with {new}" if new else "all matching rows",
        "price": standing.price if new else standing.price_of_everything(),
    }
    if standing.is_in_first_sync:
        known |= {"changed": "the filters", "resync_rows": "all matching rows, even those bought"}
    if "keep" in asked.ways:
        known["keep"] = run_with("on_filter_change", "keep")
        known["kept_rows"] = f"rows with {new}" if new else "rows that only these match"
    has = best(standing.log.position, standing.wanted)
    if has and "no-state" in asked.ways:
        known["bought_until"] = to_minute(has.until)
    return known


def _what_is_added(standing: Standing) -> str:
    """Return the values of a filter of which alone rows are missing, empty if it is not so."""
    found, wanted = nearest(standing.position, standing.wanted), standing.wanted
    if found is None:
        return ""
    _, filters = found
    name = next(each for each in filters if filters[each] != wanted.filters.get(each))
    return describe({name: filters[name]})


def what_changed(standing: Standing) -> str:
    """Return how the settings differ from what was read, or is in progress."""
    position, wanted = standing.position, standing.wanted
    if position.reads:
        found = nearest(position, wanted)
        read = found[0] if found else position.reads[0]
        return _change_of(read.filters, read.start, wanted)
    if position.progress:
        sync = position.progress[-1].sync
        return _change_of(sync.filters, sync.start, wanted)
    return "nothing was read of its filters"


def _change_of(old: Filters, start: str, wanted: Wanted) -> str:
    """Return how the settings differ from earlier filters, and from a later start date."""
    change = differences(old, wanted.filters)
    if start > wanted.start:
        older = f"rows from before {to_minute(start)} were not bought"
        change = f"{change}; {older}" if change else older
    return change or "rows of its filters were not bought"
