"""The store in a bucket: one object per page. It needs the extra `tap-jobo[cloud]`, as `lease`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, GenericError
from obstore.store import AzureStore, GCSStore, S3Store

from tap_jobo.archive.lease import Lease, describe_error, store_errors
from tap_jobo.archive.store import ExistsError, Lock, MissingError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tap_jobo.messages import message

if TYPE_CHECKING:
    from obstore import GetOptions
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
            except GenericError:
                if size is None:
                    raise
                return bytes(self._bucket.get(name).bytes())[:size]  # an empty one has no range

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
        """Return the content of an object, None if there is none."""
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
