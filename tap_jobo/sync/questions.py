"""The questions that a run asks in place of deciding: what happened, and the ways out."""

from collections.abc import Callable
from dataclasses import dataclass

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.errors import StateError
from tap_jobo.model import Filters, Position, Progress
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import describe, differences
from tap_jobo.sync.plan import misses_rows
from tap_jobo.sync.position import ArchiveView
from tap_jobo.sync.settings import SyncSettings, starts_by
from tap_jobo.sync.start import Question, has_other_key
from tap_jobo.sync.state import State
from tap_jobo.wording import dollars, plural

Command = Callable[..., str]
"""Returns the command line of `tap-jobo-archive` in backticks."""


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


def ask(question: Question, standing: Standing, command: Command) -> StateError:
    """Return the error that asks a question."""
    texts: dict[str, Callable[[Standing, Command], str]] = {
        "archive-incomplete": _incomplete,
        "other-archive": _other_archive,
        "other-filters": _other_filters,
        "filters-changed": _filters_changed,
    }
    return StateError(texts[question.code](standing, command))


def _incomplete(standing: Standing, command: Command) -> str:
    archive, name = standing.archive, standing.name
    first = archive.header(archive.numbers.start) if archive else None
    since = f" on {first.receipt.received_at[:10]}" if first and first.receipt else " now"
    cost = archive.credits(archive.numbers.start) if archive else None
    price = price_per_thousand(standing.settings.spec)
    if cost:
        price = f"at least {dollars(cost)}, {price}"
    return (
        f"{name} has no state, and the archive {standing.location} begins{since}, without the rows "
        "from before. Nothing was billed. If the warehouse has these rows, run with the state that "
        f"{command('state', name)} prints (with Meltano, pipe it to meltano state merge). If it "
        f"does not, run {command('restart', name)}: the next run buys everything ({price}). "
        "[archive-incomplete]"
    )


def _other_archive(standing: Standing, _: Command) -> str:
    view, state, name = standing.view, standing.state, standing.name
    if view and state and has_other_key(state, view):
        then = "everything that this archive has is loaded, free"
        if view.is_empty:
            then = f"everything is bought ({price_per_thousand(standing.settings.spec)})"
        return (
            f"The state of {name} belongs to another address, account, or kind of API key than "
            f"this run. Nothing was billed or loaded. Check api_key and api_url, or run without a "
            f"state: {then}. [other-archive]"
        )
    free = ""
    if view and view.is_complete:
        free = " Or run without a state: everything that this archive has is loaded, free."
    return (
        f"The state of {name} belongs to another archive than {standing.location}. Nothing was "
        "billed or loaded. Set archive_dir to the archive of the state, or to a new folder, which "
        f"goes on from the state (free).{free} [other-archive]"
    )


def _other_filters(standing: Standing, _: Command) -> str:
    settings, name, state = standing.settings, standing.name, standing.state
    head = standing.position.current
    change = change_of(head.filters, head.start_date, settings) or "start_date is later"
    own = " (free: it goes on from the state)" if state else ""
    text = (
        f"The archive {standing.location} has {name} of other filters than this pipeline "
        f"({change}). Nothing was billed or loaded. If another pipeline uses this archive, set "
        f"archive_dir to a folder of its own{own}."
    )
    if state and settings.filter_as(state.position):
        return (
            f"{text} If none does, run once without a state and with on_filter_change set to "
            "'resync': that loads this archive, and buys what it lacks "
            f"({price_per_thousand(settings.spec)}). [other-filters]"
        )
    return (
        f"{text} If your filters have changed, set on_filter_change to 'resync' (buys "
        f"{_what_resync_buys(standing)}) or 'keep' (buys no older rows). Both change the archive "
        "for every pipeline that uses it. [other-filters]"
    )


def _filters_changed(standing: Standing, _: Command) -> str:
    settings, position = standing.settings, standing.position
    text = (
        f"The filters of {standing.name} have changed ({what_changed(position, settings)}). "
        "Nothing was billed for this stream. Set on_filter_change until this sync is complete: "
        f"'resync' buys {_what_resync_buys(standing)}."
    )
    if position.bookmark and not settings.is_full_table:
        then = ", too"
        if misses_rows(position, settings):
            then = ": rows that only the new filters match stay missing until they next change"
        text += f" 'keep' goes on from {position.bookmark}{then}."
    if position.progress is None:
        return f"{text} Or change the filters back: nothing is lost. [filters-changed]"
    given_up = what_is_given_up(position.progress, settings.spec)
    return (
        f"{text} That gives up a sync in progress of other filters: {given_up}. Or set the filters "
        "as they were when it began, and complete it first. [filters-changed]"
    )


def _what_resync_buys(standing: Standing) -> str:
    position, settings = standing.position, standing.settings
    price = price_per_thousand(settings.spec)
    if not (misses_rows(position, settings) or settings.is_full_table):
        return f"only what changed since {position.bookmark}, {price}"
    added = settings.added_to(position.filters)
    is_addition = position.bookmark and starts_by(position.start_date, settings.start_date)
    if added and is_addition and not settings.is_full_table:
        name = next(each for each in added if added[each] != settings.filters.get(each))
        return f"the rows with {describe({name: added[name]})}, {price}"
    return f"all matching rows, {price}"


def what_changed(position: Position, settings: SyncSettings) -> str:
    """Return how the filters differ from those of a position, or of its sync in progress."""
    change = change_of(position.filters, position.start_date, settings)
    if position.progress and not (change and position.bookmark):
        of = position.progress.sync
        change = change_of(of.filters, of.start_date, settings)
    return change


def what_is_given_up(progress: Progress, spec: FeedSpec) -> str:
    """Return what becomes of the rows of a sync that is given up."""
    cost, rows = dollars(progress.rows * spec.list_price), plural(progress.rows, "row")
    return f"its {rows} so far ({cost} at list price) are billed again if they match"


def change_of(old: Filters, old_start: str | None, settings: SyncSettings) -> str:
    """Return how the settings differ from earlier filters, and from a later start date."""
    before, now = dict(old), dict(settings.filters)
    if not starts_by(old_start, settings.start_date):
        before["start_date"], now["start_date"] = old_start, settings.start_date
    return differences(before, now)


def price_per_thousand(spec: FeedSpec) -> str:
    """Return what a thousand rows cost."""
    if spec.is_free:
        return "free"
    return f"{dollars(spec.list_price * 1_000)} per 1,000 rows at list price"
