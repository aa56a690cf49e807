"""What the streams have in common: where the API is, and how it is spoken to."""

from __future__ import annotations

import logging
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from requests.adapters import HTTPAdapter
from singer_sdk import RESTStream, metrics
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.exceptions import MappingError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import RemoveRecordTransform

from tap_jobo.client import Client
from tap_jobo.clock import Clock
from tap_jobo.errors import ConfigError, TapJoboError
from tap_jobo.rows import RowCleaner

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk import Tap

    from tap_jobo.spending import Spending
    from tap_jobo.stopping import Stopping

_MOST_WORKERS: Final = 16


class JoboStream(RESTStream[Any]):
    """A stream of the Jobo API.

    Args:
        tap: The tap.
        stopping: Ends waits and requests when a signal comes.
    """

    # Records are made of JSON and cleaned by the schema: there is nothing left to conform.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, *, stopping: Stopping) -> None:
        super().__init__(tap)
        self._clock = Clock()
        self._stopping = stopping
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
    def is_taken_out(self) -> bool:
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
        """Tell what the run has done."""
        raise NotImplementedError

    @cached_property
    def _cleaner(self) -> RowCleaner:
        return RowCleaner(self.schema, self.effective_schema.get("properties", {}), self.logger)

    def _client(self, spending: Spending, **options: Any) -> Client:
        session = self.requests_session
        # On this machine a proxy of the environment has no business, and would see the key.
        session.trust_env = self.url_base.startswith("https:")
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=_MOST_WORKERS))
        return Client(
            session=session,
            key=self.config["api_key"],
            spending=spending,
            stopping=self._stopping,
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
