"""The base class of the streams: what a run asks of each, and what they take from the SDK."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from logging import Logger, LogRecord
from types import SimpleNamespace
from typing import Any, Final, cast

from singer_sdk import RESTStream, Tap, metrics
from singer_sdk.exceptions import MapExpressionError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from singer_sdk.singerlib import Catalog, Metadata, Schema, StreamMetadata
from singer_sdk.typing import PropertiesList
from typing_extensions import override

from tap_jobo.errors import ConfigError, TapJoboError
from tap_jobo.messages import message
from tap_jobo.records.converter import RecordConverter, Row
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.writer import StdoutWriter
from tap_jobo.wording import completeness, dollars, plural

_SDK_PREFIX: Final = "Failed to evaluate simpleeval expressions "
"""Stands before the expression in the SDK's error about a stream map."""
METRICS: Final = {
    "jobo_sync_complete": "1 if everything was read that the settings ask for, else 0.",
    "jobo_credits": "Credits billed or possibly billed. Alert if it is above what you expect.",
    "jobo_credits_unconfirmed": "How many of them are only possibly billed.",
    "jobo_credits_balance": "Credits left in the account. Alert while it still covers a week.",
    "jobo_credits_month": "Credits billed this month for all that share the archive's limit.",
    "jobo_rows_loaded": "Rows loaded from the archive.",
    "jobo_rows_skipped": "Rows without a usable id, in each run that skips them.",
    "jobo_profiles_not_found": "Profiles that Jobo didn't have.",
    "jobo_profiles_skipped": "Profiles that could not be read.",
    "record_count": "Records emitted.",
}
"""The METRIC lines of a run besides those of the SDK: what each one counts, by its name."""


