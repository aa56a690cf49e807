"""One run at a time in a bucket: a lease that its holder renews until the run ends.

A lease that was not renewed for a minute may be taken over, so a retry after a kill waits a minute
at most. The store's own clock dates the renewals: no clock of a machine is compared with another.
"""

from __future__ import annotations

import fnmatch
import json
import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from tap_jobo.clock import Clock, format_timestamp
from tap_jobo.errors import JournalError
from tap_jobo.journal import layout
from tap_jobo.journal.store import StoreError, held_by_another_run

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode, PutResult, UpdateVersion
    from obstore.store import ObjectStore as Bucket

# All in seconds.
DURATION: Final = 60.0  # without a renewal, until a lease may be taken over
SAFETY_MARGIN: Final = 3.0  # that the holder stops earlier: stores date objects in whole seconds
_RENEW_EVERY: Final = 20.0
_RETRY_EVERY: Final = 5.0  # after a renewal that failed
_LOOK_EVERY: Final = 2.0  # at a lease that another run holds


class _StoredLease(NamedTuple):
    version: UpdateVersion
    renewed_at: datetime
    content: dict[str, Any]

    @property
    def holder(self) -> str:
        """Its holder's process, host and start in parentheses; empty if they are unknown."""
        try:
            return " (process {pid} on {host}, since {since})".format_map(self.content)
        except KeyError:
            return ""


