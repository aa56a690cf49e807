"""The stream of career sites: the wiring of a run."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_jobo.api import feed_reader as feed
from tap_jobo.api.budget import Account, Budget
from tap_jobo.api.feed_reader import FeedReader
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import ConfigError
from tap_jobo.journal.journal import Journal, default_folder
from tap_jobo.scan import REPLICATION_KEY, StreamState, filters_of
from tap_jobo.singer.stream import JoboStream
from tap_jobo.singer.writer import check_reader
from tap_jobo.streams import schemas
from tap_jobo.sync.delivery import Delivery
from tap_jobo.sync.report import Report
from tap_jobo.sync.start import SyncStart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from requests import PreparedRequest
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog

    from tap_jobo.records.converter import Row
    from tap_jobo.scan import Filters
    from tap_jobo.signals import ShutdownSignal
    from tap_jobo.singer.companies_stream import CompaniesStream


class CareerSitesStream(JoboStream):
    """Career sites: companies together with the place where their jobs are listed."""

    name = "career_sites"
    path = feed.PATH
    http_method = "POST"
    primary_keys: Sequence[str] = ("id",)
    replication_key = REPLICATION_KEY
    schema = schemas.CAREER_SITES.to_dict()

    def __init__(self, tap: Tap, *, shutdown: ShutdownSignal, companies: CompaniesStream) -> None:
        super().__init__(tap, shutdown=shutdown)
        self._state_writer = tap.state_writer
        self._companies = companies
        self._wants_profiles = False
        self._ids_of_page: list[str] = []

    def apply_catalog(self, catalog: Catalog) -> None:
        """Apply a catalog, but for keys that it leaves out.

        Without its replication key the SDK would take the stream for FULL_TABLE, which buys
        everything at every run.
        """
        super().apply_catalog(catalog)
        self.replication_key = self.replication_key or REPLICATION_KEY
        self.primary_keys = self.primary_keys or ("id",)
        if entry := catalog.get_stream(self.name):  # which the SCHEMA message is made of
            entry.key_properties = self.primary_keys

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002 - no partitions
        """Return the records of a run, or of `--test` the few that it asks for.

        Raises:
            ConfigError: Companies are named, whose stream is not selected.
        """
        self.require_primary_key()
        if self._companies.has_explicit_ids:
            self._leave_the_feed_alone()
            return iter(())
        if self.ABORT_AT_RECORD_COUNT is not None:
            return self._sample(self.ABORT_AT_RECORD_COUNT)
        if self.is_mapped_out:
            self.logger.warning("Setting 'stream_maps' takes career_sites out: nothing is read.")
            return iter(())
        self._wants_profiles = self._companies.selected and not self._companies.is_mapped_out
        if self._wants_profiles:
            self._companies.require_primary_key()
            self._companies.follow_career_sites()
        return self._delivery().records()

    def generate_child_contexts(
        self,
        record: Record,
        context: Context | None,  # noqa: ARG002 - no partitions
    ) -> Iterable[Context | None]:
        """Note a company whose profile is due with its page; the SDK has no child to sync."""
        if self._wants_profiles and any(
            map_.get_filter_result(record) for map_ in self.stream_maps
        ):
            self._ids_of_page.append(record["id"])
        return ()

    def _finish_page(self) -> None:
        ids, self._ids_of_page = self._ids_of_page, []
        if ids:
            self._companies.write_profiles(ids)

    def _leave_the_feed_alone(self) -> None:
        if not self._companies.selected:
            raise ConfigError(
                "Setting 'company_ids' or 'company_ids_file' names companies, but the stream "
                "companies is not selected: select it, or take the setting out."
            )
        self.logger.warning(
            "Companies are named: their profiles are read, and no career sites. Deselect "
            "career_sites to be rid of this line."
        )

    def finish_run(self) -> None:
        """Write what is left to be written, and the run's summary if the feed was read."""
        try:
            super().finish_run()
        finally:
            if not self._companies.has_explicit_ids:
                self._report.finish(self._companies.profiles if self._companies.selected else None)

    def _sample(self, limit: int) -> Iterator[Row]:
        """Buy `limit` rows at the most, with one request that leaves no trace."""
        scan = replace(self._plan.new_scan(None), batch_size=min(limit, self.config["batch_size"]))
        page = self._feed.fetch_page(scan, None)
        yield from islice(self._cleaner.clean(page.rows), limit)
        self._report.page_delivered(len(page.rows), is_replayed=False)

    def _delivery(self) -> Delivery:
        state = StreamState(self.stream_state)
        bookmark = self._plan.bookmark(state)
        if bookmark and bookmark > self._clock.now():
            # One of the two is wrong. To ask the API costs nothing, other than to see it from a
            # page that was bought with such a bookmark.
            feed.reject_future_bookmark(bookmark, self._companies.profiles.api_time())
        return Delivery(
            plan=self._plan,
            state=state,
            journal=self._journal(),
            feed=self._feed,
            cleaner=self._cleaner,
            account=self._account,
            report=self._report,
            finish_page=self._finish_page,
            write_state=lambda: self._state_writer.write_state(self.tap_state),
            check=self._check,
            logger=self.logger,
        )

    def _check(self) -> None:
        self._shutdown.check()
        check_reader()

    @cached_property
    def _filters(self) -> Filters:
        return filters_of(self.config)

    @cached_property
    def _plan(self) -> SyncStart:
        start_date = self.config.get("start_date")
        return SyncStart(
            filters=self._filters,
            on_filter_change=self.config["on_filter_change"],
            start_date=parse_timestamp(start_date) if start_date else None,
            lookback_minutes=self.config["lookback_minutes"],
            batch_size=self.config["batch_size"],
            is_full_table=self.replication_method == REPLICATION_FULL_TABLE,
            clock=self._clock,
            logger=self.logger,
        )

    def _journal(self) -> Journal:
        folder = self.config.get("journal_dir")
        return Journal(
            (Path(folder).expanduser() if folder else default_folder())
            if self.config["journal"]
            else None,
            api_key=self.config["api_key"],
            api_url=self.url_base,
            filters=self._filters,
            logger=self.logger,
        )

    @cached_property
    def _budget(self) -> Budget:
        return Budget(
            max_credits=self.config.get("max_credits"),
            alert_threshold=self.config.get("credits_alert_threshold"),
            logger=self.logger,
        )

    @cached_property
    def _account(self) -> Account:
        return self._budget.account(self.name, list_price=50)

    @cached_property
    def _report(self) -> Report:
        return Report(
            stream=self.name,
            budget=self._budget,
            cleaner=self._cleaner,
            clock=self._clock,
            logger=self.logger,
            metrics_logger=self.metrics_logger,
        )

    @cached_property
    def _feed(self) -> FeedReader:
        return FeedReader(
            client=self._client(),
            prepare=self._prepare,
            filters=self._filters,
            account=self._account,
            logger=self.logger,
        )

    def _prepare(self, body: dict[str, Any]) -> PreparedRequest:
        request = self._template.copy()
        request.prepare_body(None, None, json=body)
        return request

    @cached_property
    def _template(self) -> PreparedRequest:
        """The request of every page but for its body: the SDK makes it, once."""
        return self.build_prepared_request(method=self.http_method, url=self.url_base + self.path)
