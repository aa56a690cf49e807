"""The store in a bucket: one object per page, and one writer at a time. It needs `tap-jobo[cloud]`.

The writer holds a lease that it renews until it ends. A lease that was not renewed for a minute may
be taken over, so a kill delays the next run by a minute at most. The store's own clock dates the
renewals: no clock of a machine is compared with another.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import AzureStore, GCSStore, S3Store

from tap_jobo.archive import layout
from tap_jobo.archive.store import ExistsError, HeldError, Lock, MissingError, StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tap_jobo.messages import message

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta, PutMode, PutResult, UpdateVersion
    from obstore.store import ObjectStore, RetryConfig

# Not as `client_options`: those would replace what the environment says, such as AWS_ALLOW_HTTP.
_WAITS: Final = {"connect_timeout": "2s", "timeout": "5s"}
_WAITS_OF_PAGES: Final = {**_WAITS, "timeout": "30s"}  # a page is large, and has been billed
_TRIES: Final = 2  # to write a page
# More than a second, all in all: Google refuses to write an object more often than that, and with
# a monthly limit, each page writes the count.
_RETRIES: Final[RetryConfig] = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(milliseconds=300), "max_backoff": timedelta(seconds=1)},
}
_CAUSES: Final = {
    "HTTP error: builder error": "its endpoint is not https, which AWS_ALLOW_HTTP=true allows",
    "http://169.254.169.254": "the environment has no credentials, and this machine no role",
}
"""What is wrong, by a part of an error's text that does not show it."""
_STORE_ERRORS: Final = (BaseError, OSError, ValueError)

# All in seconds.
DURATION: Final = 60.0  # without a renewal, until a lease may be taken over
SAFETY_MARGIN: Final = 3.0  # that the holder stops earlier: stores date objects in whole seconds
_RENEW_EVERY: Final = 20.0
_RETRY_EVERY: Final = 5.0  # after a renewal that failed

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class Bucket:
    """Objects in a bucket, at the prefix of the archive. Its URL is for messages."""

    is_remote = True
    lasts = True

    def __init__(
        self,
        bucket: ObjectStore,
        location: str,
        clock: Clock,
        pages: ObjectStore | None = None,
    ) -> None:
        """Use a bucket. To write pages, it may be given again, with more time for each request."""
        self.location = location
        self._bucket = bucket
        self._pages = pages or bucket
        self._clock = clock

    def list(self, prefix: str, after: str = "") -> list[str]:
        """Return the names of all objects below a prefix that come after a name."""
        with store_errors(self.location):
            found = self._bucket.list(prefix, offset=after or None).collect()
        return sorted(each["path"] for each in found if each["path"] > after)

    def read(self, name: str, size: int | None = None) -> bytes:
        """Return the content of an object, or its first `size` bytes."""
        options: GetOptions = {"range": (0, size)} if size else {}
        with store_errors(self.location):
            try:
                return bytes(self._bucket.get(name, options=options).bytes())
            except FileNotFoundError:
                raise MissingError(name) from None

    def create(self, name: str, content: bytes) -> None:
        """Write an object under a name that is free, or that has this very content.

        It is looked up after a try that failed: the response may be lost, or a 409 of S3, which
        says only that another request was in progress.
        """
        with store_errors(self.location):
            for tries_left in reversed(range(_TRIES)):
                try:
                    self._pages.put(name, content, mode="create", use_multipart=False)
                except (BaseError, OSError):
                    stored = self._find(name)
                    if stored == content:
                        return
                    if stored is not None:
                        raise ExistsError(name) from None
                    if not tries_left:
                        raise
                else:
                    return

    def _find(self, name: str) -> bytes | None:
        try:
            return bytes(self._bucket.get(name).bytes())
        except FileNotFoundError:
            return None

    def replace(self, name: str, content: bytes) -> None:
        """Write an object, whether the name is free or taken."""
        with store_errors(self.location):
            self._bucket.put(name, content, use_multipart=False)

    def remove(self, name: str) -> None:
        """Remove an object."""
        with store_errors(self.location), suppress(FileNotFoundError):  # of Azure, and local ones
            self._bucket.delete(name)

    def prove_room(self, name: str) -> None:
        """Write a small object: a bucket has room, but may not permit it."""
        self.replace(name, b"probe")

    def lock(self, key: str, what: str) -> Lock:
        """Hold the lease of an archive key."""
        return Lease(self._bucket, key, what, self.location, self._clock).hold()


