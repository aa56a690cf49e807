"""The streams, as the SDK wants them."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk import RESTStream, metrics
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_jobo import feed, schemas
from tap_jobo.client import Client
from tap_jobo.clock import Clock, parse_timestamp
from tap_jobo.delivery import Delivery
from tap_jobo.errors import TapJoboError
from tap_jobo.feed import Feed
from tap_jobo.journal import Journal, default_folder
from tap_jobo.output import check_reader
from tap_jobo.plan import Plan
from tap_jobo.report import Report
from tap_jobo.rows import RowCleaner
from tap_jobo.scan import REPLICATION_KEY, StreamState, filters_of
from tap_jobo.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from requests import PreparedRequest
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog

    from tap_jobo.rows import Row
    from tap_jobo.scan import Filters
    from tap_jobo.stopping import Stopping


class _ScannedStream(RESTStream[Any]):
    """A stream whose bookmark is the start of its last complete scan, not a row's value.

    The SDK keeps the largest replication key seen, warns where a row has none, and writes the
    result into the state at the end of every sync, however it ended. Here `tap_jobo.delivery`
    alone writes the state; the two private hooks below are the places where the SDK would.
    `tests/test_sdk.py` fails when the SDK changes them.
    """

    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Leave the state as it is: no row moves it."""

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the state as it is: the scan knows where it starts."""

    def get_replication_key_signpost(
        self,
        context: Context | None = None,  # noqa: ARG002 - the SDK's signature
    ) -> None:
        """Return none: no row's value becomes a bookmark, so none needs a limit."""
        return


class CareerSitesStream(_ScannedStream):
    """Career sites: companies together with the place where their jobs are listed."""

    name = "career_sites"
    path = feed.PATH
    http_method = "POST"
    primary_keys: Sequence[str] = ("id",)
    replication_key = REPLICATION_KEY
    schema = schemas.CAREER_SITES.to_dict()

    def __init__(self, tap: Tap, *, stopping: Stopping) -> None:
        super().__init__(tap)
        self._clock = Clock()
        self._stopping = stopping
        self._state_writer = tap.state_writer
        self._user_agent = f"{tap.name}/{tap.plugin_version}"

    @property
    def url_base(self) -> str:
        """The API's address, without a slash at its end."""
        return str(self.config["api_url"]).rstrip("/")

    @cached_property
    def authenticator(self) -> APIKeyAuthenticator:
        """The header that carries the key."""
        return APIKeyAuthenticator(key="X-Api-Key", value=self.config["api_key"])

    @property
    def user_agent(self) -> str:
        """The User-Agent of every request."""
        return self._user_agent

    def apply_catalog(self, catalog: Catalog) -> None:
        """Apply a catalog, but for keys that it leaves out.

        Without its replication key the SDK would take the stream for FULL_TABLE, which buys
        everything at every run.
        """
        super().apply_catalog(catalog)
        self.primary_keys = self.primary_keys or ("id",)
        self.replication_key = self.replication_key or REPLICATION_KEY

    def log(self, message: str, *args: object, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log a line, but not that an error is unhandled which `main` tells the user of."""
        if not isinstance(sys.exception(), TapJoboError):
            super().log(message, *args, level=level, **kwargs)

    def get_sync_timer(self) -> metrics.Timer:
        """Return the SDK's timer, which also ends the report, however the sync ends."""
        return _ReportingTimer(self._report, metrics.Metric.SYNC_DURATION, {"stream": self.name})

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002 - no partitions
        """Yield the records of a run, or of `--test` the few that it asks for."""
        if self.ABORT_AT_RECORD_COUNT is None:
            return self._delivery().records()
        return self._sample(self.ABORT_AT_RECORD_COUNT)

    def _sample(self, limit: int) -> Iterator[Row]:
        """Buy `limit` rows at the most, with one request that leaves no trace."""
        scan = replace(self._plan.new_scan(None), batch_size=min(limit, self.config["batch_size"]))
        page = self._feed.buy(scan, None)
        yield from islice(self._cleaner.clean(page.rows), limit)
        self._report.page_delivered(len(page.rows), is_replayed=False)

    def _delivery(self) -> Delivery:
        return Delivery(
            plan=self._plan,
            state=StreamState(self.stream_state),
            journal=self._journal(),
            feed=self._feed,
            cleaner=self._cleaner,
            spending=self._spending,
            report=self._report,
            write_state=lambda: self._state_writer.write_state(self.tap_state),
            check=self._check,
            logger=self.logger,
        )

    def _check(self) -> None:
        self._stopping.check()
        check_reader()

    @cached_property
    def _filters(self) -> Filters:
        return filters_of(self.config)

    @cached_property
    def _plan(self) -> Plan:
        start_date = self.config.get("start_date")
        return Plan(
            filters=self._filters,
            on_filter_change=self.config["on_filter_change"],
            start_date=parse_timestamp(start_date) if start_date else None,
            lookback=timedelta(minutes=self.config["lookback_minutes"]),
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
    def _spending(self) -> Spending:
        return Spending(
            max_credits=self.config.get("max_credits"),
            alert_threshold=self.config.get("credits_alert_threshold"),
            logger=self.logger,
        )

    @cached_property
    def _cleaner(self) -> RowCleaner:
        return RowCleaner(self.schema, self.effective_schema.get("properties", {}), self.logger)

    @cached_property
    def _report(self) -> Report:
        return Report(
            stream=self.name,
            spending=self._spending,
            cleaner=self._cleaner,
            clock=self._clock,
            logger=self.logger,
            metrics_logger=self.metrics_logger,
        )

    @cached_property
    def _feed(self) -> Feed:
        # On this machine a proxy of the environment has no business, and would see the key.
        self.requests_session.trust_env = self.url_base.startswith("https:")
        client = Client(
            session=self.requests_session,
            key=self.config["api_key"],
            spending=self._spending,
            stopping=self._stopping,
            clock=self._clock,
            logger=self.logger,
        )
        return Feed(
            client=client,
            prepare=self._prepare,
            filters=self._filters,
            spending=self._spending,
            logger=self.logger,
        )

    def _prepare(self, body: dict[str, Any]) -> PreparedRequest:
        return self.build_prepared_request(
            method=self.http_method, url=self.url_base + self.path, json=body
        )


class _ReportingTimer(metrics.Timer):
    """The SDK leaves it at the end of every sync, also of one that fails."""

    def __init__(self, report: Report, *args: Any) -> None:
        super().__init__(*args)
        self._report = report

    def __exit__(self, *exc_info: object) -> None:
        self._report.finish()
        super().__exit__(*exc_info)  # type: ignore[arg-type]
