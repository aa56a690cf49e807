"""The stream of a feed: a `RESTStream` whose records come from a `FeedSync`."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property

from singer_sdk import Tap
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_jobo.api.budget import FeedCost
from tap_jobo.api.feed import FeedReader
from tap_jobo.archive.archive import Archive
from tap_jobo.errors import ApiError, FormatError
from tap_jobo.model import BilledPage, Sync
from tap_jobo.records.converter import Row
from tap_jobo.singer.billed_pages_stream import BilledPagesStream
from tap_jobo.singer.companies_stream import CompaniesStream
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream, json_schema
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.feed_sync import FeedSync
from tap_jobo.sync.guards import CheckedPage, LoopGuard, PageGuard
from tap_jobo.sync.lost_state import recover_state
from tap_jobo.sync.report import Report
from tap_jobo.sync.start import SyncStart
from tap_jobo.sync.state import StreamState, read_state
from tap_jobo.wording import dollars


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
    def is_billed(self) -> bool:
        return not self.spec.is_free

    # Before the run's first billed request

    @override
    def check_settings(self) -> None:
        """Raise ConfigError if a limit does not allow one page."""
        self._cost.check_page(self._start.batch_size)

    @override
    def open(self) -> None:
        """Take the lock, open the archive, and read the state."""
        # Not `stream_state`: it would add the stream to the state.
        state = read_state(self.tap_state.get("bookmarks", {}).get(self.name, {}), self.spec)
        self._archive = self._run.open_archive(self.spec)
        self._first_state = recover_state(state, self._archive.history, self._start)
        if self._archive.is_on and not self._start.is_full_table:
            self.first_state = self._first_state

    @override
    def check_state(self) -> Iterator[str]:
        """Raise StateError if the user has to decide first; yield hints about the filters."""
        self._start.check(self._first_state, self._archive.history)
        yield from self._early_rows()
        is_new = not self._first_state.bookmark or self._start.filter_change(self._first_state)
        for setting in self.spec.filters:
            value = self.config.get(setting.name)
            yield from setting.value_hints(value)
            if is_new:
                yield from self._run.known_values.warnings(setting, value)

    def _early_rows(self) -> Iterator[str]:
        """Yield a warning if rows were read before the stream that reports those that are gone."""
        bookmarks, lookback = self.tap_state.get("bookmarks", {}), self.spec.longest_lookback
        read = [
            name
            for name in self.spec.ends_rows_of
            if bookmarks.get(name, {}).get("replication_key_value")
        ]
        if read and lookback and not self._first_state.has_begun:
            yield (
                f"{self.name} was not read before, but {read[0]} was. Jobo lists "
                f"{self.name.replace('_', ' ')} of the last {lookback.days} days only, so jobs "
                "that expired earlier, but after they were read, stay open. "
                f"{self.spec.gap_advice} [expired-gap]"
            )

    @override
    def record_decision(self) -> None:
        """Record which billed pages the run gives up."""
        self._start.record_decision(self._first_state, self._archive.history)

    # The sync

    @override
    def read(self) -> None:
        """Write the rows of each page, the profiles of its companies, its bill, then the state."""
        follower = self._follower if self._follower and self._follower.is_following else None
        self._report = Report(
            stream=self.name,
            count_rows=lambda: self._record_counter.value,
            budget=self._run.budget,
            cost=self._cost,
            logger=self.plain_logger,
            profiles=follower.profiles if follower else None,
            first=self._run.order.first_billed,
        )
        feed_sync = FeedSync(
            start=self._start,
            state=self._first_state,
            archive=self._archive,
            reader=self._reader,
            converter=self._converter,
            report=self._report,
            check=self._run.check,
        )
        if follower:
            follower.follow()
        with self._settled(self._archive), closing(feed_sync.pages()) as deliveries:
            for delivery in deliveries:
                ids = self.write_rows(delivery.records, delivery.received_at)
                if follower and ids:
                    follower.write_profiles(ids)
                if self._bill.is_read:
                    self._bill.write_rows(delivery.bill, delivery.received_at)
                self.stream_state.update(delivery.state.as_raw(self.spec.replication_key))
                if follower:
                    follower.note_page()
                self.emit_state()

    @override
    def sample(self, limit: int) -> Sequence[Row]:
        """Fetch at most `limit` rows with one request; pages and state stay as they are."""
        sync = self._start.new_sync(StreamState())
        sync = replace(sync, batch_size=min(limit, sync.batch_size))
        with self._settled(self._run.open_archive(self.spec), is_test=True):
            billed = self._reader.fetch_page(sync)
            try:
                checked = self._read_sample(sync, billed)
            except (ApiError, FormatError) as error:
                raise FormatError(
                    f"{error}. A run would be billed for a page, and end there. Upgrade tap-jobo, "
                    "or contact Jobo. [format-changed]"
                ) from error
        self._converter.log_skipped(checked.skipped)
        if (total := checked.page.estimated_total) is not None:
            cost = dollars(total * self._cost.price)
            what = self.name.replace("_", " ")
            self._run.matches.append(f"about {total:,} {what} match: about {cost}")
        return checked.records[:limit]

    def _read_sample(self, sync: Sync, billed: BilledPage) -> CheckedPage:
        page, header = self._reader.parse_page(billed), billed.header
        self._cost.reconcile(header, len(page.items), sync.batch_size)
        page_size = self._start.batch_size
        guard = PageGuard(self.spec, self._converter, self.plain_logger, page_size)
        checked = guard.check(sync, header, page, LoopGuard(), estimate=0)
        if checked.skipped and not checked.records:
            raise FormatError("No row has a usable 'id'")
        return checked

    @contextmanager
    def _settled(self, archive: Archive, *, is_test: bool = False) -> Iterator[None]:
        """Count in the month what the feed costs, and leave nothing unused in the archive."""
        self._cost.count_in(archive.month, is_test=is_test)
        try:
            yield
        finally:
            self._cost.settle()
            archive.remove_unused()

    @override
    def summarize(self, *, has_failed: bool) -> None:
        """Log the sync's summary, and that of the profiles that were read along."""
        self.log_figures(self._report.finish())
        if self._follower and self._follower.is_following:
            self._follower.log_summary(is_complete=self._report.is_complete)

    # What the sync is made of

    @cached_property
    def _start(self) -> SyncStart:
        return SyncStart(
            spec=self.spec,
            config=self.config,
            clock=lambda: self._run.api_clock,
            logger=self.plain_logger,
            is_full_table=self.replication_method == REPLICATION_FULL_TABLE,
        )

    @cached_property
    def _reader(self) -> FeedReader:
        return FeedReader(
            spec=self.spec,
            client=self._run.feed_client,
            prepare=self._run.prepare,
            cost=self._cost,
            clock=self._run.api_clock,
            row_type=self._converter.row_type,
        )
