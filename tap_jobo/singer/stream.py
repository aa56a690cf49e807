"""The base class of the streams: the API's address, the key, and the SDK's private hooks."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from logging import LogRecord
from types import SimpleNamespace
from typing import Any, Final, cast

from singer_sdk import RESTStream, Tap, metrics
from singer_sdk.exceptions import MapExpressionError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from singer_sdk.singerlib import Catalog, Metadata, Schema, StreamMetadata
from singer_sdk.singerlib.encoding.simple import StateMessage
from singer_sdk.typing import PropertiesList
from typing_extensions import override

from tap_jobo.archive.store import HeldError
from tap_jobo.errors import ConfigError, StateError, TapJoboError
from tap_jobo.messages import message
from tap_jobo.records.converter import RecordConverter, Row
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.writer import StdoutWriter
from tap_jobo.sync.preview import Preview
from tap_jobo.wording import dollars

USELESS: Final = {
    "Skipping parse of env var settings...",  # wrong: the tap has read them
    "Skipping deselected stream '%s'.",
    "Beginning sync of '%s' in %s mode",
    "An unhandled error occurred while syncing '%s'",  # which `cli` reports
}
"""Lines of the SDK that are not logged."""
_SDK_PREFIX: Final = "Failed to evaluate simpleeval expressions "
"""Stands before the expression in the SDK's error about a stream map."""


