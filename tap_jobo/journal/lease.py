"""One run at a time in object storage: a lease, which a run has to renew to keep it.

A lease that nobody has renewed for a minute may be taken over, so that a retry after a kill waits
that long at most. Its age is told by the store's own clock; no two machines' clocks are compared.
A holder stops a little earlier, before anybody may take over.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.clock import format_timestamp
from tap_jobo.errors import JournalError
from tap_jobo.journal.lease_file import FOLDER, LeaseFile, lease_files
from tap_jobo.journal.page_store import StoreError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from obstore import PutMode, UpdateVersion
    from obstore.store import ObjectStore as Bucket

    from tap_jobo.clock import Clock
    from tap_jobo.journal.lease_file import Found

DURATION: Final = 60.0
"""Seconds without a renewal after which a lease may be taken over."""
_IN_HAND: Final = 3.0
"""Seconds that its holder stops earlier: stores date objects by the whole second."""
_RENEW_EVERY: Final = 20.0
_RETRY_EVERY: Final = 5.0
"""Seconds after which a renewal that failed is tried again."""
_LOOK_EVERY: Final = 2.0
"""Seconds after which a run that waits looks at the lease again."""


class Lease:
    """The lease of one owner's pages.

    Args:
        bucket: The bucket, at the prefix of the journal.
        owner: Whose pages it is about.
        what: The feed and the place, for messages.
        wait: Waits so many seconds, or raises if the run is to end.
    """

    def __init__(
        self, bucket: Bucket, owner: str, what: str, wait: Callable[[float], None]
    ) -> None:
        self._file = LeaseFile(bucket, f"{FOLDER}/{owner[:24]}")
        self._what = what
        self._wait = wait
        self._run = secrets.token_hex(8)
        self._version: UpdateVersion | None = None
        self._taken_by: str = ""
        self._renewed_at = 0.0
        self._sent: dict[str, float] = {}
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, clock: Clock, logger: logging.Logger) -> None:
        """Take the lease; where another run left one behind, wait until it has expired.

        Raises:
            JournalError: Another run holds it, or the store cannot be used.
        """
        self._clock = clock
        self._since = format_timestamp(clock.now())
        try:
            while not self._take(self._wait_until_free(logger)):
                pass
            self._require_conditions()
        except StoreError as error:
            raise JournalError(
                f"The journal of {self._what} cannot be reached ({error}). The run ends before "
                "anything is billed: run it again later, or check the credentials and journal_dir."
            ) from error
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise if the lease was lost.

        Raises:
            JournalError: It was.
        """
        is_expired = self._clock.monotonic() - self._renewed_at >= DURATION - _IN_HAND
        if self._taken_by:
            why = f"another run has taken it over {self._taken_by}"
        elif is_expired:
            why = "it could not be renewed in time"
        else:
            return
        raise JournalError(
            f"The lease of {self._what} was lost: {why}. The run stops between two pages, since "
            "two at once would be billed for the same pages. Run it again; the next run resumes "
            "from here."
        )

    def release(self) -> None:
        """Release the lease, if it was taken, so that the next run need not wait."""
        self._end.set()
        if self._thread is None or self._taken_by:
            return
        self._thread.join(_RETRY_EVERY)
        try:
            if self._version and not self._write(self._version, released=True):
                self._look_again()
                self._write(self._version, released=True)
        except StoreError:
            pass  # then it expires

    def _wait_until_free(self, logger: logging.Logger) -> Found | None:
        """Return the lease as it lies there once it may be taken, None if there is none.

        Raises:
            JournalError: Another run has renewed it in the meantime.
        """
        watched: Found | None = None
        expires_at = 0.0
        while (found := self._file.read()) and not found.is_released and found.run != self._run:
            if watched is None and not self._sent:
                watched = found
                age = (self._file.store_time() - found.written_at).total_seconds()
                expires_at = self._clock.monotonic() + DURATION - age
                if age < DURATION:
                    logger.info(
                        "Another run of %s holds the lease %s. Waiting for up to %.0f seconds to "
                        "see whether it is still under way.",
                        self._what,
                        found.who,
                        DURATION - age,
                    )
            elif watched is None or found.version != watched.version:
                raise self._held_by(found)
            left = expires_at - self._clock.monotonic()
            if left <= 0:
                break
            self._wait(min(left, _LOOK_EVERY))
        return found

    def _held_by(self, found: Found) -> JournalError:
        return JournalError(
            f"Another run of {self._what} with the same address and filters is under way "
            f"{found.who}: two at once would be billed for the same pages. Wait until it has "
            "ended, or give this pipeline a journal_dir of its own."
        )

    def _take(self, found: Found | None) -> bool:
        """Take the lease, unless another run is faster; it is ours too if only its answer was lost.

        That some run was faster shows in `_sent`: whoever holds the lease then is alive.
        """
        if found and found.run == self._run:
            return self._look_again()
        return self._write(found.version if found else "create")

    def _require_conditions(self) -> None:
        """See that the store heeds the conditions of writes, and leave the lease just renewed.

        Raises:
            JournalError: It does not, as some that look like S3.
        """
        stale = self._version
        assert stale is not None  # noqa: S101 - it was just taken
        is_heeded = self._renew()
        released = self._content(released=True)
        for mode in ("create", stale):
            is_heeded = is_heeded and self._file.write(released, mode) is None
        if not is_heeded:
            raise JournalError(
                f"The store of {self._what} cannot keep two runs apart: it ignores the conditions "
                "of writes (If-None-Match, If-Match). Set journal_dir to a store that heeds them, "
                "or to a folder."
            )

    def _keep(self) -> None:
        """Renew the lease until the end of the run, in a thread of its own."""
        pause = _RENEW_EVERY
        while not self._end.wait(pause):
            pause = _RENEW_EVERY if self._try_to_renew() else _RETRY_EVERY

    def _try_to_renew(self) -> bool:
        try:
            return self._renew()
        except StoreError:
            return False

    def _renew(self) -> bool:
        assert self._version is not None  # noqa: S101 - only leases that were taken are renewed
        return self._write(self._version) or self._look_again()

    def _look_again(self) -> bool:
        """Tell whether a write that was refused was ours all the same: only its answer was lost.

        S3's ETag is a hash of the content, so only a text that no other write had tells.
        """
        found = self._file.read()
        if found is None or found.run != self._run:
            self._taken_by = found.who if found else "(and removed it)"
            return False
        self._version = found.version
        sent_at = self._sent.get(found.nonce)
        if sent_at is None:
            return False
        self._renewed_at = sent_at
        self._sent.clear()
        return True

    def _write(self, mode: PutMode, *, released: bool = False) -> bool:
        content = self._content(released=released)
        sent_at = self._clock.monotonic()
        self._sent[content["nonce"]] = sent_at
        version = self._file.write(content, mode)
        if version is None:
            return False
        self._version, self._renewed_at = version, sent_at
        self._sent.clear()
        return True

    def _content(self, *, released: bool) -> dict[str, Any]:
        return {
            "run": self._run,
            "nonce": secrets.token_hex(8),
            "released": released,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": self._since,
        }


def refuse_if_held(bucket: Bucket, place: str) -> None:
    """See that no run is under way.

    Raises:
        JournalError: One is.
        StoreError: The store cannot be reached.
    """
    for file in lease_files(bucket):
        found = file.read()
        if found is None or found.is_released:
            continue
        if (file.store_time() - found.written_at).total_seconds() < DURATION:
            raise JournalError(
                f"A run is under way {found.who}, which may need the pages in {place}: wait until "
                "it has ended. Nothing is dropped."
            )