def open_bucket(url: str, *, for_pages: bool = False) -> ObjectStore:
    """Return a bucket, with the credentials of the environment, or raise `ArchiveError`.

    With `for_pages`, a request has more time, and is not repeated: `Bucket.create` does that.

    Never log what this returns: its `repr` shows credentials, or panics (Azure).
    """
    kinds = {"s3": S3Store, "gs": GCSStore, "azure": AzureStore}
    parts = urlsplit(url)
    open_one: Callable[..., ObjectStore] = kinds[parts.scheme]
    prefix = parts.path.strip("/") or None
    try:
        if for_pages:
            retries: RetryConfig = {**_RETRIES, "max_retries": 0}
            waits = _WAITS_OF_PAGES
        else:
            retries, waits = _RETRIES, _WAITS
        return open_one(parts.netloc, prefix=prefix, config=waits, retry_config=retries)
    except (BaseError, OSError, ValueError, TypeError) as error:
        fact = (
            f"The archive {url} can't be opened ({describe_error(error)}). Check the environment "
            "variables with its credentials."
        )
        raise ArchiveError(message("archive-unusable", fact)) from None


# The lease


class _StoredLease(NamedTuple):
    version: UpdateVersion
    renewed_at: datetime
    content: dict[str, Any]


class Lease:
    """The lease of one archive key."""

    def __init__(
        self, bucket: ObjectStore, key: str, what: str, location: str, clock: Clock
    ) -> None:
        self._bucket = bucket
        self._name = layout.LEASE.format(key)
        self._what, self._location = what, location
        self._clock = clock
        self._run = secrets.token_hex(8)
        self._began = clock.monotonic()
        self._writes = itertools.count()
        self._version: PutMode = "create"
        # By the monotonic and by the wall clock, as a suspended machine may stop the monotonic one.
        self._renewed: tuple[float, datetime] | None = None
        self._lost = ""
        self._end = threading.Event()

    @contextmanager
    def hold(self) -> Iterator[Callable[[], None]]:
        """Take the lease, or raise `HeldError`. Yield what raises `ArchiveError` if it was lost."""
        with store_errors(self._location):
            self._version = self._find_free()
            if not self._write():  # another run was faster
                raise HeldError(self._what, self._location)
            self._require_conditional_writes()
        thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        thread.start()
        try:
            yield self._raise_if_lost
        finally:
            self._end.set()
            thread.join(_RETRY_EVERY)
            with suppress(*_STORE_ERRORS):  # then it expires
                self._write(is_released=True)

    def _raise_if_lost(self) -> None:
        assert self._renewed is not None  # noqa: S101 - only once it is held
        monotonic, wall = self._renewed
        age = max(self._clock.monotonic() - monotonic, (self._clock.now() - wall).total_seconds())
        is_expired = age >= DURATION - SAFETY_MARGIN
        if why := self._lost or (is_expired and "it could not be renewed in time"):
            fact = (
                f"The lease of {self._what} was lost ({why}), so the run stops between two pages."
            )
            raise ArchiveError(message("run-in-progress", fact))

    def _find_free(self) -> PutMode:
        """Return how to write the lease if it is missing, released, or expired."""
        stored = _read(self._bucket, self._name)
        if stored is None:
            return "create"
        if stored.content.get("released") or _age(self._bucket, stored) >= DURATION:
            return stored.version
        raise HeldError(self._what, self._location, _describe(stored))

    def _require_conditional_writes(self) -> None:
        """Check that the store refuses a write whose condition does not hold: not all S3s do."""
        stale = self._version
        self._write()
        if any(self._put(mode, is_released=True) for mode in ("create", stale)):
            raise StoreError(
                self._location, "it ignores If-Match and If-None-Match, which keep two runs apart"
            )

    def _keep(self) -> None:
        pause = _RENEW_EVERY
        while not self._end.wait(pause):
            pause = _RETRY_EVERY
            with suppress(*_STORE_ERRORS):
                if self._write():
                    pause = _RENEW_EVERY

    def _write(self, *, is_released: bool = False) -> bool:
        """Write the lease over the version that is known, and return whether it is stored.

        If the store refuses although this run has the lease, the response to a write was lost.
        """
        if self._put(self._version, is_released=is_released):
            return True
        stored = _read(self._bucket, self._name)
        if stored and stored.content.get("run") == self._run:
            return self._put(stored.version, is_released=is_released)
        if self._renewed:
            self._lost = "another run has taken it over" if stored else "it was removed"
        return False

    def _put(self, mode: PutMode, *, is_released: bool) -> bool:
        content = {
            "run": self._run,
            # So that no two ETags are the same, which may be hashes of the content.
            "writes": next(self._writes),
            "released": is_released,
            "held": self._clock.monotonic() - self._began,  # for the message of another run
        }
        sent_at = self._clock.monotonic(), self._clock.now()
        try:
            done = self._bucket.put(self._name, json.dumps(content).encode(), mode=mode)
        except (AlreadyExistsError, PreconditionError):
            return False
        self._version, self._renewed = _version(done), sent_at
        return True


