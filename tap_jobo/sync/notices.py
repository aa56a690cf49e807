"""What a run tells once: rows of other filters, an archive that lacks something, and gaps."""

from collections import Counter

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import before, to_minute
from tap_jobo.model import NOTHING, EntryHeader, Filters, Position, State
from tap_jobo.sync.filters import describe
from tap_jobo.sync.messages import Messages, Standing
from tap_jobo.sync.plan import HOUR, Request, best, is_healed
from tap_jobo.sync.start import Question, Start
from tap_jobo.sync.wanted import Wanted
from tap_jobo.wording import Told, plural


class Notices:
    """What the run of a stream has told, or has yet to tell."""

    def __init__(self, messages: Messages, state: State | None) -> None:
        #: since when rows may be missing, as was told last; None if none are
        self.gap = state.gap if state else None
        self._messages = messages
        self._given = state.position if state else NOTHING
        self._adopted = state if state and state.is_adopted else None
        self._told = Told()
        self._other_rows: Counter[str] = Counter()  # by their filters

    def warn_once(self, text: str) -> None:
        """Log a warning, once in the run."""
        if self._told.is_first(text):
            self._messages.logger.warning("%s", text)

    # Rows of other filters

    def note_loaded(self, header: EntryHeader, rows: int, wanted: Wanted) -> None:
        """Take up an entry that is loaded: another pipeline may have bought it."""
        if header.live_sync is None:
            return
        filters = header.live_sync.reads
        if not wanted.rules.covers(wanted.filters, filters) and not self._had(filters):
            self._other_rows[describe(filters) or "no filters"] += rows

    def _had(self, filters: Filters) -> bool:
        """Return whether the warehouse had rows of filters before."""
        position = self._given
        had = [each.filters for each in position.reads]
        had += [each.sync.reads for each in position.progress]
        return filters in had

    def tell_other_rows(self) -> None:
        """Warn of rows that the settings do not ask for."""
        if count := self._other_rows.total():
            rows = f"{plural(count, 'row')} of {self._messages.name}"
            fact = f"Other filters have bought {rows}: {'; '.join(self._other_rows)}."
            self._messages.warn("other-rows", fact)
        self._other_rows.clear()

    # The archive, and what it lacks

    def tell_archive(self, archive: StreamArchive) -> None:
        """Log where the archive is, and what it has."""
        if not (archive.store.lasts and self._told.is_first("archive")):
            return
        name, first = self._messages.name, archive.header(1)
        since = f", since {to_minute(first.time)}" if first else ""
        pages = plural(archive.head, "page") if archive.head else "no page yet"
        location = archive.store.location
        self._messages.logger.info("%s: the archive %s has %s%s.", name, location, pages, since)

    def tell_behind(
        self, start: Start, planned: Request | Question | None, standing: Standing
    ) -> None:
        """Warn if the archive lacks what the warehouse has, before a run buys or asks."""
        log, messages = standing.log, self._messages
        if self._adopted:
            self._tell_adopted(self._adopted.time)
        if not log.archive.store.lasts:
            return
        is_behind = start.is_behind and not self._adopted
        is_healed_now = isinstance(planned, Request) and planned.why == "behind"
        if not (is_behind or is_healed_now) or not self._told.is_first("behind"):
            return
        name = messages.name
        fact = (
            f"The archive lacks pages of {name} that this warehouse has. It goes on from the state."
        )
        if isinstance(planned, Request) and is_healed_now:
            since = to_minute(planned.sync.since) if planned.sync.since else "the first"
            price = standing.price
            fact = f"The archive is behind {name}: buying changes since {since} again ({price})."
        skipped = log.position_before(start.offset + 1)
        has_order = is_behind and skipped.order > self._given.order
        restart = log.archive.command("restart") if has_order else None
        own, there = best(standing.position, standing.wanted), best(log.position, standing.wanted)
        since_then = None
        if own and there and there.until < own.until and not is_healed(own, there):
            since_then = log.archive.restart_since(there.until)
        messages.warn("archive-behind", fact, restart=restart, restart_since=since_then)

    def _tell_adopted(self, until: str) -> None:
        if self._told.is_first("adopted"):
            name = self._messages.name
            fact = f"Another tap wrote the state of {name}, with rows until {to_minute(until)}."
            self._messages.warn("adopted", fact)

    # Gaps

    def tell_gap(self, standing: Standing, planned: Request | Question | None) -> None:
        """Report a gap in what was read of the rows that the settings ask for.

        The settings of an earlier run may have been others, so the state has what was told. A gap
        is not told if a sync in progress reads its rows, or one that the run is going to begin.
        """
        wanted = standing.wanted
        has = best(standing.position, wanted)
        gap = has.gap if has else None
        if gap is not None and wanted.is_free and gap >= before(wanted.start, HOUR):
            return  # this run reads the rows again, free
        if gap is not None and self._is_being_read(gap, standing.position, wanted, planned):
            return  # to order it once more would bill it twice
        is_known, self.gap = gap == self.gap, gap
        if gap is None or not self._told.is_first(f"gap {gap}"):
            return
        if is_known:
            date = f" since {to_minute(gap)}" if gap else ""
            name = self._messages.name
            self._messages.logger.info("%s: rows may still be missing%s.", name, date)
        else:
            self._warn_of_gap(gap, standing)

    def _warn_of_gap(self, since: str, standing: Standing) -> None:
        date = f" since {to_minute(since)}" if since else ""
        name, archive = self._messages.name, standing.log.archive
        fact = f"Rows of {name} may be missing{date}: they were not bought, or were dropped."
        if archive.spec.ends_rows_of:  # Jobo lists them no more
            self._messages.logger.warning("%s", self._messages.expired_gap(fact))
            return
        known: dict[str, str | None] = {}
        if since and archive.store.lasts:
            known = {"restart": None, "restart_since": archive.restart_since(since)}
        self._messages.warn("gap", fact, **known)

    def _is_being_read(
        self, gap: str, position: Position, wanted: Wanted, planned: Request | Question | None
    ) -> bool:
        """Return whether a sync that goes on reads the rows of a gap, or one that was ordered.

        One of other filters may wait for ever.
        """
        is_ordered = isinstance(planned, Request) and planned.why == "restart"
        return is_ordered or any(
            each.sync.filters == each.sync.reads == wanted.filters
            and each.sync.since <= gap
            and not each.has_gap
            for each in position.progress
        )
