"""What the streams of a run share: clock, session, clients, budget, and archive store."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, Final

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.budget import Budget
from tap_jobo.api.client import Client
from tap_jobo.api.retry import FREE_RETRY_SECONDS
from tap_jobo.api.session import ApiSession
from tap_jobo.archive import open_store
from tap_jobo.archive.archive import OFF, StreamArchive, refuse_old_layout
from tap_jobo.archive.files import last_price
from tap_jobo.archive.key import ArchiveKey, archive_key, shortest_name
from tap_jobo.archive.memory import Memory
from tap_jobo.archive.month import MonthBill
from tap_jobo.archive.store import Store
from tap_jobo.clock import Clock
from tap_jobo.commands import archive_command
from tap_jobo.errors import ArchiveError
from tap_jobo.signals import ShutdownSignal
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec

_PROFILES_AT_ONCE: Final = 4
_TEST_RETRY_FOR: Final = 10.0  # seconds of backoff in a connection check, whose user is waiting


class RunContext:
    """What the streams of a run share. No stream creates any of this itself."""

    def __init__(
        self, config: Mapping[str, Any], *, shutdown: ShutdownSignal, logger: logging.Logger
    ) -> None:
        self._config = config
        self._logger = logger
        self._locks: list[Callable[[], None]] = []
        self.is_test = False  #: whether the run only checks the connection
        self.only_buys = False  #: whether the run delivers nothing, and has no state
        self.feeds: Sequence[FeedSpec] = ()  #: those that the run reads
        self.matches: list[str] = []  #: how many rows match, and what they cost, by `--test`
        self.shutdown = shutdown
        self.clock = Clock()
        url = str(config["api_url"]).rstrip("/")
        self.session = ApiSession(url, config["api_key"])
        self.api_clock = ApiClock(self.clock)
        self.budget = Budget(
            logger=logger,
            now=self.api_clock.now,
            max_credits=config.get("max_credits"),
            max_credits_per_month=config.get("max_credits_per_month"),
        )

    # The API

    @cached_property
    def feed_client(self) -> Client:
        """The client for all feeds, which share one rate limit."""
        return self._client(raise_if_over=self.raise_if_over)

    @cached_property
    def profile_client(self) -> Client:
        """The client for profiles, with several concurrent requests."""
        return self._client(workers=_PROFILES_AT_ONCE, retry_seconds=FREE_RETRY_SECONDS)

    def _client(self, **options: Any) -> Client:
        if self.is_test:
            options["retry_seconds"] = _TEST_RETRY_FOR
        return Client(
            session=self.session,
            shutdown=self.shutdown,
            clock=self.clock,
            logger=self._logger,
            **options,
        )

    def read_clock(self) -> None:
        """Read the API's clock, once in a run, before the first purchase. Raises `ApiError`."""
        self.api_clock.read(self.profile_client)

    # The archive

    def open_archive(self, spec: FeedSpec, after: int) -> StreamArchive:
        """List the archive of a feed from an entry on. It is in memory if `archive` is false."""
        archive = StreamArchive(self._store, self._key(spec), after)
        if not archive.head and archive.store.lasts:
            refuse_old_layout(self._store)
        return archive

    def _key(self, spec: FeedSpec) -> ArchiveKey:
        return archive_key(spec, api_key=self.session.key, api_url=self.session.url)

    def known(self, spec: FeedSpec) -> Mapping[str, str | None]:
        """Return what the ways out of a message about a feed may name."""
        known = self.known_of_archive
        if "off" in known:
            priced = [each for each in self.feeds if not each.is_free]
            prices = [f"{self.describe_price(each)} of {each.name}" for each in priced]
            price = ", ".join(prices) or "free"  # as the other streams are bought, too
            return {"stream": spec.name, "price": price, **known}
        location, keys = self._store.location, self._keys_with_pages()
        names = {stream: shortest_name(self._store, key) for stream, key in keys.items()}
        own = names.get(spec.name)
        return {
            "stream": spec.name,
            "price": self.describe_price(spec),
            "archive": location,
            "restart": self._restart(spec, own) if own else None,
            "state": archive_command("state", *names.values(), location=location)
            if own and not self.only_buys
            else None,
        }

    def describe_price(self, spec: FeedSpec) -> str:
        """Return what rows of a feed cost, as far as its last page shows."""
        return spec.describe_price(last_price(self._store, self._key(spec).name))

    def _restart(self, spec: FeedSpec, name: str) -> str:
        """Return the command that buys a feed again, for the settings of a run that reads it."""
        location, is_own = self._store.location, spec in self.feeds
        return archive_command("restart", name, location=location, is_own=is_own)

    @property
    def known_of_archive(self) -> Mapping[str, str]:
        """What the ways out of any message may name: the archive, or that it keeps no page."""
        if self.is_test:
            return {"off": "A test keeps no page"}
        if not self._config["archive"]:
            return {"off": OFF}
        return {"archive": "the archive"}

    def _keys_with_pages(self) -> dict[str, ArchiveKey]:
        """Return the keys of the archives of this owner that have pages, by their streams."""
        keys = [self._key(spec) for spec in FEEDS]
        with suppress(ArchiveError):  # whose message may need this
            return {each.stream: each for each in keys if StreamArchive(self._store, each).head}
        return {}

    def read_bill(self) -> MonthBill:
        """Return what all that share the archive's limit were billed. Raises `ArchiveError`."""
        bill = self.budget.bill
        if not bill.archives:  # nothing was bought
            bill.read(self._store, self._key(FEEDS[0]))
        return bill

    @contextmanager
    def hold(self, archive: StreamArchive) -> Iterator[Callable[[], None]]:
        """Keep other runs from buying a stream. Raises `HeldError` at once if one does.

        It yields what raises if the lock was lost. So does `raise_if_over`, until it ends.
        """
        with archive.store.lock(archive.key.name, archive.key.stream) as raise_if_lost:
            self._locks.append(raise_if_lost)
            try:
                yield raise_if_lost
            finally:
                self._locks.remove(raise_if_lost)

    @cached_property
    def _store(self) -> Store:
        if not self._config["archive"]:
            return Memory()
        return open_store(self._config.get("archive_dir"), self.clock)

    def raise_if_over(self) -> None:
        """Raise if a signal arrived, or another run has a lock of this run."""
        self.shutdown.raise_if_set()
        for raise_if_lost in self._locks:
            raise_if_lost()