def _read(bucket: ObjectStore, name: str) -> _StoredLease | None:
    try:
        stored = bucket.get(name)
    except FileNotFoundError:
        return None
    text = bytes(stored.bytes())
    try:
        content = dict(json.loads(text))
    except (TypeError, ValueError):
        content = {}
    return _StoredLease(_version(stored.meta), stored.meta["last_modified"], content)


def _describe(lease: _StoredLease) -> str:
    """Return since when a lease is held, and until when, by the store's clock, for a message."""
    held, ends = lease.content.get("held"), lease.renewed_at + timedelta(seconds=DURATION)
    since = ""
    if isinstance(held, int | float):
        since = f" since {lease.renewed_at - timedelta(seconds=held):{_TIME}}"
    return f"{since}. Unless it is renewed, its lease ends at {ends:{_TIME}}"


def _age(bucket: ObjectStore, lease: _StoredLease) -> float:
    """Return the seconds since a lease was renewed, by the store's clock."""
    bucket.put(layout.CLOCK, b"")
    return (bucket.head(layout.CLOCK)["last_modified"] - lease.renewed_at).total_seconds()


def _version(stored: ObjectMeta | PutResult) -> UpdateVersion:
    """Return an object's version without the parts that are None, which obstore rejects."""
    parts = {"e_tag": stored["e_tag"], "version": stored["version"]}
    return cast("UpdateVersion", {name: part for name, part in parts.items() if part is not None})


# Errors


@contextmanager
def store_errors(location: str) -> Iterator[None]:
    """Turn every error into a `StoreError` of one line without credentials."""
    try:
        yield
    except _STORE_ERRORS as error:
        what = describe_error(error)
        known = [why for sign, why in _CAUSES.items() if sign in what]
        raise StoreError(location, "; ".join([*known, what])) from None


def describe_error(error: Exception) -> str:
    """Return the first line of a store's error, without signatures."""
    text = str(error) or type(error).__name__
    line = re.sub(r"\?\S*", "", text.splitlines()[0].partition(": <?xml")[0])
    code = re.search(r"<Code>(\w+)</Code>", text)
    return (f"{code[1]}: {line}" if code else line)[:400]
