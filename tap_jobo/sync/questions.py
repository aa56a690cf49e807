"""The questions that a run asks in place of deciding: what happened, and what an answer buys.

The ways out are those of `messages.md`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import to_minute
from tap_jobo.commands import run_with
from tap_jobo.errors import StateError
from tap_jobo.model import Filters, Position
from tap_jobo.sync.filters import describe, differences
from tap_jobo.sync.plan import misses_rows
from tap_jobo.sync.position import ArchiveView
from tap_jobo.sync.settings import SyncSettings, starts_by
from tap_jobo.sync.start import Question, has_other_key
from tap_jobo.sync.state import State
from tap_jobo.wording import Lines, plural

Known = Mapping[str, str | None]
"""What the placeholders of the ways out stand for; None is not known."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a stream stands: its settings, its state, its archive, and the position to go on from.

    `archive` and `view` are None without an archive.
    """

    settings: SyncSettings
    state: State | None
    archive: StreamArchive | None
    view: ArchiveView | None
    position: Position

    @property
    def name(self) -> str:
        """The stream."""
        return self.settings.spec.name

    @property
    def location(self) -> str:
        """The folder or URL of the archive."""
        return self.archive.store.location if self.archive else ""


def ask(asked: Question, standing: Standing, text: Callable[..., Lines]) -> StateError:
    """Return the error that asks a question.

    Args:
        asked: The question.
        standing: Where the stream stands.
        text: Returns a message of the stream, given a code, a fact, and what is known.
    """
    facts: dict[str, Callable[[Question, Standing], tuple[str, Known]]] = {
        "archive-incomplete": _incomplete,
        "other-archive": _other_archive,
        "other-filters": _other_filters,
        "filters-changed": _filters_changed,
    }
    fact, known = facts[asked.code](asked, standing)
    stopped = f"{standing.name} stopped, nothing billed: {fact}."
    return StateError(text(asked.code, stopped, **known))


def _incomplete(_: Question, standing: Standing) -> tuple[str, Known]:
    fact = "no state, and its archive lacks earlier rows"
    return fact, {"price": price_of_everything(standing)}


def _other_archive(asked: Question, standing: Standing) -> tuple[str, Known]:
    if standing.view and standing.state and has_other_key(standing.state, standing.view):
        return "its state is of another address, account, or key", {}
    fact = f"its state is not of {standing.location}"
    known: dict[str, str | None] = {"new_folder": "set archive_dir to a new folder"}
    if "no-state" not in asked.ways:  # it lacks rows, so that would be another question
        known["archive"] = None
    return fact, known


def _other_filters(asked: Question, standing: Standing) -> tuple[str, Known]:
    head = standing.position.current
    change = _change_of(head.filters, head.start_date, standing.settings)
    fact = f"its archive is of other filters: {change}"
    if not change:
        end = to_minute(standing.position.bookmark or "")
        fact = f"its archive ends at {end}, before start_date"
    known = {**answers(standing), "price": standing.settings.spec.describe_price()}
    if "resync" not in asked.ways:  # the question would come again
        known["resync"] = None
    return fact, known


def _filters_changed(_: Question, standing: Standing) -> tuple[str, Known]:
    return what_changed(standing.position, standing.settings), answers(standing)


def answers(standing: Standing) -> Known:
    """Return what `on_filter_change` can be set to for one run, and what that buys."""
    rows, price = _what_resync_buys(standing)
    if progress := standing.position.progress:
        rows += f", starting over after {plural(progress.rows, 'row')}"
    return {
        "resync": run_with("on_filter_change", "resync"),
        "resync_rows": rows,
        "price": price,
        "keep": run_with("on_filter_change", "keep"),
        "kept_rows": what_stays_missing(standing.position, standing.settings),
    }


def what_stays_missing(position: Position, settings: SyncSettings) -> str | None:
    """Return the rows that `keep` leaves unbought, None if it buys all, or none is missing."""
    if position.bookmark is None or not misses_rows(position, settings):
        return None
    which = _added(position, settings)
    return f"rows with {which}" if which else "rows that only these match"


def _what_resync_buys(standing: Standing) -> tuple[str, str]:
    """Return the rows that `resync` buys, and their price."""
    position, settings = standing.position, standing.settings
    price = settings.spec.describe_price()
    if position.bookmark is None or (
        misses_rows(position, settings) and not _added(position, settings)
    ):
        return "all rows", price_of_everything(standing)
    if misses_rows(position, settings):
        return f"the rows with {_added(position, settings)}", price
    since = settings.since_bookmark(position.bookmark) or position.bookmark
    return f"only what changed since {to_minute(since)}", price


def _added(position: Position, settings: SyncSettings) -> str:
    """Return the values of a filter of which alone rows are missing, empty if it is not so."""
    added = settings.added_to(position.filters)
    if not added or not starts_by(position.start_date, settings.start_date):
        return ""
    name = next(each for each in added if added[each] != settings.filters.get(each))
    return describe({name: added[name]})


def price_of_everything(standing: Standing) -> str:
    """Return the price of all matching rows, as far as it is known."""
    archive, settings = standing.archive, standing.settings
    least = archive.cost_of_everything(settings.filters, settings.start_date) if archive else None
    return settings.spec.describe_price(least)


def what_changed(position: Position, settings: SyncSettings) -> str:
    """Return how the filters differ from those of a position, or of its sync in progress."""
    change = _change_of(position.filters, position.start_date, settings)
    if position.progress and not (change and position.bookmark):
        of = position.progress.sync
        change = _change_of(of.filters, of.start_date, settings)
    return change


def _change_of(old: Filters, old_start: str | None, settings: SyncSettings) -> str:
    """Return how the settings differ from earlier filters, and from a later start date."""
    before, now = dict(old), dict(settings.filters)
    if not starts_by(old_start, settings.start_date):
        before["start_date"], now["start_date"] = old_start, settings.start_date
    return differences(before, now)
