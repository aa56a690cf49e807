"""The store in a bucket: one object per page. It needs the extra `tap-jobo[cloud]`, as `lease`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError
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

    def __init__(self, bucket: ObjectStore, location: str, clock: Clock) -> None:
        self.location = location
        self._bucket = bucket
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
        """Write an object under a name that is free, or that has this very content."""
        with store_errors(self.location):
            try:
                self._bucket.put(name, content, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                # It may be our own: obstore repeats a PUT whose response was lost.
                if bytes(self._bucket.get(name).bytes()) != content:
                    raise ExistsError(name) from None

    def replace(self, name: str, content: bytes) -> None:
        """Write an object, whether the name is free or taken."""
        with store_errors(self.location):
            self._bucket.put(name, content, use_multipart=False)

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects, the last one after all others."""
        with store_errors(self.location):
            for some in filter(None, (names[:-1], names[-1:])):
                try:
                    self._bucket.delete(some)
                except FileNotFoundError:  # of Azure, and of local stores
                    for name in some:
                        with suppress(FileNotFoundError):
                            self._bucket.delete(name)

    def lock(self, key: str, what: str) -> Lock:
        """Hold the lease of an archive key."""
        return Lease(self._bucket, key, what, self.location, self._clock).hold()


def open_bucket(url: str) -> ObjectStore:
    """Return a bucket, with the credentials of the environment, or raise `ArchiveError`.

    Never log what this returns: its `repr` shows credentials, or panics (Azure).
    """
    kinds = {"s3": S3Store, "gs": GCSStore, "azure": AzureStore}
    parts = urlsplit(url)
    open_one: Callable[..., ObjectStore] = kinds[parts.scheme]
    prefix = parts.path.strip("/") or None
    try:
        return open_one(parts.netloc, prefix=prefix, config=_WAITS, retry_config=_RETRIES)
    except (BaseError, OSError, ValueError, TypeError) as error:
        fact = (
            f"The archive {url} can't be opened ({describe_error(error)}). Check the environment "
            "variables with its credentials."
        )
        raise ArchiveError(message("archive-unusable", fact)) from None
