"""What the user is told about a stream: what a run does, and what went wrong."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import to_minute
from tap_jobo.commands import run_with
from tap_jobo.errors import (
    ApiError,
    RejectedError,
    StateError,
)
from tap_jobo.messages import Known, message
from tap_jobo.model import Entry, Position
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import describe, describe_settings
from tap_jobo.sync.log import ArchiveLog
from tap_jobo.sync.plan import Request, applies, best, unread
from tap_jobo.sync.report import Contents
from tap_jobo.sync.start import Question
from tap_jobo.sync.wanted import Wanted
from tap_jobo.wording import Lines, dollars, plural


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a stream stands: what the run wants, what the warehouse has read, and the archive."""

    wanted: Wanted
    log: ArchiveLog
    position: Position

    @property
    def price(self) -> str:
        """What rows cost."""
        return self.log.archive.describe_price()


@dataclass(kw_only=True)
class Messages:
    """The texts of one stream."""

    spec: FeedSpec
    logger: logging.Logger  #: where they go, unless they end the stream
    #: returns what the ways out of each message about a feed may name
    known: Callable[[FeedSpec], Known]
    #: returns the feeds whose rows this one reports as gone
    ended: Callable[[], Sequence[FeedSpec]] = tuple

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
        """Return the error that asks the user to decide, with what each answer buys."""
        if asked.code == "filters-changed":
            fact = f"{self.name}: {what_is_missing(standing)}"
            known = {**_answers(standing), **_waiting(standing)}
        elif asked.code == "archive-lacks-rows":
            fact = f"{self.name} has no state, and its archive lacks earlier rows"
            # The price is of everything it lacks at the most, so it is no sum.
            resync = run_with("on_filter_change", "resync")
            known = {"resync": resync, "price": standing.price, **_waiting(standing)}
        else:
            fact = f"The state of {self.name} belongs to another address, account, or API key"
            known = {}
        return StateError(self.text(asked.code, f"{fact}. Nothing was billed.", **known))

    def in_future(self, instant: str, now: str, archive: StreamArchive | None) -> StateError:
        """Return the error for a sync that starts in the future, or a bookmark of another tap."""
        known = {}
        if archive is None:
            known = {"bookmark": "replication_key_value"}
        elif archive.store.lasts:
            restart = archive.restart_since("TIME")
            known = {"folder": archive.folder, "restart_since": restart}
        fact = (
            f"The bookmark of {self.name} ({to_minute(instant)}) is in the future: the time is "
            f"{to_minute(now)}. Nothing was billed."
        )
        return StateError(self.text("future-bookmark", fact, **known))

    # Pages that cannot be used

    def not_written(self, cost: int, archive: StreamArchive, why: str) -> Lines:
        """Return the error for a page that the store refused."""
        return self.text(
            "archive-unusable",
            f"The archive can't be written ({why}). A page ({dollars(cost)}) is lost.",
            location=archive.store.location,
        )

    def endless(self, why: str, cost: int, stuck: Known) -> ApiError:
        """Return the error for a sync without progress, which the run was billed for."""
        fact = f"{self.name} stopped: {why}. The run was billed {dollars(cost)}."
        return ApiError(self.text("endless-feed", fact, **stuck))

    def skipped(self, entry: Entry, rows: int, archive: StreamArchive) -> tuple[str, Known]:
        """Return which page a skipped row is in, and what a message about it may name."""
        cost = dollars(entry.header.cost(rows) / rows)
        if not archive.store.lasts:
            return f"a page of {self.name} ({cost}), which is not kept", {}
        number = str(entry.number)
        known = {"export": archive.command("export", "--page", number)}
        return f"page {number} of {self.name} ({cost})", known

    def expired_gap(self, fact: str) -> Lines:
        """Return the warning that rows that are gone were not reported as gone."""
        ended = self.ended()
        commands = filter(None, (self.known(each).get("restart") for each in ended))
        return self.text(
            "expired-gap",
            fact,
            ended=" and ".join(each.name for each in ended),
            price=self.known(ended[0])["price"],
            restart_ended=" and ".join(commands) or None,
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
        self.warn("sync-restarted", fact)

    # What a run does

    def announce_load(self, contents: Contents, *, has_state: bool) -> None:
        """Log what a warehouse gets, and what that saves."""
        state = "" if has_state else " has no state"
        pages, cost = plural(contents.pages, "page"), contents.credits
        saved = f"{dollars(cost)} not billed again" if cost else "free"
        self.logger.info("%s%s: loading %s from the archive, %s.", self.name, state, pages, saved)

    def report_decision(self, request: Request, standing: Standing) -> None:
        """Log what has led to a new sync, if it is not the usual."""
        if request.why == "restart":
            self.logger.info("%s: this sync carries out a `restart`.", self.name)
        elif request.why == "answered" and not self.spec.is_free:
            missing, answer = what_is_missing(standing), standing.wanted.choice
            fact = f"{self.name}: {missing}. This run applies '{answer}'."
            self.warn("filters-applied", fact)

    def warn_of_hole(self, since: str, until: str) -> None:
        """Warn that a free feed was not read for longer than Jobo lists its rows."""
        lookback = self.spec.longest_lookback
        days = lookback.days if lookback else 0
        fact = (
            f"Jobo lists {self.name} for {days} days, so those from {to_minute(since)} to "
            f"{to_minute(until)} are missing."
        )
        self.logger.warning("%s", self.expired_gap(fact))


# What a question asks


def _answers(standing: Standing) -> dict[str, str | None]:
    """Return what `on_filter_change` can be set to for one run, and what that buys."""
    new, position = _what_is_added(standing), standing.position
    rows = f"the rows with {new}" if new else "all matching rows"
    known: dict[str, str | None] = {
        "resync": run_with("on_filter_change", "resync"),
        "resync_rows": rows,
        "price": standing.price,
    }
    if position.progress:
        going = position.progress[-1].sync
        known["going"] = describe_settings(going.filters, going.start)
        known["resync_rows"] = f"{rows}, even those bought"
    if position.reads:
        known["keep"] = run_with("on_filter_change", "keep")
    if has := best(standing.log.position, standing.wanted):
        known["bought_until"] = to_minute(has.until)  # by another pipeline
    return known


def _waiting(standing: Standing) -> dict[str, str | None]:
    """Return for which other settings a restart waits, in place of rarer answers."""
    archive, own = standing.log.archive, standing.position
    order = archive.file.order
    if order is None or order.over is not None or order.since is not None:
        return {}
    known = standing.log.position
    if order.time <= max(own.order, known.order) or applies(order, own, known, standing.wanted):
        return {}
    settings = describe_settings(order.filters, order.start)
    return {"waiting": settings, "archive": None, "bought_until": None, "going": None}


def _what_is_added(standing: Standing) -> str:
    """Return the values of filters of which alone rows are missing, empty if it is not so."""
    wanted = standing.wanted.filters
    rest = unread(standing.position, standing.wanted)
    if rest is None:
        return ""
    return describe({name: rest[name] for name in rest if rest[name] != wanted.get(name)})


def what_is_missing(standing: Standing) -> str:
    """Return which rows the settings ask for that were not read."""
    if new := _what_is_added(standing):
        return f"rows with {new} are missing"
    wanted, covers = standing.wanted, standing.wanted.rules.covers
    alike = [each for each in standing.position.reads if covers(each.filters, wanted.filters)]
    if alike and (start := min(each.start for each in alike)) > wanted.start:
        return f"start_date moved back, so rows before {to_minute(start)} are missing"
    chosen = describe(wanted.filters)
    since = f" since {to_minute(wanted.start)}" if wanted.start else ""
    if not chosen:
        return f"no filter is set, and some rows{since} are missing"
    return f"some rows with {chosen}{since} are missing"