class Lease:
    """The lease of one journal key."""

    def __init__(
        self, bucket: Bucket, journal_key: str, what: str, wait: Callable[[float], None]
    ) -> None:
        self._bucket = bucket
        self._name = layout.LEASE.format(journal_key)
        self._what = what
        self._wait = wait
        self._version: PutMode = "create"
        # Times are pairs, by the monotonic and by the wall clock.
        self._renewed: tuple[float, datetime] | None = None
        self._sent: dict[str, tuple[float, datetime]] = {}  # by the nonce that was written
        self._lost = ""
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, clock: Clock, logger: logging.Logger) -> None:
        """Take the lease. If another run has left one behind, wait until it expires."""
        self._clock = clock
        since = format_timestamp(clock.now())
        self._holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        try:
            while not self._renewed:
                self._version = self._wait_until_free(logger)
                self._write()
            self._require_conditional_writes()
        except StoreError as error:
            raise JournalError(
                f"The journal of {self._what} cannot be reached ({error}). The run ends before "
                "anything is billed. Run again later, or check the credentials and journal_dir."
            ) from error
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `JournalError` if the lease was lost."""
        assert self._renewed is not None  # noqa: S101 - only after `acquire`
        monotonic, wall = self._renewed  # as a suspended machine may stop the monotonic clock
        age = max(self._clock.monotonic() - monotonic, (self._clock.now() - wall).total_seconds())
        is_expired = age >= DURATION - SAFETY_MARGIN
        if why := self._lost or (is_expired and "it could not be renewed in time"):
            raise JournalError(
                f"The lease of {self._what} was lost: {why}. The run stops between two pages, "
                "or both runs would pay for the same pages. The next run resumes from here."
            )

    def release(self) -> None:
        """Release the lease if this run holds it, so that the next run need not wait."""
        self._end.set()
        if self._thread is None or self._lost:
            return
        self._thread.join(_RETRY_EVERY)
        with suppress(StoreError):  # then it expires
            if not self._write(is_released=True):  # the answer to the last renewal was lost
                self._write(is_released=True)

    def _wait_until_free(self, logger: logging.Logger) -> PutMode:
        seen: UpdateVersion | None = None
        expires_at = 0.0
        while stored := _read(self._bucket, self._name):
            if stored.content.get("released"):
                return stored.version
            if seen is None and not self._sent:
                seen, remaining = stored.version, DURATION - _age(self._bucket, stored)
                expires_at = self._clock.monotonic() + remaining
                if remaining > 0:
                    logger.info(
                        "Another run of %s holds the lease%s. Waiting for up to %.0f seconds.",
                        self._what,
                        stored.holder,
                        remaining,
                    )
            elif stored.version != seen:  # the holder renews it, or another run was faster
                raise held_by_another_run(self._what, stored.holder)
            remaining = expires_at - self._clock.monotonic()
            if remaining <= 0:
                return stored.version
            self._wait(min(remaining, _LOOK_EVERY))
        return "create"

    def _require_conditional_writes(self) -> None:
        """Check that the store refuses a write whose condition does not hold: not all S3s do."""
        stale = self._version
        if not self._write() or any(
            self._put(self._content(is_released=True), mode) for mode in ("create", stale)
        ):
            raise JournalError(
                f"The store of {self._what} cannot keep two runs apart: it ignores If-Match and "
                "If-None-Match. Nothing was billed. Set journal_dir to another store or a folder."
            )

    def _keep(self) -> None:
        pause = _RENEW_EVERY
        while not self._end.wait(pause):
            pause = _RENEW_EVERY if self._renew() else _RETRY_EVERY

    def _renew(self) -> bool:
        try:
            return self._write()
        except StoreError:
            return False

    def _write(self, *, is_released: bool = False) -> bool:
        """Write the lease over the version that is known, and return whether it is stored.

        If the store refuses, the nonce shows whether another run has the lease, or this run has it,
        by a write whose answer was lost. An ETag would not do: it may be a hash of the content.
        """
        content = self._content(is_released=is_released)
        if self._put(content, self._version):
            return True
        stored = _read(self._bucket, self._name)
        nonce = stored.content.get("nonce") if stored else None
        if stored and nonce in self._sent:
            self._version, self._renewed = stored.version, self._sent[nonce]
        elif self._renewed and stored:
            self._lost = f"another run has taken it over{stored.holder}"
        elif self._renewed:
            self._lost = "it was removed"
        return bool(nonce == content["nonce"])

    def _content(self, *, is_released: bool) -> dict[str, Any]:
        return {"nonce": secrets.token_hex(8), "released": is_released, **self._holder}

    def _put(self, content: dict[str, Any], mode: PutMode) -> bool:
        nonce = content["nonce"]
        sent_at = self._sent[nonce] = self._clock.monotonic(), self._clock.now()
        with store_errors():
            try:
                done = self._bucket.put(self._name, json.dumps(content).encode(), mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return False
        self._version, self._renewed = _version(done), sent_at
        self._sent = {nonce: sent_at}
        return True


def refuse_if_held(bucket: Bucket, location: str, key: str = "*") -> None:
    """Check that no run is in progress before pages change. Raises `JournalError` if one is."""
    pattern, folder = layout.LEASE.format(key), layout.CLOCK.partition("/")[0]
    with store_errors():
        names = {each["path"] for each in bucket.list(folder).collect()} - {layout.CLOCK}
    for name in fnmatch.filter(sorted(names), pattern):
        lease = _read(bucket, name)
        if lease and not lease.content.get("released") and _age(bucket, lease) < DURATION:
            raise held_by_another_run(f"a stream in {location}", lease.holder)


def _read(bucket: Bucket, name: str) -> _StoredLease | None:
    with store_errors():
        try:
            stored = bucket.get(name)
        except FileNotFoundError:
            return None
        meta, text = stored.meta, bytes(stored.bytes())
    try:
        content = dict(json.loads(text))
    except (TypeError, ValueError):
        content = {}
    return _StoredLease(_version(meta), meta["last_modified"], content)


def _age(bucket: Bucket, lease: _StoredLease) -> float:
    """Return the seconds since a lease was renewed, by the store's clock."""
    with store_errors():
        bucket.put(layout.CLOCK, b"")
        return (bucket.head(layout.CLOCK)["last_modified"] - lease.renewed_at).total_seconds()


def _version(stored: ObjectMeta | PutResult) -> UpdateVersion:
    """Return an object's version without the parts that are None, which obstore rejects."""
    parts = {"e_tag": stored["e_tag"], "version": stored["version"]}
    return cast("UpdateVersion", {name: part for name, part in parts.items() if part is not None})


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn every error into a `StoreError` of one line without credentials."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise StoreError(describe_error(error)) from None


def describe_error(error: Exception) -> str:
    """Return the store's code, such as `NoSuchBucket`, and the first line, without signatures."""
    text = str(error) or type(error).__name__
    line = re.sub(r"\?\S*", "", text.splitlines()[0].partition(": <?xml")[0])
    code = re.search(r"<Code>(\w+)</Code>", text)
    return (f"{code[1]}: {line}" if code else line)[:300]