class JoboStream(RESTStream[Any]):
    """A stream of the Jobo API. `StreamLoop` reads it; the SDK's own loop is not used."""

    # RecordConverter has already made each record conform to the schema.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    ends_last: bool = False
    """Whether it reads again once all others are read, and only then has its summary."""

    never_null: Sequence[str] = ()
    """Fields that the API never leaves null."""

    _new_fields: frozenset[str] = frozenset()
    """Those that the catalog does not mention, because it is of an earlier version.

    As in that version, their values are in `_rescued_data`, or they would be lost for good.
    """

    def __init__(self, tap: Tap, run: RunContext, **kwargs: Any) -> None:
        super().__init__(tap, **kwargs)
        self._run = run
        self._writer = cast("StdoutWriter", tap.message_writer)
        self.record_count = 0  #: the records that were written
        self.is_done = False  #: whether the run has read it without an error
        self.seconds: float | None = None  #: how long it was read, None if it was not
        self._is_summarized = False
        # What the SDK calls `logger` is an adapter of it from 0.55 on.
        self.plain_logger = tap.logger.getChild(self.name)
        self.plain_logger.addFilter(self._name_stream)
        self.primary_keys: tuple[str, ...] = ("id",)

    def _name_stream(self, record: LogRecord) -> bool:
        """Let a line name the stream, because a log may not show the logger."""
        if not re.search(rf"\b{self.name}\b", record.getMessage()):
            record.msg = f"{self.name}: {record.msg}"
        return True

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        """Apply what a catalog selects. The keys are always those of the tap."""
        own_key = self.replication_key
        if entry := catalog.get_stream(self.name):
            entry.metadata.setdefault((), StreamMetadata(selected=self.selected_by_default))
            automatic = Metadata(inclusion=Metadata.InclusionType.AUTOMATIC)
            entry.metadata["properties", "id"] = automatic
            own = Schema.from_dict(self.schema).properties or {}
            entry.schema.properties = (entry.schema.properties or own) | {"id": own["id"]}
            lacking = own.keys() - entry.schema.properties.keys()
            new = {name for name in lacking if ("properties", name) not in entry.metadata}
            self._new_fields = frozenset(new - {*self.never_null})  # which each page is checked for
            for name in lacking:
                entry.metadata["properties", name] = Metadata(selected=False)
            entry.key_properties = self.primary_keys  # of the SCHEMA message
        super().apply_catalog(catalog)
        self.replication_key = own_key

    @override
    def get_records(self, context: Context | None) -> Sequence[Row]:
        """Return the records that the SDK's own tests ask for. They select all streams."""
        if self.ABORT_AT_RECORD_COUNT is None:
            raise NotImplementedError("TapJobo.read_all reads all streams in one loop.")
        return self.sample(self.ABORT_AT_RECORD_COUNT) if self.is_read else ()

    def sample(self, limit: int) -> Sequence[Row]:  # noqa: ARG002
        """Return at most `limit` records, for `--test`."""
        return ()

    def check_selection(self) -> None:
        """Raise ConfigError if what the catalog selects does not fit the settings."""

    def preview(self) -> Iterable[str]:
        """Return what a run would load, ask, and buy. This sends no request."""
        return ()

    # The phases of a run, each for all streams

    def open(self) -> None:
        """Find where the run starts. This sends no request.

        Raises:
            StateError: The run can't start there, or the user has to decide first.
        """

    def load(self) -> None:
        """Write all that costs nothing. This sends a request only if `needs_api`."""

    def check_times(self) -> None:
        """Check by the API's clock that nothing was read in the future. Raises StateError."""

    def hints(self) -> Iterable[str]:
        """Return what the user should know before the first billed request of any stream."""
        return ()

    def buy(self) -> None:
        """Buy, and write what was bought.

        Raises:
            HeldError: Another run buys the stream. `open`, `load`, and this are called again.
        """

    def finish(self) -> None:
        """Write what came with the other streams, once all of them were read."""

    # What it reports

    def summarize(self) -> None:
        """Log the summary of the stream, once in a run, and its METRIC lines."""
        if self._is_summarized:
            return
        self._is_summarized = True
        self._log_figures({**self.log_summary(), "record_count": self.record_count or None})
        if self.seconds is not None:
            status = metrics.Status.SUCCEEDED if self.is_done else metrics.Status.FAILED
            tags: dict[str, Any] = {"stream": self.name, "status": status}
            timer = metrics.Point("timer", metrics.Metric.SYNC_DURATION, self.seconds, tags)
            metrics.log(self.metrics_logger, timer)

    @property
    def is_complete(self) -> bool:
        """Whether everything was read. A limit also ends a sync early, and is no failure."""
        return self.is_done

    def log_summary(self) -> Mapping[str, int | None]:
        """Log the summary of the stream, and return figures; those that are None are not logged."""
        how = completeness(is_complete=self.is_complete)
        rows = self.describe_rows()
        self.logger.info("Summary: %s: %s, 0 credits ($0.00); %s.", self.name, rows, how)
        return {"jobo_sync_complete": int(self.is_complete)}

    def describe_rows(self) -> str:
        """Return what was written, for the summary."""
        return plural(self.record_count, "row")

    def _log_figures(self, figures: Mapping[str, int | None]) -> None:
        for name, value in figures.items():
            if value is not None:
                log_metric(self.metrics_logger, name, value, {"stream": self.name})

    @property
    def is_read(self) -> bool:
        """Whether a run reads the stream."""
        return self.selected and not self.is_removed

    @property
    def is_removed(self) -> bool:
        """Whether stream maps remove every record."""
        return all(isinstance(each, RemoveRecordTransform) for each in self.stream_maps)

    @property
    def is_free(self) -> bool:
        """Whether nothing of the stream is ever billed."""
        return True

    @property
    def buys(self) -> bool:
        """Whether it goes on after the load, with purchases by the API's clock."""
        return False

    @property
    def needs_api(self) -> bool:
        """Whether its load sends requests."""
        return False

    @property
    def is_following(self) -> bool:
        """Whether the stream is read along with another, and not by itself."""
        return False

    @property
    @override
    def url_base(self) -> str:
        return self._run.session.url

    # Messages

    def write_schema(self) -> None:
        """Write the SCHEMA messages of the stream and of the copies that stream maps make of it."""
        self._write_schema_message()

    def write_rows(self, rows: Sequence[Row], received_at: datetime | None = None) -> list[str]:
        """Write rows as RECORDs, and return the ids of those that no stream map has removed.

        The SDK's processing is bypassed where it would change nothing: it takes a tenth of a run.
        """
        received_at = received_at or self._run.clock.now()
        if self._is_written_unchanged:
            self._writer.write_records(self.name, rows, received_at)
            self.record_count += len(rows)
            return [row["id"] for row in rows]
        ids = []
        try:
            for row in rows:
                for message in self._generate_record_messages(row):
                    message.time_extracted = received_at
                    self._writer.write_message(message)
                    ids.append(row["id"])
                self.record_count += 1
        except TapJoboError:
            raise
        except Exception as error:  # of an expression of the user's, which may raise anything
            raise self._failed_map(error) from error
        return [*dict.fromkeys(ids)]

    def _failed_map(self, error: Exception) -> ConfigError:
        """Return the error for a map that fails on a row, without what the row has."""
        why = f"{type(error.__cause__ or error).__name__}"
        if isinstance(error, MapExpressionError):  # its text has the expression only
            why += f" in {str(error).removeprefix(_SDK_PREFIX).rstrip('.')}"
        billed = dollars(self._run.budget.credits)
        fact = f"The map of {self.name} fails ({why}). The run was billed {billed}."
        return ConfigError(message("map-failed", fact, **self._run.known_of_archive))

    def emit_state(self) -> None:
        """Write the tap's state, after all records before it."""
        self._writer.write_state(self.tap_state)

    @cached_property
    def _is_written_unchanged(self) -> bool:
        maps = self.stream_maps
        return (
            len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and not maps[0].flattening_enabled
            and all(self.mask.values())
        )

    @cached_property
    def _converter(self) -> RecordConverter:
        properties, new = self.schema["properties"], self._new_fields
        known = {name: each for name, each in properties.items() if name not in new}
        left_out = [".".join(path[1::2]) for path, is_in in self.mask.items() if not is_in]
        deselected = [path for path in left_out if path.partition(".")[0] not in new]
        return RecordConverter(
            {"properties": known}, self.plain_logger, self.never_null, deselected
        )


def log_metric(logger: Logger, name: str, value: int, tags: dict[str, Any]) -> None:
    """Log a METRIC line of a name that is none of the SDK's."""
    assert name in METRICS  # noqa: S101 - which the documentation lists
    metric: Any = SimpleNamespace(value=name)  # like a member of the SDK's own enum
    metrics.log(logger, metrics.Point("counter", metric, value, tags))


def json_schema(fields: PropertiesList) -> dict[str, Any]:
    """Return a stream's schema, without the `$schema` that older targets refuse."""
    schema = fields.to_dict()
    del schema["$schema"]
    return schema
