"""The stream of a feed: a `RESTStream` whose records come from a `FeedSync`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Final

from msgspec.structs import replace
from singer_sdk import Tap
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_jobo.api.budget import FeedCost
from tap_jobo.api.feed import FeedReader
from tap_jobo.api.pages import ParsedPage
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import NOTHING_BILLED, ApiError, ArchiveError, ConfigError, FormatError
from tap_jobo.messages import message
from tap_jobo.model import NOTHING, Entry, entry_outside
from tap_jobo.records.converter import Conversion, Row
from tap_jobo.singer.billed_pages_stream import BilledPagesStream
from tap_jobo.singer.companies_stream import CompaniesStream
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream, json_schema
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.checks import PageChecks
from tap_jobo.sync.feed_sync import FeedSync
from tap_jobo.sync.messages import Messages
from tap_jobo.sync.opening import Opening
from tap_jobo.sync.plan import Request, Run, plan
from tap_jobo.sync.preview import preview
from tap_jobo.sync.report import Report
from tap_jobo.sync.settings import SyncSettings
from tap_jobo.sync.state import read_state
from tap_jobo.wording import dollars

_LONGEST_RUN: Final = timedelta(days=1)  # until a run asks for what was listed when it began


def _has_begun(bookmark: Mapping[str, Any]) -> bool:
    """Return whether the state says that a feed was read, if only in part."""
    return bool(bookmark.get("replication_key_value") or bookmark.get("sync", {}).get("started_at"))


class FeedStream(JoboStream):
    """A feed of the API."""

    def __init__(
        self,
        tap: Tap,
        run: RunContext,
        spec: FeedSpec,
        bill: BilledPagesStream,
        follower: CompaniesStream | None = None,
    ) -> None:
        self.selected_by_default = spec.is_selected_by_default
        super().__init__(tap, run, name=spec.name, schema=json_schema(spec.schema), path=spec.path)
        self.replication_key = spec.replication_key
        self.never_null = spec.never_null
        self.spec = spec
        self._cost = FeedCost(run.budget, spec)
        self._follower = follower
        self._bill = bill

    @property
    @override
    def is_read(self) -> bool:
        """Whether a run reads the stream; not if the settings name companies instead."""
        return super().is_read and not (self._follower and self._follower.has_explicit_ids)

    @property
    @override
    def is_free(self) -> bool:
        return self.spec.is_free

    # Before the run's first billed request

    @override
    def check_selection(self) -> None:
        """Raise ConfigError if the catalog says FULL_TABLE: each run would buy everything."""
        if not self.is_read or self.replication_method != REPLICATION_FULL_TABLE:
            return
        fact = f"{self.name} can't be FULL_TABLE, which would buy everything in each run."
        raise ConfigError(NOTHING_BILLED, self._messages.text("invalid-catalog", fact))

    @override
    def check_settings(self) -> None:
        """Raise ConfigError if a limit does not allow one page."""
        self._cost.check_page(self._settings.batch_size)

    @override
    def check_position(self) -> Iterator[str]:
        """Find where the run starts in the archive, and yield hints about the settings.

        Raises:
            StateError: a bookmark lies in the future, or the user has to decide what to buy.
        """
        self._opening.look()
        position = self._opening.position
        progress = position.progress
        for instant in (position.bookmark, progress and progress.sync.started_at):
            clock = self._run.api_clock
            if instant and clock.is_future(parse_timestamp(instant)):
                now = format_timestamp(clock.now())
                standing = self._opening.standing(position)
                is_of_state = self._opening.continues_from_state
                raise self._messages.in_future(instant, now, standing, is_of_state=is_of_state)
        if position.has_begun:
            self._feed_sync.ask()
        yield from self._early_rows()
        yield from self._unfiltered_rows()
        yield from self._unlikely_values()

    def _unlikely_values(self) -> Iterator[str]:
        """Yield a warning for each value of a filter that probably matches no row."""
        for setting in self.spec.filters:
            for fact in setting.value_hints(self.config.get(setting.name)):
                yield message("no-match", fact)

    def _early_rows(self) -> Iterator[str]:
        """Yield a warning if rows were read before the stream that reports those that are gone."""
        lookback, ended = self.spec.longest_lookback, self._ended_before
        if not (ended and lookback) or self._opening.position.has_begun:
            return
        listed = self._run.api_clock.now() - lookback + _LONGEST_RUN
        if read := [each for each in ended if not self._is_read_since(each, listed)]:
            names = " and ".join(each.name for each in read)
            yield self._messages.expired_gap(
                f"{self.name} was selected later than {names}, and has only the last "
                f"{lookback.days} days."
            )

    def _is_read_since(self, spec: FeedSpec, oldest: datetime) -> bool:
        """Return whether all that was read of a feed came after a time, as its archive shows."""
        bookmark = self.tap_state.get("bookmarks", {}).get(spec.name, {})
        with suppress(ArchiveError, FormatError):
            open_archive = self._run.archive_opener(spec)
            archive = open_archive(0) if open_archive else None
            first = archive.header(1) if archive else None
            if not (archive and archive.file and first and first.receipt):
                return False
            is_of_state = archive.file.id == bookmark.get("archive")
            is_first = is_of_state and archive.file.origin is None
            return is_first and parse_timestamp(first.receipt.received_at) > oldest
        return False

    @property
    def _ended_before(self) -> list[FeedSpec]:
        """The feeds that the state has read, and whose rows this one reports as gone."""
        bookmarks = self.tap_state.get("bookmarks", {})
        return [
            each
            for each in FEEDS
            if each.name in self.spec.ends_rows_of and _has_begun(bookmarks.get(each.name, {}))
        ]

    def _unfiltered_rows(self) -> Iterator[str]:
        """Yield a warning before everything is bought: of jobs even if there is a limit."""
        if self._opening.position.has_begun or self._settings.filters or self.spec.is_free:
            return
        budget, price = self._run.budget, self.spec.describe_price()
        if self.spec.suggested_filters:
            yield self._messages.text(
                "no-jobs-filter",
                f"{self.name} has no filter, so this buys all jobs worldwide ({price}).",
            )
        elif not (budget.is_limited or self._settings.start_date):
            fact = f"The first sync of {self.name} buys every row ({price})."
            yield self._messages.text("no-limit", fact)

    @override
    def preview(self) -> Iterator[str]:
        """Return what a run would load, ask, and buy."""
        return preview(self._opening, self._feed_sync.new_sync(), self._reader.count_rows)

    # The sync

    @override
    def read(self) -> None:
        """Write the rows of each page, the profiles of its companies, its bill, then the state."""
        follower = self._following
        with closing(self._feed_sync.pages()) as deliveries:
            for delivery in deliveries:
                ids = self.write_rows(delivery.records, delivery.received_at)
                if follower and ids:
                    follower.write_profiles(ids)
                if self._bill.is_read:
                    self._bill.write_rows(delivery.bill, delivery.received_at)
                if delivery.state is None:
                    continue
                self.stream_state.update(delivery.state.as_raw(self.spec))
                if follower:
                    follower.note_page()
                self.emit_state()

    @override
    def sample(self, limit: int) -> Sequence[Row]:
        """Fetch at most `limit` rows with one request; pages and state stay as they are."""
        for hint in self._unlikely_values():
            self.logger.warning("%s", hint)
        request = plan(NOTHING, self._settings, Run(), self._feed_sync.new_sync())
        assert isinstance(request, Request)  # noqa: S101 - nothing was decided before
        sync = replace(request.sync, batch_size=min(limit, request.sync.batch_size))
        with self._counted_in_month():
            receipt, body = self._reader.fetch_page(sync, None)
            try:
                entry = entry_outside(sync, receipt, body)
                page, checked = self._read_sample(entry, sync.batch_size)
            except (ApiError, FormatError) as error:
                cost = dollars(self._cost.credits)
                fact = f"The test of {self.name} ({cost}) failed: {error}."
                off = {"archive": None, "off": "A test keeps no page"}
                raise FormatError(self._messages.text("format-changed", fact, **off)) from error
        self._converter.log_skipped(checked.skipped)
        if (total := page.estimated_total) is not None:
            cost = dollars(total * self._cost.price)
            what = self.name.replace("_", " ")
            self._run.matches.append(f"about {total:,} {what} match: {cost}")
        return checked.records[:limit]

    def _read_sample(self, entry: Entry, rows: int) -> tuple[ParsedPage, Conversion]:
        page = self._reader.parse_page(entry)
        if receipt := entry.header.receipt:
            self._cost.reconcile(receipt, len(page.items), rows)
        checks = PageChecks(self.spec, self._converter, self._messages.warn)
        checked = checks.check(entry.header, page, page_size=self._settings.batch_size)
        if checked.skipped and not checked.records:
            raise FormatError("No row has a usable 'id'")
        return page, checked

    @contextmanager
    def _counted_in_month(self) -> Iterator[None]:
        """Count in the month what a test costs; it reads and stores nothing else."""
        open_archive = self._run.archive_opener(self.spec)
        if open_archive is None:
            self._cost.count_in(None, is_test=True)
            yield
            return
        archive = open_archive(0)
        with self._run.hold(archive) as raise_if_lost:
            self._cost.count_in(self._run.open_month(archive, raise_if_lost), is_test=True)
            try:
                yield
            finally:
                self._cost.settle()

    @property
    @override
    def is_complete(self) -> bool:
        return self._report.is_complete

    @override
    def log_summary(self) -> Mapping[str, int | None]:
        return self._report.finish()

    # What the sync is made of

    @cached_property
    def _settings(self) -> SyncSettings:
        return SyncSettings.of(self.spec, self.config)

    @cached_property
    def _messages(self) -> Messages:
        return Messages(
            spec=self.spec,
            logger=self.plain_logger,
            known=partial(self._run.known, self.spec),
            ended=self._ended_before
            or [each for each in FEEDS if each.name in self.spec.ends_rows_of],
            restart_ended=self._restart_ended,
        )

    def _restart_ended(self) -> str | None:
        """Return the commands that buy again what this feed reports as gone, if they are known."""
        commands = [self._run.known(each).get("restart") for each in self._ended_before]
        return " and ".join(each for each in commands if each) or None

    @cached_property
    def _opening(self) -> Opening:
        # Not `stream_state`: it would add the stream to the state.
        raw = self.tap_state.get("bookmarks", {}).get(self.name, {})
        return Opening(
            settings=self._settings,
            state=read_state(raw, self._settings),
            open_archive=self._run.archive_opener(self.spec),
            parse=self._reader.parse_page,
            messages=self._messages,
        )

    @cached_property
    def _feed_sync(self) -> FeedSync:
        return FeedSync(
            settings=self._settings,
            opening=self._opening,
            reader=self._reader,
            clock=lambda: self._run.api_clock,
            converter=self._converter,
            messages=self._messages,
            report=self._report,
            has_bills=self._bill.is_read,
            lock=self._run.hold,
            open_month=self._run.open_month,
            raise_if_over=self._run.raise_if_over,
        )

    @cached_property
    def _report(self) -> Report:
        follower = self._following
        return Report(
            stream=self.name,
            count_rows=lambda: self.record_count,
            budget=self._run.budget,
            cost=self._cost,
            logger=self.plain_logger,
            profiles=follower.profiles if follower else None,
        )

    @property
    def _following(self) -> CompaniesStream | None:
        """The stream of profiles, if it follows this one."""
        return self._follower if self._follower and self._follower.is_following else None

    @cached_property
    def _reader(self) -> FeedReader:
        return FeedReader(
            spec=self.spec,
            client=self._run.feed_client,
            prepare=self._run.prepare,
            cost=self._cost,
            clock=lambda: self._run.api_clock,
            row_type=self._converter.row_type,
        )
