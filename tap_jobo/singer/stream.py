"""What the streams have in common: the API's address, the key, and the SDK's private hooks."""

from __future__ import annotations

import logging
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from singer_sdk import RESTStream, metrics
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.exceptions import MappingError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform

from tap_jobo.api.client import Client
from tap_jobo.api.transport import Transport
from tap_jobo.clock import Clock
from tap_jobo.errors import ConfigError, TapJoboError
from tap_jobo.records.converter import RecordConverter

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from tap_jobo.signals import ShutdownSignal
    from tap_jobo.singer.writer import StdoutWriter

_MOST_WORKERS: Final = 16


class JoboStream(RESTStream[Any]):
    """A stream of the Jobo API.

    Args:
        tap: The tap.
        shutdown: Ends waits and requests when a signal comes.
    """

    # Records are made of JSON and cleaned by the schema: there is nothing left to conform.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, *, shutdown: ShutdownSignal) -> None:
        super().__init__(tap)
        self._clock = Clock()
        self._shutdown = shutdown
        self._user_agent = f"{tap.name}/{tap.plugin_version}"
        self._writer = cast("StdoutWriter", tap.message_writer)

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

    def require_primary_key(self) -> None:
        """See that the catalog keeps the primary key, without which a target cannot upsert.

        Raises:
            ConfigError: It does not.
        """
        if (
            "id" not in self.effective_schema.get("properties", {})
            or not (self.mask["properties", "id"])
        ):
            raise ConfigError(
                f"The catalog leaves out the field 'id' of {self.name}, its primary key: take it "
                "in again."
            )

    @property
    def is_mapped_out(self) -> bool:
        """Whether stream maps let no record of the stream out, so that none need be read."""
        return all(isinstance(each, RemoveRecordTransform) for each in self.stream_maps)

    def log(self, message: str, *args: object, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log a line, but not that an error is unhandled which `main` tells the user of."""
        if not isinstance(sys.exception(), TapJoboError | MappingError):
            super().log(message, *args, level=level, **kwargs)

    def get_sync_timer(self) -> metrics.Timer:
        """Return the SDK's timer, which also calls `finish_run`, however the sync ends."""
        return _Timer(self.finish_run, metrics.Metric.SYNC_DURATION, {"stream": self.name})

    def finish_run(self) -> None:
        """Write the records that wait to be written; streams add their summary."""
        self._writer.write_waiting_records()

    # The private hooks of the SDK. `tests/test_hooks.py` fails when the SDK changes one.

    def _write_record_message(self, record: Record) -> None:
        """Write a record without the SDK's work on each, where that would change nothing.

        For each record the SDK looks up each field's selection, applies the maps and makes a
        message object, which takes as long as all the rest of a run.
        """
        if self._is_written_unchanged:
            self._writer.write_record(self.name, record)
        else:
            super()._write_record_message(record)

    @cached_property
    def _is_written_unchanged(self) -> bool:
        """Whether no field is deselected and the only map is the one that changes nothing."""
        maps = self.stream_maps
        return (
            len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and not maps[0].flattening_enabled
            and maps[0].stream_alias == self.name
            and all(self.mask["properties", field] for field in self.schema["properties"])
        )

    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Leave the state unchanged.

        The SDK would keep the largest replication key seen and write it at the end of every sync,
        however it ended. Here the bookmark is the start of the last complete sync, and
        `tap_jobo.sync.delivery` alone writes the state.
        """

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the state unchanged: the sync knows where it starts."""

    def get_replication_key_signpost(
        self,
        context: Context | None = None,  # noqa: ARG002 - the SDK's signature
    ) -> None:
        """Return none: no row's value becomes a bookmark, so none needs a limit."""
        return

    @cached_property
    def _cleaner(self) -> RecordConverter:
        return RecordConverter(
            self.schema, self.effective_schema.get("properties", {}), self.logger
        )

    def _client(self, **options: Any) -> Client:
        session = self.requests_session
        # On this machine a proxy of the environment has no business, and would see the key.
        session.trust_env = self.url_base.startswith("https:")
        for scheme in ("https://", "http://"):
            session.mount(scheme, Transport(_MOST_WORKERS))
        return Client(
            session=session,
            key=self.config["api_key"],
            shutdown=self._shutdown,
            clock=self._clock,
            logger=self.logger,
            **options,
        )


class _Timer(metrics.Timer):
    """The SDK leaves it at the end of every sync, also of one that fails."""

    def __init__(self, at_exit: Callable[[], None], *args: Any) -> None:
        super().__init__(*args)
        self._at_exit = at_exit

    def __exit__(self, *exc_info: object) -> None:
        self._at_exit()
        super().__exit__(*exc_info)  # type: ignore[arg-type]