class JoboStream(RESTStream[Any]):
    """A stream of the Jobo API."""

    # RecordConverter has already made each record conform to the schema.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

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
        self._record_counter = _RecordCounter(
            metrics.Metric.RECORD_COUNT, {metrics.Tag.STREAM: self.name}, log_interval=math.inf
        )
        self._sync_timer = super().get_sync_timer()
        # What the SDK calls `logger` is an adapter of it from 0.55 on.
        self.plain_logger = tap.logger.getChild(self.name)
        self.plain_logger.addFilter(self._name_stream)
        self.primary_keys: tuple[str, ...] = ("id",)
        self.is_summarized = False

    def _name_stream(self, record: LogRecord) -> bool:
        """Let a line name the stream, because a log may not show the logger."""
        if not is_useful(record):
            return False
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
        """Write the records of a run, or the few that `--test` asks for; leave none to the SDK."""
        try:
            if self.ABORT_AT_RECORD_COUNT is None:
                self._read_in_order()
            elif self.is_read:  # the SDK's own dry runs select all streams
                self.write_rows(self.sample(self.ABORT_AT_RECORD_COUNT))
        finally:
            self._writer.flush()
        return ()

    def _read_in_order(self) -> None:
        try:
            self._run.order.start()
            self._read_or_skip()
            self._run.order.finish(self.name)
        except BaseException:
            self._run.order.summarize_rest()
            raise

    def _read_or_skip(self) -> None:
        if self._run.order.has_failed(self.name):  # before it could be read
            self._sync_timer.tags[metrics.Tag.STATUS] = metrics.Status.FAILED
            self.summarize(has_failed=True)
            return
        if not self.is_read:
            self.report_unread()
            return
        self.try_to_read(self.read)

    def try_to_read(self, read: Callable[[], None]) -> None:
        """Read, and summarize; a failure of this stream alone lets the run go on with the next."""
        has_failed = True
        try:
            read()
            has_failed = False
        except HeldError as error:
            if self._run.order.wait_for(self.name, error):
                return  # and reads it again later
            self._fail(error)
        except TapJoboError as error:
            # A question that comes after a load concerns this stream alone.
            if error.ends_run and not isinstance(error, StateError):
                raise
            self._fail(error)
        finally:
            if not self._run.order.is_waiting(self.name):
                self.summarize(has_failed=has_failed)

    def _fail(self, error: TapJoboError) -> None:
        self._sync_timer.tags[metrics.Tag.STATUS] = metrics.Status.FAILED
        self._run.order.add_failure(self.name, error)

    def sample(self, limit: int) -> Sequence[Row]:  # noqa: ARG002
        """Return at most `limit` records, for `--test`."""
        return ()

    def read(self) -> None:
        """Write the records and states of a run, once everything that it needs is prepared."""

    # Before the run's first billed request, each for all streams

    def check_selection(self) -> None:
        """Raise ConfigError if what the catalog selects does not fit the settings."""

    def check_settings(self) -> None:
        """Raise ConfigError if the settings do not allow to read the stream."""

    def open(self) -> None:
        """Find where the run starts. Raises StateError if the user has to decide first."""

    def check_position(self) -> Iterable[str]:
        """Raise StateError if the run can't start there; return hints about the settings.

        This may send free requests.
        """
        return ()

    def preview(self) -> Preview:
        """Return what a run would load, ask, and buy. This may send free requests."""
        return Preview()

    def read_again(self) -> None:
        """Try again to buy what another run was found to buy."""

    def summarize(self, *, has_failed: bool) -> None:
        """Log the summary of the stream, and its METRIC lines."""
        self.is_summarized = True
        self.log_summary(is_complete=not has_failed)

    def end_early(self, *, has_failed: bool) -> None:
        """Log the summary of a stream that the run does not reach, or reads no further."""
        if has_failed or self._record_counter.total:
            self.summarize(has_failed=True)
        else:
            self.log_unread()

    def log_unread(self) -> None:
        """Log that the run did not read the stream: its last sync may be complete."""
        self.logger.info("Summary: %s: not read in this run.", self.name)
        self.log_figures({"jobo_sync_complete": 0})

    def log_summary(self, *, is_complete: bool) -> None:
        """Log the summary of the stream, and its METRIC lines."""

    def report_unread(self) -> None:
        """Log why a stream that is selected is not read."""
        fact = f"{self.name} is selected, but not read, because 'stream_maps' removes it."
        self.logger.warning("%s", message("no-stream", fact))

    @property
    def is_read(self) -> bool:
        """Whether a run reads the stream; not if stream maps remove every record."""
        maps = self.stream_maps
        return self.selected and not all(isinstance(each, RemoveRecordTransform) for each in maps)

    @property
    def is_following(self) -> bool:
        """Whether the stream is read along with another, and not by itself."""
        return False

    @property
    @override
    def url_base(self) -> str:
        return self._run.url

    @override
    def get_record_counter(self, **_: Any) -> metrics.Counter:
        return self._record_counter

    @override
    def get_sync_timer(self) -> metrics.Timer:
        """Return the timer of the sync, whose METRIC line says whether it succeeded."""
        if self.is_following:
            return SilentTimer()
        return self._sync_timer

    @override
    def log_sync_costs(self) -> None:
        """Raise if a stream has failed: the SDK calls this when all streams are synced."""
        self._run.order.raise_failures()

    def log_figures(self, figures: Mapping[str, int | None]) -> None:
        """Log METRIC lines: figures that are not None, and the records, as the SDK does later.

        It does not if the stream is read again, or along with others.
        """
        tags = {metrics.Tag.STREAM.value: self.name}
        for name, value in figures.items():
            if value is not None:
                metric: Any = SimpleNamespace(value=name)  # like a member of the SDK's own enum
                metrics.log(self.metrics_logger, metrics.Point("counter", metric, value, tags))
        self._record_counter.exit()

    def write_rows(self, rows: Sequence[Row], received_at: datetime | None = None) -> list[str]:
        """Write rows as RECORDs, and return the ids of those that no stream map has removed.

        The SDK's processing is bypassed where it would change nothing: it takes a tenth of a run.
        """
        received_at = received_at or self._run.clock.now()
        if self._is_written_unchanged:
            self._writer.write_records(self.name, rows, received_at)
            self._record_counter.increment(len(rows))
            return [row["id"] for row in rows]
        ids = []
        try:
            for row in rows:
                for message in self._generate_record_messages(row):
                    message.time_extracted = received_at
                    self._writer.write_message(message)
                    ids.append(row["id"])
                self._record_counter.increment()
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
        billed, has_archive = dollars(self._run.budget.credits), self.config["archive"]
        known = {
            "archive": "the archive" if has_archive else None,
            "off": None if has_archive else "The archive is off",
        }
        fact = f"The map of {self.name} fails ({why}). The run was billed {billed}."
        return ConfigError(message("map-failed", fact, **known))

    def emit_state(self) -> None:
        """Write the tap's state, after all records before it."""
        self._writer.write_message(StateMessage(value=self.tap_state))

    @cached_property
    def _is_written_unchanged(self) -> bool:
        maps = self.stream_maps
        return (
            len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and not maps[0].flattening_enabled
            and all(self.mask.values())
        )

    # A private hook of the SDK. `tests/singer/test_sdk.py` fails if the SDK changes it.

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the state unchanged: the sync knows where it starts."""

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return None: no row's value becomes a bookmark, so there is nothing to limit."""

    @cached_property
    def _converter(self) -> RecordConverter:
        properties, new = self.schema["properties"], self._new_fields
        known = {name: each for name, each in properties.items() if name not in new}
        left_out = [".".join(path[1::2]) for path, is_in in self.mask.items() if not is_in]
        deselected = [path for path in left_out if path.partition(".")[0] not in new]
        return RecordConverter(
            {"properties": known}, self.plain_logger, self.never_null, deselected
        )


class SilentTimer(metrics.Timer):
    """The timer of a stream that is read along with others: the SDK would log almost zero."""

    def __init__(self) -> None:
        super().__init__(metrics.Metric.SYNC_DURATION)

    @override
    def __exit__(self, *_: object) -> None:
        """Log nothing."""


class _RecordCounter(metrics.Counter):
    """Counts a stream's records, and logs the count at the end, if it is not zero.

    The SDK's counter logs every minute, and each time starts again from zero.
    """

    _logged = 0

    @property
    def total(self) -> int:
        """The records of the run: a stream that another run buys is read more than once."""
        return self._logged + self.value

    @override
    def exit(self) -> None:
        """Log the records since this was called last."""
        if self.value:
            self._logged += self.value
            super().exit()


def is_useful(record: LogRecord) -> bool:
    """Return whether a log record is none of the SDK's that only confuse."""
    return record.msg not in USELESS


def json_schema(fields: PropertiesList) -> dict[str, Any]:
    """Return a stream's schema, without the `$schema` that older targets refuse."""
    schema = fields.to_dict()
    del schema["$schema"]
    return schema
