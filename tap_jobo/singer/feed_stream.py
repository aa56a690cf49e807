"""The stream of a feed: a `RESTStream` whose records come from a `FeedRun`."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property, partial

from msgspec.structs import replace
from singer_sdk import Tap
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_jobo.api.budget import FeedCost
from tap_jobo.api.feed import FeedReader
from tap_jobo.clock import format_timestamp, parse_timestamp, to_minute
from tap_jobo.errors import (
    ApiError,
    ArchiveError,
    BudgetReachedError,
    ConfigError,
    FormatError,
    LimitTooLowError,
    StateError,
)
from tap_jobo.model import Sync
from tap_jobo.records.converter import Row
from tap_jobo.singer.companies_stream import CompaniesStream
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream, json_schema
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.messages import Messages
from tap_jobo.sync.plan import Request, best, full
from tap_jobo.sync.report import Report, describe_request
from tap_jobo.sync.run import Delivery, FeedRun
from tap_jobo.sync.state import as_raw, edited_bookmark, is_begun, read_state
from tap_jobo.wording import dollars, plural


class FeedStream(JoboStream):
    """A feed of the API."""

    def __init__(
        self,
        tap: Tap,
        run: RunContext,
        spec: FeedSpec,
        follower: CompaniesStream | None = None,
    ) -> None:
        self.selected_by_default = spec.is_selected_by_default
        super().__init__(tap, run, name=spec.name, schema=json_schema(spec.schema), path=spec.path)
        self.replication_key = spec.replication_key
        self.never_null = spec.never_null
        self.spec = spec
        self._cost = FeedCost(run.budget, spec)
        self._follower = follower

    @property
    @override
    def is_read(self) -> bool:
        """Whether a run reads the stream; not if the settings name companies instead."""
        return super().is_read and not (self._follower and self._follower.has_explicit_ids)

    @property
    @override
    def is_free(self) -> bool:
        return self.spec.is_free

    @property
    @override
    def buys(self) -> bool:
        return not self.feed_run.only_loads

    @property
    @override
    def needs_api(self) -> bool:
        return self._following is not None

    @override
    def check_selection(self) -> None:
        """Raise ConfigError if the catalog says FULL_TABLE: each run would buy everything."""
        if not self.is_read or self.replication_method != REPLICATION_FULL_TABLE:
            return
        fact = f"{self.name} can't be FULL_TABLE, which would read everything in each run."
        raise ConfigError(self.feed_run.messages.text("invalid-catalog", fact))

    @override
    def preview(self) -> Iterator[str]:
        """Yield what a run would load, ask, and buy. Nothing is written."""
        run = self.feed_run
        try:
            run.open()
            pages = plural(len(run.pages_to_load), "page")
            yield f"load: {pages} from the archive, free"
        except (FormatError, StateError) as error:
            yield f"ask: {error}"
            return
        if run.problem:
            yield f"ask: {run.problem}"
        elif run.only_loads:
            yield "buy: nothing, because max_credits is 0"
        else:
            yield from self._preview_purchase(run)

    def _preview_purchase(self, run: FeedRun) -> Iterator[str]:
        if isinstance(run.planned, Request):
            request, sync = describe_request(run.planned), run.planned.sync
            then = ", and then what changed" if sync.reads != sync.filters else ""
            yield f"buy: {request} ({run.archive.describe_price()}){then}"
        for hint in self.hints():
            yield f"note: {hint}"

    # The hints

    @override
    def hints(self) -> Iterator[str]:
        """Yield hints about the settings."""
        yield from self._edited_bookmark()
        yield from self._early_rows()
        yield from self._other_owner()
        yield from self._unlimited_purchase()

    def _edited_bookmark(self) -> Iterator[str]:
        """Yield a warning if the user has edited what decides nothing."""
        run = self.feed_run
        if run.edited is None:
            return
        known: dict[str, str | None] = {}
        with suppress(ValueError):  # it is no time
            since = format_timestamp(parse_timestamp(run.edited))
            known["edited"] = to_minute(since)
            if run.archive.store.lasts:
                known["restart_since"] = run.archive.restart_since(since)
        fact = f"Somebody edited the bookmark of {self.name}, which decides nothing."
        yield run.messages.text("edited-bookmark", fact, **known)

    def _early_rows(self) -> Iterator[str]:
        """Yield a warning if rows were read before the stream that reports those that are gone."""
        run = self.feed_run
        if run.had_state or not self.spec.ends_rows_of:
            return
        first = run.archive.header(1)  # with which the load begins
        since = first.sync.since if first and first.sync else run.wanted.start
        if read := [each.name for each in self._ended() if self._begins_before(each, since)]:
            names = " and ".join(read)
            fact = f"{self.name} begins later than {names}, so it lacks what expired before."
            yield run.messages.expired_gap(fact)

    def _begins_before(self, spec: FeedSpec, since: str) -> bool:
        """Return whether the warehouse has or gets rows of a feed that were read before a time."""
        bookmark = self.tap_state.get("bookmarks", {}).get(spec.name, {})
        with suppress(ArchiveError, FormatError):
            first = self._run.open_archive(spec, 0).header(1)
            if first is None:  # its archive was lost, or off
                return is_begun(bookmark)
            return first.time < since or first.buyer.is_begun
        return False

    def _ended(self) -> list[FeedSpec]:
        """Return the feeds of the warehouse whose rows this one reports as gone."""
        bookmarks, read = self.tap_state.get("bookmarks", {}), self._run.feeds
        of_this = [each for each in FEEDS if each.name in self.spec.ends_rows_of]
        given = [each for each in of_this if each in read or is_begun(bookmarks.get(each.name, {}))]
        return given or of_this

    def _other_owner(self) -> Iterator[str]:
        """Yield a warning if the archive has pages, but for another address or API key."""
        archive, messages = self.feed_run.archive, self.feed_run.messages
        if archive.head or self.is_free:
            return
        for other in archive.of_other_owners():
            fact = f"The archive has {self.name} only for another api_url or kind of api_key."
            yield messages.text("other-owner", fact, other_folder=other.folder)

    def _unlimited_purchase(self) -> Iterator[str]:
        run = self.feed_run
        is_begun = run.position.is_begun or run.archive.head > 0
        is_limited = run.wanted.filters or run.wanted.start or self._cost.limits
        if is_begun or is_limited or self.spec.is_free:
            return
        price = run.archive.describe_price()
        fact = f"The first sync of {self.name} buys every row ({price})."
        yield run.messages.text("no-limit", fact)

    # The phases

    @override
    def open(self) -> None:
        self.feed_run.open()
        if self._following:
            self._following.warn_of_missing()

    @override
    def load(self) -> None:
        self._write_all(self.feed_run.load())

    @override
    def check_times(self) -> None:
        self.feed_run.check_times()

    @override
    def buy(self) -> None:
        self._write_all(self.feed_run.buy())

    def _write_all(self, deliveries: Generator[Delivery]) -> None:
        """Write the rows of each page, the profiles of its companies, then the state."""
        with closing(deliveries):
            for delivery in deliveries:
                if not self._run.only_buys:
                    self._write(delivery)

    def _write(self, delivery: Delivery) -> None:
        follower = self._following
        ids = self.write_rows(delivery.records, delivery.received_at)
        if follower:
            follower.write_profiles(ids)
        if delivery.state is None:
            return
        has = best(delivery.state.position, self.feed_run.wanted)
        until = has.until if has else None
        self.stream_state.update(as_raw(delivery.state, self.spec, until))
        if follower:
            follower.note_page()
        self.emit_state()

    @override
    def sample(self, limit: int) -> Sequence[Row]:
        """Fetch at most `limit` rows with one request, and store only what that costs."""
        run, cost = self.feed_run, self._cost
        self._run.read_clock()
        sync = full(run.want(), run.now()).sync
        sync = replace(sync, batch_size=min(limit, sync.batch_size))
        archive = self._run.open_archive(self.spec, 0)
        with self._run.hold(archive) as raise_if_lost:
            cost.count_in(archive, raise_if_lost)
            try:
                return self._read_sample(sync)[:limit]
            except BudgetReachedError as reached:
                text = run.messages.text("limit-too-low", reached.fact, run_limit="the limit")
                raise LimitTooLowError(text) from reached
            finally:
                cost.settle()

    def _read_sample(self, sync: Sync) -> Sequence[Row]:
        """Return the records of the first page of a sync, and note how many rows match."""
        receipt, body = self.feed_run.reader.fetch_page(sync, None)
        try:
            page = self.feed_run.reader.parse_page(sync, receipt, body)
        except ApiError as error:
            raise self._failed_test(f"{error}") from error
        self._cost.reconcile(receipt.charge, len(page.rows))
        converted = self._converter.convert(page.rows)
        if converted.skipped and not converted.records:
            raise self._failed_test("No row has a usable 'id'")
        self._converter.log_skipped(converted.skipped)
        if (total := page.estimated_total) is not None:
            cost = dollars(total * self._cost.highest_price)
            what = self.name.replace("_", " ")
            self._run.matches.append(f"about {total:,} {what} match: {cost}")
        return converted.records

    def _failed_test(self, why: str) -> FormatError:
        cost = dollars(self._cost.credits)
        fact = f"The test of {self.name} ({cost}) failed: {why}."
        return FormatError(self.feed_run.messages.text("format-changed", fact, page_price=cost))

    @property
    @override
    def is_complete(self) -> bool:
        return self.feed_run.report.is_complete

    @override
    def log_summary(self) -> Mapping[str, int | None]:
        return self.feed_run.report.finish()

    # What the sync is made of

    @cached_property
    def feed_run(self) -> FeedRun:
        """The part of the feed in a run. It is made once the catalog and the state are applied."""
        # Not `stream_state`: it would add the stream to the state.
        raw = self.tap_state.get("bookmarks", {}).get(self.name, {})
        state = read_state(raw, self.spec, self.config)
        return FeedRun(
            config=self.config,
            state=state,
            edited=edited_bookmark(raw, state) if state else None,
            open_archive=partial(self._run.open_archive, self.spec),
            reader=FeedReader(
                spec=self.spec,
                client=self._run.feed_client,
                cost=self._cost,
                clock=self._run.api_clock,
                row_type=self._converter.row_type,
            ),
            converter=self._converter,
            messages=Messages(
                spec=self.spec,
                logger=self.plain_logger,
                known=self._run.known,
                ended=self._ended,
            ),
            report=Report(
                cost=self._cost,
                logger=self.plain_logger,
                profiles=self._following.profiles if self._following else None,
            ),
            lock=self._run.hold,
            raise_if_over=self._run.raise_if_over,
            only_buys=self._run.only_buys,
        )

    @property
    def _following(self) -> CompaniesStream | None:
        return self._follower if self._follower and self._follower.is_following else None
