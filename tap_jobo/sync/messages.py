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
from tap_jobo.messages import Known, message
from tap_jobo.model import Entry
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.plan import Request
from tap_jobo.sync.questions import Standing, ask, what_changed
from tap_jobo.sync.report import Contents
from tap_jobo.sync.start import Question
from tap_jobo.wording import Lines, dollars, plural


@dataclass(kw_only=True)
class Messages:
    """The texts of one stream.

    Attributes:
        spec: The feed.
        logger: Where they go, unless they end the stream.
        known: Returns what the ways out of each message about a feed may name.
        ended: The feeds whose rows this one reports as gone.
        restart_ended: Returns the commands that buy them again, None if the archive is off.
    """

    spec: FeedSpec
    logger: logging.Logger
    known: Callable[[FeedSpec], Known]
    ended: Sequence[FeedSpec] = ()
    restart_ended: Callable[[], str | None] = lambda: None

    @property
    def name(self) -> str:
        """The stream."""
        return self.spec.name

    def text(self, code: str, fact: str, **known: str | None) -> Lines:
        """Return a message, given more of what its ways out may name."""
        return message(code, fact, **{**self.known(self.spec), **known})

    def warn(self, code: str, fact: str, **known: str | None) -> None:
        """Log a message that ends nothing."""
        self.logger.warning("%s", self.text(code, fact, **known))

    def question(self, asked: Question, standing: Standing) -> StateError:
        """Return the error that asks the user to decide."""
        return ask(asked, standing, self.text)

    def in_future(self, instant: str, now: str, folder: str | None) -> StateError:
        """Return the error for a position in the future.

        Args:
            instant: When a sync started.
            now: The API's time.
            folder: The folder of the stream in the archive, None without an archive.
        """
        fact = (
            f"The bookmark of {self.name} ({to_minute(instant)}) is later than Jobo's clock "
            f"({to_minute(now)}). Nothing was billed."
        )
        return StateError(self.text("future-bookmark", fact, folder=folder))

    # Pages that cannot be used

    def unreadable(self, error: Exception, entry: Entry, archive: StreamArchive) -> FormatError:
        """Return the error for a page at the head that cannot be parsed, or fails a check.

        Args:
            error: What is wrong with it.
            entry: The page.
            archive: The archive.
        """
        cost, number = dollars(entry.header.credits), str(entry.number)
        if not archive.lasts:
            fact = f"A page of {self.name} ({cost}) can't be loaded: {error}."
            known: Known = {"page_price": cost, "archive": None}
        else:
            fact = f"Page {number} of {self.name} ({cost}) can't be loaded: {error}."
            known = {"page_price": cost, "drop": archive.command("drop", number)}
        return FormatError(self.text("format-changed", fact, **known))

    def not_written(self, cost: int, archive: StreamArchive, why: str) -> Lines:
        """Return the error for a page that the store refused."""
        return self.text(
            "archive-unusable",
            f"The archive can't be written ({why}). A page ({dollars(cost)}) is lost.",
            location=archive.store.location,
        )

    def cut_off(self, error: PageCutOffError, stuck: Known) -> ApiError:
        """Return the error for a page whose response was cut off, in the middle of a sync."""
        return ApiError(
            self.text(
                "response-cut-off",
                error.why,
                page_price=dollars(error.credits),
                page_size=error.setting,
                **stuck,
            )
        )

    def endless(self, error: EndlessFeedError, cost: int, stuck: Known) -> EndlessFeedError:
        """Return the error for a sync without progress, which the run was billed for."""
        fact = f"{self.name} stopped: {error}. The run was billed {dollars(cost)}."
        return EndlessFeedError(self.text("endless-feed", fact, **stuck))

    def stuck(self, request: Request, spent: float, archive: StreamArchive) -> Known:
        """Return what the ways out of a sync may name that can't go on.

        Args:
            request: Its next page.
            spent: The credits that its rows have cost.
            archive: The archive.
        """
        known: dict[str, str | None] = {
            "spent": f"{dollars(spent)} for {plural(request.rows, 'row')}"
        }
        if archive.lasts:
            known["restart_sync"] = archive.command("restart", "--sync", request.sync.id)
        return known

    def skipped(self, entry: Entry, rows: int, archive: StreamArchive) -> tuple[str, Known]:
        """Return which page a skipped row is in, and what a message about it may name.

        Args:
            entry: The page.
            rows: The number of its rows.
            archive: The archive.
        """
        cost = dollars(entry.header.cost(rows) / rows)
        if not archive.lasts:
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
            price=self.known(self.ended[0])["price"],
            restart_ended=self.restart_ended(),
        )

    # Rejected cursors

    def rejected_twice(self, rejection: RejectedError, stuck: Known) -> ApiError:
        """Return the error for a sync that has already started over once."""
        fact = f"{rejection.why}, so the sync of {self.name} stopped."
        if self.spec.is_free:  # the next run starts it over, free
            return ApiError(message("cursor-rejected", fact, free_stream=self.name))
        return ApiError(self.text("cursor-rejected", fact, **stuck))

    def warn_of_restart(self, rejection: RejectedError, spent: float) -> None:
        """Warn that a sync starts over."""
        fact = f"{rejection.why}: {self.name} starts over (up to {dollars(spent)} again)."
        if self.spec.is_free:
            fact = f"{rejection.why}: {self.name} starts over (free)."
        self.warn("sync-restarted", fact)

    # What a run does

    def announce_load(self, contents: Contents, *, has_state: bool) -> None:
        """Log what a warehouse gets, and what that saves."""
        state = "" if has_state else " has no state"
        self.logger.info("%s%s: loading %s.", self.name, state, contents.as_load)

    def tell_archive(self, archive: StreamArchive) -> None:
        """Log where the archive is, and what it has; as a WARNING if its first page is gone."""
        location, first = archive.store.location, archive.header(1)
        if archive.head and first is None:
            fact = f"Page 1 of {self.name} in {location} can't be read, and others may be missing."
            known = {"verify": archive.command("verify"), "restart": None}
            self.warn("archive-behind", fact, **known)
            return
        since = f", since {to_minute(first.time)}" if first else ""
        pages = plural(archive.head, "page") if archive.head else "no page yet"
        self.logger.info("%s: the archive %s has %s%s.", self.name, location, pages, since)

    def tell_only_loaded(self) -> None:
        """Log why nothing is bought."""
        self.logger.info("%s: max_credits is 0, so nothing is bought.", self.name)

    def announce_profiles(self) -> None:
        """Log that the profiles of loaded companies are read from Jobo."""
        self.logger.info(
            "%s: the profiles of these companies are not in the archive. They are requested "
            "from Jobo, free, which takes hours for 100,000. To leave them out, select only "
            "%s.",
            self.name,
            self.name,
        )

    def report_decision(self, request: Request, standing: Standing) -> None:
        """Log what has led to a new sync, if it is not the usual."""
        position, wanted = standing.position, standing.wanted
        last = position.reads[0].until if position.reads else ""
        if last and wanted.start > last and not self.spec.is_free:
            self.logger.info(
                "start_date is later than the bookmark %s: rows updated in between are not read.",
                to_minute(last),
            )
        if request.why == "restart":
            self.logger.info("%s: this sync carries out a `restart`.", self.name)
        elif request.why == "answered" and not self.spec.is_free:
            change, answer = what_changed(standing), wanted.choice
            fact = f"{self.name}: {change}. This run applies '{answer}'."
            self.warn("filters-applied", fact)

    def warn_of_start_date(self, request: Request) -> None:
        """Warn that a sync in progress reads rows from before the start date."""
        since = request.sync.since
        earlier = f"since {to_minute(since)}" if since else "without a start date"
        fact = f"{self.name}: the sync in progress goes on as it began, {earlier}."
        self.warn("sync-starts-earlier", fact)

    def warn_of_hole(self, since: str, until: str) -> None:
        """Warn that a free feed was not read for longer than Jobo lists its rows."""
        lookback = self.spec.longest_lookback
        days = lookback.days if lookback else 0
        fact = (
            f"Jobo lists {self.name} for {days} days, so those from {to_minute(since)} to "
            f"{to_minute(until)} are missing."
        )
        self.logger.warning("%s", self.expired_gap(fact))
