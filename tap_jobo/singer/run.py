"""What the streams of a run share: clock, session, clients, budget, and journal store."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import requests

from tap_jobo.api.budget import Budget
from tap_jobo.api.client import Client
from tap_jobo.api.known_values import fetch_known_values
from tap_jobo.api.profiles import RETRY_FOR as PROFILE_RETRY_FOR
from tap_jobo.api.transport import Transport
from tap_jobo.clock import Clock
from tap_jobo.journal.backends import backend_of
from tap_jobo.journal.journal import Journal
from tap_jobo.journal.key import journal_key
from tap_jobo.sync.run_summary import RunSummary

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from requests import PreparedRequest

    from tap_jobo.api.known_values import KnownValues
    from tap_jobo.journal.backends import Backend, Lock
    from tap_jobo.journal.store import Store
    from tap_jobo.signals import ShutdownSignal
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync_id import Filters

_MOST_WORKERS: Final = 16
_TEST_RETRY_FOR: Final = 10.0
"""Seconds of backoff in a connection check, whose user is waiting."""


def _no_other_credentials(request: PreparedRequest) -> PreparedRequest:
    """Keep requests from sending what a `.netrc` file has for the host, or for any host."""
    return request


class RunContext:
    """What the streams of a run share. No stream creates any of this itself.

    Args:
        config: The checked settings.
        shutdown: Ends waits and requests when a signal arrives.
        logger: The tap's logger.

    Attributes:
        is_test: Whether this is a connection check; set before the first request.
    """

    def __init__(
        self, config: Mapping[str, Any], *, shutdown: ShutdownSignal, logger: logging.Logger
    ) -> None:
        self._config = config
        self._logger = logger
        self._locks: list[Lock] = []
        self._preparations: list[Callable[[], None]] = []
        self._checks: list[Callable[[], None]] = []
        self._known_values: KnownValues | None = None
        self._warnings: set[str] = set()
        self.is_test = False
        self.shutdown = shutdown
        self.clock = Clock()

    @property
    def url(self) -> str:
        """The API's base URL, without a trailing slash."""
        return str(self._config["api_url"]).rstrip("/")

    @cached_property
    def session(self) -> requests.Session:
        """The one HTTP session."""
        session = requests.Session()
        # Do not send local requests through a proxy of the environment: it would see the key.
        session.trust_env = self.url.startswith("https:")
        session.auth = _no_other_credentials
        # Not whatever is installed: a Zstandard body that is cut short can pass as complete.
        session.headers["Accept-Encoding"] = "gzip, deflate"
        for scheme in ("https://", "http://"):
            session.mount(scheme, Transport(_MOST_WORKERS))
        return session

    @cached_property
    def feed_client(self) -> Client:
        """The client for all feeds, which share one rate limit."""
        return self._client()

    @cached_property
    def profile_client(self) -> Client:
        """The client for profiles, with several concurrent requests."""
        workers = self._config["companies_concurrency"]
        return self._client(workers=workers, retry=PROFILE_RETRY_FOR)

    @cached_property
    def budget(self) -> Budget:
        """The budget of the run, shared by all streams."""
        return Budget(
            max_credits=self._config.get("max_credits"),
            alert_threshold=self._config.get("credits_alert_threshold"),
            logger=self._logger,
        )

    @cached_property
    def summary(self) -> RunSummary:
        """Sums up the streams."""
        return RunSummary(self.budget, self._logger)

    def before_start(self, prepare: Callable[[], None], check: Callable[[], None]) -> None:
        """Register steps to run once, before the run's first billed request.

        Args:
            prepare: Runs before any request.
            check: Runs after all preparations, and may send a free request.
        """
        self._preparations.append(prepare)
        self._checks.append(check)

    def start(self) -> None:
        """Run the registered steps of all streams, once.

        Raises:
            TapJoboError: The run must not start.
        """
        steps = [*self._preparations, *self._checks]
        self._preparations, self._checks = [], []
        for step in steps:
            step()

    def known_values(self, prepare: Callable[[], PreparedRequest]) -> KnownValues:
        """Return the filter values that Jobo knows, fetched once per run, free of charge."""
        if self._known_values is None:
            self._known_values = fetch_known_values(self.feed_client, prepare, self._logger)
        return self._known_values

    def warn_once(self, text: str) -> None:
        """Log a warning that several streams may raise, once."""
        if text not in self._warnings:
            self._warnings.add(text)
            self._logger.warning("%s", text)

    @property
    def elapsed(self) -> float:
        """Seconds that the API took for its last response, 0 if there is none."""
        return self.feed_client.elapsed or self.profile_client.elapsed or 0.0

    def api_now(self) -> datetime | None:
        """Return the API's current time, None if no response of the run has given it."""
        return self.feed_client.api_now() or self.profile_client.api_now()

    def open_journal(self, spec: FeedSpec, filters: Filters) -> Journal:
        """Return the journal of a feed, and hold its lock until the end of the run.

        Raises:
            JournalError: It cannot be used, or another run holds the lock.
        """
        key = journal_key(spec, api_key=self._config["api_key"], api_url=self.url, filters=filters)
        if not (spec.is_journaled and self._config["journal"]):
            return Journal(None, key, self._logger)
        journal = Journal(self._store, key, self._logger)
        journal.prepare()
        lock = self._backend.run_lock(key.name, spec.name, self.shutdown.wait)
        lock.acquire(self.clock, self._logger)
        self._locks.append(lock)
        return journal.read()

    def sample(self, spec: FeedSpec, filters: Filters) -> bytes | None:
        """Return the raw body of a journaled page with rows, without changing the journal."""
        if not (spec.is_journaled and self._config["journal"] and self._backend.exists()):
            return None
        key = journal_key(spec, api_key=self._config["api_key"], api_url=self.url, filters=filters)
        return Journal(self._store, key, self._logger).read().sample()

    def check(self) -> None:
        """Raise if the run must not go on to another page.

        Raises:
            TapJoboError: A signal came, the target went away, or another run has its lock.
        """
        self.shutdown.check()
        for lock in self._locks:
            lock.check()

    def close(self) -> None:
        """Release the locks."""
        for lock in self._locks:
            lock.release()
        self._locks = []

    @cached_property
    def _backend(self) -> Backend:
        return backend_of(self._config.get("journal_dir"))

    @cached_property
    def _store(self) -> Store:
        return self._backend.store()

    def _client(self, **options: Any) -> Client:
        if self.is_test:
            options["retry"] = _TEST_RETRY_FOR
        return Client(
            session=self.session,
            key=self._config["api_key"],
            shutdown=self.shutdown,
            clock=self.clock,
            logger=self._logger,
            **options,
        )
