"""What the user is told about a stream: what a run does, and what went wrong."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import to_minute
from tap_jobo.errors import (
    ApiError,
    EndlessFeedError,
    FormatError,
    PageCutOffError,
    RejectedError,
    StateError,
)
from tap_jobo.messages import message
from tap_jobo.model import Entry, EntryHeader, Position, Progress
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.load import Contents, DroppedPages
from tap_jobo.sync.plan import Request
from tap_jobo.sync.questions import (
    Known,
    Standing,
    ask,
    price_of_everything,
    what_changed,
)
from tap_jobo.sync.settings import SyncSettings, starts_by
from tap_jobo.sync.start import Question
from tap_jobo.wording import Lines, dollars, plural


@dataclass(kw_only=True)
class Messages:
    """The texts of one stream.

    Attributes:
        spec: The feed.
        logger: Where they go, unless they end the stream.
        known: Returns what the ways out of each message may name.
        ended: The feeds whose rows this one reports as gone.
        restart_ended: Returns the commands that buy them again, None if the archive is off.
    """

    spec: FeedSpec
    logger: logging.Logger
    known: Callable[[], Known]
    ended: Sequence[FeedSpec] = ()
    restart_ended: Callable[[], str | None] = lambda: None
    _is_gap_told: bool = False

    @property
    def name(self) -> str:
        """The stream."""
        return self.spec.name

    def text(self, code: str, fact: str, **known: str | None) -> Lines:
        """Return a message, given more of what its ways out may name."""
        return message(code, fact, **{**self.known(), **known})

    def warn(self, code: str, fact: str, **known: str | None) -> None:
        """Log a message that ends nothing."""
        self.logger.warning("%s", self.text(code, fact, **known))

    def question(self, asked: Question, standing: Standing) -> StateError:
        """Return the error that asks the user to decide."""
        return ask(asked, standing, self.text)

    def in_future(
        self, instant: str, now: str, standing: Standing, *, is_of_state: bool
    ) -> StateError:
        """Return the error for a position in the future.

        Args:
            instant: The bookmark, or the start of a sync in progress.
            now: The API's time.
            standing: Where the stream stands.
            is_of_state: Whether the state alone has it. Otherwise, the archive has it, too.
        """
        is_begun = standing.position.bookmark is not None
        key = "replication_key_value" if is_begun else "started_at of 'sync'"
        return StateError(
            self.text(
                "future-bookmark",
                f"{self.name} stopped, nothing billed: its bookmark {to_minute(instant)} is later "
                f"than Jobo's clock ({to_minute(now)}).",
                state_key=key if is_of_state else None,
                folder=None if is_of_state or not standing.archive else standing.archive.folder,
            )
        )

    # Pages that cannot be used

    def unreadable(
        self, error: Exception, entry: Entry, archive: StreamArchive | None, why_lost: str
    ) -> FormatError:
        """Return the error for a page at the head that cannot be parsed, or fails a check.

        Args:
            error: What is wrong with it.
            entry: The page.
            archive: The archive, None if it is off.
            why_lost: Why the archive does not have the page, if it does not.
        """
        cost, number = dollars(entry.header.credits), str(entry.number)
        if archive is None or not entry.number:
            fact = f"A page of {self.name} ({cost}) can't be loaded: {error}."
            known: Known = {"page_price": cost, "archive": None, "off": why_lost}
        else:
            fact = f"Page {number} of {self.name} ({cost}) can't be loaded: {error}."
            known = {"page_price": cost, "drop": archive.command("drop", number)}
        return FormatError(self.text("format-changed", fact, **known))

    def not_written(self, header: EntryHeader, archive: StreamArchive, why: str) -> Lines:
        """Return the error for a page that the store refused."""
        cost = dollars(header.credits)
        return self.text(
            "archive-unusable",
            f"The archive can't be written ({why}). The page in flight ({cost}) was loaded.",
            location=archive.store.location,
            page_price=cost if header.credits else None,
        )

    def cut_off(self, error: PageCutOffError, progress: Progress, spent: float) -> ApiError:
        """Return the error for a page whose response was cut off, in the middle of a sync."""
        return ApiError(
            self.text(
                "response-cut-off",
                error.why,
                page_price=dollars(error.credits),
                page_size=error.setting,
                spent=_so_far(progress, spent),
            )
        )

    def endless(
        self, error: EndlessFeedError, progress: Progress, spent: float
    ) -> EndlessFeedError:
        """Return the error for a sync without progress, whose rows so far have cost `spent`."""
        fact = f"The sync of {self.name} stops: {error}."
        return EndlessFeedError(self.text("endless-feed", fact, spent=_so_far(progress, spent)))

    def skipped(self, entry: Entry, rows: int, archive: StreamArchive | None) -> tuple[str, Known]:
        """Return which page a skipped row is in, and what a message about it may name.

        Args:
            entry: The page.
            rows: The number of its rows.
            archive: The archive, None if it is off.
        """
        cost = dollars(entry.header.cost(rows) / rows)
        if archive is None or not entry.number:
            return f"a page of {self.name} ({cost}), which is not kept", {}
        number = str(entry.number)
        known = {"export": archive.command("export", "--page", number)}
        return f"page {number} of {self.name} ({cost})", known

    def expired_gap(self, fact: str) -> Lines:
        """Return the warning that rows that are gone were not reported as gone."""
        return self.text(
            "expired-gap",
            fact,
            ended=" and ".join(each.name for each in self.ended),
            price=self.ended[0].describe_price(),
            restart_ended=self.restart_ended(),
        )

    # Rejected cursors

    def rejected_twice(
        self, rejection: RejectedError, progress: Progress, spent: float
    ) -> ApiError:
        """Return the error for a sync that has already started over once."""
        fact = f"{rejection.why}, so the sync of {self.name} stops."
        if self.spec.is_free:  # the next run starts it over, free
            return ApiError(message("cursor-rejected", fact, stream=self.name))
        known: Known = {"stream": None, "spent": _so_far(progress, spent)}
        return ApiError(self.text("cursor-rejected", fact, **known))

    def warn_of_restart(self, rejection: RejectedError, spent: float) -> None:
        """Warn that a sync starts over."""
        fact = f"{rejection.why}: {self.name} starts over, which bills {dollars(spent)} again."
        if self.spec.is_free:
            fact = f"{rejection.why}: {self.name} starts over, free."
        self.warn("sync-restarted", fact)

    # What a run does

    def announce_load(
        self, contents: Contents, *, has_state: bool, has_profiles: bool = False
    ) -> None:
        """Log what a warehouse gets, and what that saves.

        Args:
            contents: What is loaded.
            has_state: Whether the warehouse has a state.
            has_profiles: Whether the profiles of the companies are read along.
        """
        state = "" if has_state else " has no state"
        self.logger.info("%s%s: loading %s.", self.name, state, contents.as_load)
        if has_profiles and not has_state:
            self.logger.info(
                "%s: the profiles of these companies are not in the archive. They are requested "
                "from Jobo, free, which takes hours for 100,000. To leave them out, select only "
                "%s.",
                self.name,
                self.name,
            )

    def warn_of_state_ahead(self) -> None:
        """Warn that the state has more than the archive, so that the run buys it again."""
        self.warn(
            "archive-behind",
            f"The archive lacks rows that {self.name} had: buying them again "
            f"({self.spec.describe_price()}).",
        )

    def warn_of_adoption(self, standing: Standing, counted: str | None) -> None:
        """Warn that the archive goes on from a state, without what came before.

        Args:
            standing: Where the stream stands.
            counted: The limit that counts from zero with this run, None if none does.
        """
        if standing.view and not standing.view.is_empty:
            self.warn(
                "archive-adopted",
                f"The archive lacks rows that the state of {self.name} has, so it continues from "
                "the state.",
                folder=standing.archive.folder if standing.archive else None,
                price=price_of_everything(standing),
            )
        elif standing.state and standing.state.position.has_begun:
            self.warn(
                "archive-empty",
                f"The archive has nothing of {self.name}, so it continues from the state, without "
                "earlier rows.",
                month_limit=counted,
            )

    def warn_of_gap(self, standing: Standing) -> None:
        """Warn, once in a run, of rows that `keep` left unbought."""
        if self._is_gap_told:
            return
        self._is_gap_told = True
        self.warn(
            "gap",
            f"Rows of {self.name} may be missing, because 'keep' was used when filters changed.",
            price=price_of_everything(standing),
        )

    def warn_of_dropped(self, dropped: DroppedPages, standing: Standing) -> None:
        """Warn of dropped pages whose rows no later sync has read."""
        if standing.archive is None or not dropped.numbers:
            return
        settings = standing.settings
        least = standing.archive.cost_of_everything(settings.filters, settings.start_date)
        numbers = ", ".join(map(str, dropped.numbers))
        self.warn(
            "gap",
            f"Rows of {self.name} may be missing, because pages were dropped: {numbers}.",
            **standing.archive.known_to_buy(dropped.since, least),
        )

    def report_decision(self, request: Request, standing: Standing) -> None:
        """Log what has led to a new sync, if it is not the usual."""
        sync, before, settings = request.sync, standing.position, standing.settings
        self._report_times(request, before, settings)
        is_resync = settings.on_filter_change == "resync"
        if before.gap and is_resync and sync.kind == "changes" and not sync.gap:
            self.warn_of_gap(standing)
        is_decided = request.why == "answered" or sync.gap or before.progress is not None
        if request.why == "restart":
            self.logger.info("%s: this sync carries out a `restart`.", self.name)
        elif is_decided and before.has_begun and not self.spec.is_free:
            change, answer = what_changed(before, settings), settings.on_filter_change
            fact = f"{self.name}: {change}. This run does what '{answer}' says."
            self.warn("filters-applied", fact)

    def _report_times(self, request: Request, before: Position, settings: SyncSettings) -> None:
        """Report rows that no sync reads: the feed lists them no more, or they are too old."""
        lookback, oldest = self.spec.longest_lookback, request.sync.since
        known = before.bookmark or (before.progress and before.progress.sync.started_at)
        if lookback and oldest and known and known < oldest:
            fact = (
                f"Jobo lists {self.name} for {lookback.days} days, so those from "
                f"{to_minute(known)} to {to_minute(oldest)} are missing."
            )
            self.logger.warning("%s", self.expired_gap(fact))
        if before.bookmark and not starts_by(settings.start_date, before.bookmark):
            self.logger.info(
                "start_date is later than the bookmark %s: rows updated in between are not read.",
                to_minute(before.bookmark),
            )


def _so_far(progress: Progress, spent: float) -> str:
    """Return what starting over buys again."""
    return f"{dollars(spent)} for {plural(progress.rows, 'row')}"
