"""The questions that a run asks in place of deciding: what happened, and the ways out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import to_minute
from tap_jobo.errors import StateError
from tap_jobo.model import Filters, Position, Progress
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import changed, describe, differences, differs
from tap_jobo.sync.plan import misses_rows
from tap_jobo.sync.position import ArchiveView
from tap_jobo.sync.settings import SyncSettings, starts_by
from tap_jobo.sync.start import Question, has_other_key
from tap_jobo.sync.state import State
from tap_jobo.way_out import without_a_state
from tap_jobo.wording import Lines, dollars, plural, question

_LOAD_ALL: Final = "that loads everything in this archive, free, and then buys what changed"
_FROM_STATE: Final = (
    "continues from the state, buys only what changed since, and can't load another warehouse"
)
DescribeOne = Callable[[str, object, object], str]
"""Describes how one filter differs, given its name, its old value, and the new one."""
Command = Callable[..., str]
"""Returns a command line of `tap-jobo-archive` in backticks, given the command and the feed."""


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


def ask(asked: Question, standing: Standing, command: Command) -> StateError:
    """Return the error that asks a question."""
    texts: dict[str, Callable[[Standing, Command], Lines]] = {
        "archive-incomplete": _incomplete,
        "other-archive": _other_archive,
        "other-filters": _other_filters,
        "filters-changed": _filters_changed,
    }
    return StateError(texts[asked.code](standing, command))


def _incomplete(standing: Standing, command: Command) -> Lines:
    archive, name = standing.archive, standing.name
    first = archive.header(archive.numbers.start) if archive else None
    lacks = "is empty, because it once continued from a state"
    if first and first.receipt:
        lacks = f"begins on {first.receipt.received_at[:10]}, without earlier rows"
    spec = standing.settings.spec
    state, restart = command("state", spec), command("restart", spec)
    rest = "what changed"
    if standing.position.progress:
        rest = f"the rest of a sync ({_price(standing)})"
    loads_what_is_missing = f"loads what the warehouse lacks, free, and then buys {rest}"
    then = (
        f"write the output of {state} to a file, and run with it as the state: loads the archive, "
        f"free, and then buys {rest}"
    )
    if "invoke" in state:  # through Meltano, which keeps the state
        then = (
            f"write the output of {state} to a file, and merge it: `meltano state merge "
            "--input-file FILE STATE_ID` (`meltano state list` shows the id). The run then loads "
            f"the archive, free, and buys {rest}"
        )
    return question(
        f"{name} stopped, nothing billed: it has no state, and the archive {standing.location} "
        f"{lacks}.",
        "archive-incomplete",
        ("you left the state out by mistake", f"run again with it: {loads_what_is_missing}"),
        ("the warehouse has the earlier rows", then),
        ("", "if other streams show this error, too, name all of them in that command"),
        (
            "the warehouse lacks them",
            f"{restart}: the next run buys everything ({price_of_everything(standing)})",
        ),
    )


def _other_archive(standing: Standing, _: Command) -> Lines:
    view, state, name = standing.view, standing.state, standing.name
    stopped = f"{name} stopped, nothing billed or loaded:"
    if view and state and has_other_key(state, view):
        both = f"{without_a_state()}: that buys everything ({_price(standing)})"
        if not view.is_complete:
            both = f"set archive_dir to a new folder, and {both}"
        elif not view.is_empty:
            both = f"{without_a_state()}: {_LOAD_ALL}"
        return question(
            f"{stopped} its state belongs to another address, account, or kind of API key.",
            "other-archive",
            ("api_key or api_url is wrong", "correct it"),
            ("both are right", both),
        )
    ways = [
        ("the archive of the state exists", "set archive_dir to it"),
        (
            "that archive is lost",
            f"set archive_dir to a new folder: that {_FROM_STATE}",
        ),
    ]
    if view and view.is_complete:
        then = f"{without_a_state()}: {_LOAD_ALL}"
        ways.append(("load this archive instead", then))
    belongs = "belongs to another archive than"
    if state and state.archive is None:
        belongs = "names no archive, so it may belong to another one than"
    return question(
        f"{stopped} its state {belongs} {standing.location}.",
        "other-archive",
        *ways,
    )


def _other_filters(standing: Standing, _: Command) -> Lines:
    settings, name, state = standing.settings, standing.name, standing.state
    head = standing.position.current
    change = _change_of(head.filters, head.start_date, settings, differs)
    what, its = f"has rows of other filters: {change}", "its filters"
    if not change:
        end, start = (
            to_minute(standing.position.bookmark or ""),
            to_minute(settings.start_date or ""),
        )
        what, its = f"ends at {end}, before the start_date of this run ({start})", "an earlier one"
    own = f"buys everything ({_price(standing)})"
    if state:
        own = _FROM_STATE
    ways = [("another pipeline uses it", f"set archive_dir to a folder of its own: that {own}")]
    more = ""
    if state and settings.filter_as(state.position):
        then = (
            f"{without_a_state()} and with on_filter_change: resync, which loads this archive, "
            f"free, and buys {what_resync_buys(standing)}"
        )
        ways.append(("none does", then))
    else:
        ways += _answers(standing)
        more = (
            " If you changed the filters, choose resync or keep: the run also loads these rows, "
            "free, and the filters change for every pipeline that uses the archive."
        )
        if progress := standing.position.progress:
            lost = what_is_given_up(progress, settings.spec)
            more += f" A sync in progress would be given up: {lost}."
    ways.append((f"or use {its}", "loads it, free, and then buys what changed"))
    return question(
        f"{name} stopped, nothing billed or loaded: the archive {standing.location}, or the backup "
        f"that it was restored from, {what}.{more}",
        "other-filters",
        *ways,
    )


def _filters_changed(standing: Standing, _: Command) -> Lines:
    settings, position = standing.settings, standing.position
    progress = position.progress
    state = standing.state
    # Another pipeline that uses the archive may have changed them.
    is_own = state is None or state.position.current.filters == position.current.filters
    change = what_changed(position, settings, changed if is_own else differs)
    text = f"{standing.name} stopped, nothing billed: {change}."
    ways = _answers(standing)
    back = "nothing is lost"
    if progress:
        what = what_is_given_up(progress, settings.spec)
        text += f" A sync in progress would be given up: {what}."
        back = "that sync resumes, and nothing is lost"
    ways.append(("or change it back", back))
    return question(text, "filters-changed", *ways)


def _answers(standing: Standing) -> list[tuple[str, str]]:
    """Return what `on_filter_change` can be set to, and what that buys."""
    settings, position = standing.settings, standing.position
    resync = f"buys {what_resync_buys(standing)}"
    if position.bookmark is None:
        return [("on_filter_change: resync or keep", resync)]
    if standing.archive and _resync_is_full(position, settings):
        resync += ". A new warehouse then loads only what was bought from that sync on"
    if not misses_rows(position, settings):
        return [("on_filter_change: resync or keep", resync)]
    keep = f"buys no old rows: {what_stays_missing(position, settings)}"
    return [("on_filter_change: resync", resync), ("on_filter_change: keep", keep)]


def start_of_changes(position: Position, settings: SyncSettings) -> str:
    """Return since when a sync of changes reads."""
    bookmark = position.bookmark or ""
    return to_minute(settings.since_bookmark(bookmark) or bookmark)


def what_stays_missing(position: Position, settings: SyncSettings) -> str:
    """Return the rows that `keep` leaves unbought."""
    which = _added(position, settings)
    what = f"rows with {which} that" if which else "rows that only the new filters match and that"
    since = start_of_changes(position, settings)
    return (
        f"{what} last changed before {since}, and were not bought before, stay missing until they "
        "change"
    )


def what_resync_buys(standing: Standing) -> str:
    """Return what `resync` buys, and its price."""
    position, settings = standing.position, standing.settings
    if not misses_rows(position, settings):
        since = start_of_changes(position, settings)
        return f"only what changed since {since} ({_price(standing)})"
    if _resync_is_full(position, settings):
        return f"all matching rows ({price_of_everything(standing)})"
    has = ", including any that the archive already has" if standing.archive else ""
    return f"the rows with {_added(position, settings)} ({_price(standing)}){has}"


def _resync_is_full(position: Position, settings: SyncSettings) -> bool:
    """Return whether `resync` buys everything, and not only the values that were added."""
    is_first = position.bookmark is None
    return is_first or (misses_rows(position, settings) and not _added(position, settings))


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
    return _price(standing, least)


def _price(standing: Standing, least: int | None = None) -> str:
    """Return a price, as far as it is known."""
    return standing.settings.spec.describe_price(least)


def what_changed(
    position: Position, settings: SyncSettings, describe_one: DescribeOne = changed
) -> str:
    """Return how the filters differ from those of a position, or of its sync in progress."""
    change = _change_of(position.filters, position.start_date, settings, describe_one)
    if position.progress and not (change and position.bookmark):
        of = position.progress.sync
        change = _change_of(of.filters, of.start_date, settings, describe_one)
    return change


def what_is_given_up(progress: Progress, spec: FeedSpec) -> str:
    """Return what becomes of the rows of a sync that is given up."""
    cost, rows = dollars(progress.rows * spec.list_price), plural(progress.rows, "row")
    return f"its {rows} so far ({cost} at list price) are billed again if they match"


def _change_of(
    old: Filters,
    old_start: str | None,
    settings: SyncSettings,
    describe_one: DescribeOne = changed,
) -> str:
    """Return how the settings differ from earlier filters, and from a later start date."""
    before, now = dict(old), dict(settings.filters)
    if not starts_by(old_start, settings.start_date):
        before["start_date"], now["start_date"] = old_start, settings.start_date
    return differences(before, now, describe_one)
