"""The stream of a feed: a `RESTStream` whose records come from a `FeedSync`."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_jobo.api.budget import FeedCost
from tap_jobo.api.feed_reader import FeedReader
from tap_jobo.api.page import read_page
from tap_jobo.api.profiles import PROFILE_PATH
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import ConfigError
from tap_jobo.singer.metric_lines import log_figures
from tap_jobo.singer.stream import JoboStream, json_schema
from tap_jobo.sync.feed_sync import FeedSync
from tap_jobo.sync.missing_state import recover_state
from tap_jobo.sync.report import Report
from tap_jobo.sync.start import SyncStart
from tap_jobo.sync.state import StreamState, read_state
from tap_jobo.wording import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from requests import PreparedRequest
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog

    from tap_jobo.api.api_clock import ApiClock
    from tap_jobo.api.known_values import KnownValues
    from tap_jobo.records.converter import Row
    from tap_jobo.singer.companies_stream import CompaniesStream
    from tap_jobo.singer.run import RunContext
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync_id import Filters


class FeedStream(JoboStream):
    """A feed of the API.

    Args:
        tap: The tap.
        run: What the streams of the run share.
        spec: The declaration of the feed.
        follower: The stream of profiles of this feed's companies, if one follows this feed.
    """

    def __init__(
        self, tap: Tap, run: RunContext, spec: FeedSpec, follower: CompaniesStream | None = None
    ) -> None:
        self.selected_by_default = spec.is_selected_by_default
        super().__init__(tap, run, name=spec.name, schema=json_schema(spec.schema), path=spec.path)
        self.http_method = spec.method
        self.primary_keys: Sequence[str] = ("id",)
        self.replication_key = spec.replication_key
        self.never_null = spec.never_null
        self._spec = spec
        self._follower = follower
        self._wants_profiles = False
        self._ids_of_page: list[str] = []
        self._received_at: datetime | None = None
        run.before_start(self._prepare_run, self._check_values)

    def apply_catalog(self, catalog: Catalog) -> None:
        """Apply a catalog, and keep keys that it omits.

        Without a replication key, the SDK would treat the stream as FULL_TABLE, which bills all
        rows in every run.
        """
        super().apply_catalog(catalog)
        self.replication_key = self.replication_key or self._spec.replication_key
        self.primary_keys = self.primary_keys or ("id",)
        if entry := catalog.get_stream(self.name):  # used for the SCHEMA message
            entry.key_properties = self.primary_keys

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002 - no partitions
        """Return the records of a run, or the few that `--test` asks for."""
        self.require_primary_key()
        if self._is_replaced_by_ids:
            self._require_follower()
            self.logger.warning(
                "Company ids are set: only their profiles are read, and no %s. Deselect %s to "
                "silence this warning.",
                self.name.replace("_", " "),
                self.name,
            )
            return iter(())
        if self.is_skipped_by_test:
            return iter(())
        if self.ABORT_AT_RECORD_COUNT is not None:
            return self._sample(self.ABORT_AT_RECORD_COUNT)
        self._run.start()
        if self.is_mapped_out:
            self.logger.warning(
                "Setting 'stream_maps' removes %s: nothing is read for it.", self.name
            )
            return iter(())
        if self._follower and self._follower.follow():
            self._wants_profiles = True
            self._report.profiles = self._follower.profiles
        self._report.start()
        return self.until_failure(self._records())

    def _records(self) -> Iterator[Row]:
        """Write each page's records, and yield those that the SDK must write."""
        feed_sync = self._feed_sync()
        for records in feed_sync.pages():
            self._received_at = feed_sync.received_at
            if self._is_written_unchanged:
                self._write_page(records)
            else:
                yield from records

    def _write_page(self, records: Sequence[Row]) -> None:
        """Write records as the SDK would, whose loop over them takes a tenth of a run."""
        self._writer.write_records(self.name, records, self.time_extracted)
        self._record_counter.increment(len(records))
        if self._wants_profiles:
            self._ids_of_page += [record["id"] for record in records]

    def generate_child_contexts(
        self,
        record: Record,
        context: Context | None,  # noqa: ARG002 - no partitions
    ) -> Iterable[Context | None]:
        """Record a company whose profile to write after the page; the SDK has no child to sync."""
        if self._wants_profiles and any(
            map_.get_filter_result(record) for map_ in self.stream_maps
        ):
            self._ids_of_page.append(record["id"])
        return ()

    @property
    def time_extracted(self) -> datetime:
        """When the page of the current record was received, in this run or an earlier one."""
        return self._received_at or super().time_extracted

    def finish_run(self) -> None:
        """Write the remaining records, and the sync's summary if the feed was to be read."""
        try:
            super().finish_run()
        finally:
            if self._will_read and not self.is_test:
                self._summarize()

    def _summarize(self) -> None:
        report = self._report
        report.finish()
        log_figures(self.metrics_logger, self.name, report.metrics())
        self._run.summary.add(rows=report.rows, pages=report.pages, is_complete=report.is_complete)
        if self._wants_profiles and self._follower:
            self._follower.summarize(is_complete=report.is_complete)

    @property
    def _is_replaced_by_ids(self) -> bool:
        return bool(self._follower and self._follower.has_explicit_ids)

    def _require_follower(self) -> None:
        if self._follower and not self._follower.selected:
            raise ConfigError(
                "Setting 'company_ids' or 'company_ids_file' names companies, but the stream "
                "companies is not selected: select it, or remove the setting."
            )

    def _prepare_run(self) -> None:
        """Prepare this feed, as for all feeds, before the run's first request.

        Raises:
            ConfigError: The budget does not cover one page.
            JournalError: The journal cannot be used, or another run is reading the same feed.
            StateError: The state is missing or invalid.
        """
        if self._will_read:
            self.require_primary_key()
            self._cost.check_page(self._spec.page_size(self.config))
            # Not `stream_state`: it would add the stream to the state.
            raw = self.tap_state.get("bookmarks", {}).get(self.name, {})
            state = read_state(raw, self._spec)
            self._journal = self._run.open_journal(self._spec, self._filters)
            self._first_state = recover_state(
                state, self._journal, self._start, self.config["on_missing_state"]
            )

    def _check_values(self) -> None:
        """Read the API's clock, and warn about a first sync without limits and about odd filters.

        All of this happens before the run's first billed request.

        Raises:
            TapJoboError: As for `read_api_clock`.
        """
        if not self._will_read:
            return
        _ = self._clock
        self._warn_of_unlimited_sync()
        for setting in self._spec.filters:
            value = self.config.get(setting.name)
            for hint in setting.value_hints(value) or self._known_values.warnings(setting, value):
                self._run.warn_once(hint)

    def _warn_of_unlimited_sync(self) -> None:
        limits = ("max_credits", "start_date", *self._filters)
        is_limited = any(self.config.get(name) is not None for name in limits)
        if not (is_limited or self.stream_state or self._spec.is_free):
            self.logger.warning(
                "First sync of %s without a filter or max_credits: every row is read and billed, "
                "%s per 1,000 rows at list price. Set max_credits to limit what a run spends.",
                self.name,
                dollars(self._spec.list_price * 1_000),
            )

    @property
    def _known_values(self) -> KnownValues:
        return self._run.known_values(
            lambda path, query: self.build_prepared_request(
                method="GET", url=self.url_base + path, params=query
            )
        )

    @property
    def _will_read(self) -> bool:
        return self.selected and not self.is_mapped_out and not self._is_replaced_by_ids

    def check(self) -> None:
        """Raise if the run must not go on to another page."""
        self._run.check()

    def finish_page(self) -> None:
        """Write the profiles of a page's companies, if they are selected."""
        ids, self._ids_of_page = self._ids_of_page, []
        if ids and self._follower:
            self._follower.write_profiles(ids, self._report.show_progress)

    def _sample(self, limit: int) -> Iterator[Row]:
        """Fetch at most `limit` rows with one request, without changing the journal or the state.

        If the journal holds rows, they need not be billed again: one of them is emitted, and the
        request asks only for rows that change from now on, of which there are none.
        """
        if self._follower and not self._follower.is_skipped_by_test:
            self._follower.follow()
        kept = self._run.sample(self._spec, self._filters)
        sync = self._start.new_sync(StreamState())
        sync = replace(sync, batch_size=min(limit, sync.batch_size))
        if kept:
            sync = replace(sync, since=format_timestamp(self._clock.now()))
        raw = self._reader.fetch_page(sync)
        page = read_page(raw.body, self._spec, None)
        self._reader.reconcile(raw, len(page.items), sync.batch_size)
        if kept and not page.items:
            page = read_page(kept, self._spec, None)
        rows = [self._spec.to_row(item, raw.started_at) for item in page.items[:limit]]
        yield from self._converter.convert(rows).records

    def _feed_sync(self) -> FeedSync:
        others = self.tap_state.get("bookmarks", {}).keys() - {self.name}
        if others and not self.stream_state and self._spec.is_selected_by_default:
            self.logger.warning(
                "The state has no bookmark for %s: everything is read, and billed.", self.name
            )
        state = self._first_state
        self._clock.reject_future(self._start.bookmark(state))
        self._clock.reject_future(state.pending.start if state.pending else None)
        return FeedSync(
            start=self._start,
            state=state,
            journal=self._journal,
            reader=self._reader,
            converter=self._converter,
            cost=self._cost,
            report=self._report,
            output=self,
        )

    @property
    def _clock(self) -> ApiClock:
        return self._run.api_clock(self._prepare_clock_request)

    def _prepare_clock_request(self) -> PreparedRequest:
        """Return a free request: the profile of a company that does not exist."""
        url = f"{self.url_base}{PROFILE_PATH}/{uuid4()}"
        request = self.build_prepared_request(method="GET", url=url)
        request.headers["Cache-Control"] = "no-cache"
        return request

    def write_state(self, state: StreamState) -> None:
        """Write a STATE message, after all records before it."""
        self.stream_state.update(state.as_raw(self._spec.replication_key))
        self.emit_state()

    @cached_property
    def _filters(self) -> Filters:
        return self._spec.filters_of(self.config)

    @cached_property
    def _cost(self) -> FeedCost:
        return FeedCost(self._run.budget, self._spec)

    @cached_property
    def _start(self) -> SyncStart:
        start_date = self.config.get("start_date")
        return SyncStart(
            spec=self._spec,
            filters=self._filters,
            on_filter_change=self.config["on_filter_change"],
            start_date=parse_timestamp(start_date) if start_date else None,
            lookback_minutes=self.config["lookback_minutes"],
            batch_size=self._spec.page_size(self.config),
            is_full_table=self.replication_method == REPLICATION_FULL_TABLE,
            clock=lambda: self._clock,
            logger=self.logger,
            is_refresh=self.config["on_missing_state"] == "resync",
        )

    @cached_property
    def _report(self) -> Report:
        return Report(
            stream=self.name,
            count_rows=lambda: self._record_counter.value,
            budget=self._run.budget,
            cost=self._cost,
            logger=self.logger,
        )

    @cached_property
    def _reader(self) -> FeedReader:
        return FeedReader(
            spec=self._spec,
            client=self._run.feed_client,
            prepare=self._prepare,
            filters=self._filters,
            cost=self._cost,
            clock=self._clock,
        )

    def _prepare(self, parameters: dict[str, Any]) -> PreparedRequest:
        request = copy(self._template)  # not its `copy`, which takes as long as to build it
        request.headers = self._template.headers.copy()
        if self.http_method == "GET":
            request.prepare_url(request.url, parameters)
        else:
            request.prepare_body(None, None, json=parameters)
        return request

    @cached_property
    def _template(self) -> PreparedRequest:
        """The request of every page, without its parameters: the SDK builds it once."""
        return self.build_prepared_request(method=self.http_method, url=self.url_base + self.path)
