"""The two places where a journal can be: a folder, or object storage.

Nothing of object storage is imported unless `journal_dir` is the URL of a bucket.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from tap_jobo.errors import JournalError
from tap_jobo.journal import lock
from tap_jobo.journal.folder import folder_of
from tap_jobo.journal.sqlite import FILE, SqliteStore
from tap_jobo.settings.bucket_url import is_like_url, parse_bucket_url

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from obstore.store import ObjectStore as Bucket

    from tap_jobo.clock import Clock
    from tap_jobo.journal.page_store import PageStore
    from tap_jobo.settings.bucket_url import BucketUrl


class Lock(Protocol):
    """Keeps a second run of the same feed, address and filters out."""

    def acquire(self, clock: Clock, logger: logging.Logger) -> None:
        """Take the lock.

        Raises:
            JournalError: Another run holds it.
        """

    def check(self) -> None:
        """Raise if the lock was lost.

        Raises:
            JournalError: It was.
        """

    def release(self) -> None:
        """Release the lock, if it was taken."""


def open_store(place: str | None) -> PageStore:
    """Open the journal's store of pages.

    Args:
        place: The setting `journal_dir`.

    Raises:
        JournalError: It cannot be used.
    """
    if url := _url_of(place):
        bucket = _open_bucket(url)
        from tap_jobo.journal.object_store import ObjectStore  # noqa: PLC0415 - needs the extra

        return ObjectStore(bucket, str(url))
    return SqliteStore(folder_of(place))


def run_lock(place: str | None, owner: str, stream: str, wait: Callable[[float], None]) -> Lock:
    """Return the lock of one owner's pages.

    Args:
        place: The setting `journal_dir`.
        owner: Whose pages it is about.
        stream: The feed's name, for messages.
        wait: Waits so many seconds, or raises if the run is to end.
    """
    if url := _url_of(place):
        bucket = _open_bucket(url)
        from tap_jobo.journal.lease import Lease  # noqa: PLC0415 - needs the extra

        return Lease(bucket, owner, f"{stream} in {url}", wait)
    return lock.RunLock(folder_of(place), owner, stream)


@contextmanager
def no_run(place: str | None) -> Iterator[None]:
    """Keep pages from being changed under a run.

    Raises:
        JournalError: A run is under way.
    """
    if url := _url_of(place):
        bucket = _open_bucket(url)
        from tap_jobo.journal.lease import refuse_if_held  # noqa: PLC0415 - needs the extra

        refuse_if_held(bucket, str(url))
        yield
    else:
        with lock.exclusive_lock(folder_of(place)):
            yield


def is_there(place: str | None) -> bool:
    """Tell whether there is a journal in a folder; a bucket may always hold one."""
    return _url_of(place) is not None or (folder_of(place) / FILE).exists()


def name_of(place: str | None) -> str:
    """Return what messages call the place."""
    return str(_url_of(place) or folder_of(place))


def _url_of(place: str | None) -> BucketUrl | None:
    if place is None or not is_like_url(place):
        return None
    if url := parse_bucket_url(place):
        return url
    raise JournalError(  # without showing it: it may hold credentials
        "The URL of the journal must be s3://bucket/prefix, gs://bucket/prefix or "
        "azure://container/prefix, without credentials or a query: the environment has those."
    )


def _open_bucket(url: BucketUrl) -> Bucket:
    try:
        from tap_jobo.journal.bucket import open_bucket  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise JournalError(
            f"The journal {url} needs the extra 'cloud': install tap-jobo[cloud] in place of "
            "tap-jobo (with Meltano, in pip_url), or set journal_dir to a folder."
        ) from None
    return open_bucket(url)
