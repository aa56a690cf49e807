"""Where a journal can be: in a folder, or in a bucket. The scheme of `journal_dir` decides.

Nothing of object storage is imported unless `journal_dir` is the URL of a bucket.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from tap_jobo.errors import JournalError
from tap_jobo.journal import lock  # now, since its exit hook must run after that of the run
from tap_jobo.journal.folder import Folder
from tap_jobo.settings.bucket_url import is_like_url, parse_bucket_url

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from obstore.store import ObjectStore

    from tap_jobo.clock import Clock
    from tap_jobo.journal.store import Store


class Lock(Protocol):
    """Keeps a second run of the same journal key out. Each method may raise `JournalError`."""

    def acquire(self, clock: Clock, logger: logging.Logger) -> None:
        """Take the lock."""

    def check(self) -> None:
        """Check that the lock is still held."""

    def release(self) -> None:
        """Release the lock, if it was taken."""


class FolderBackend:
    """A journal in a folder.

    Args:
        setting: The folder; None or empty for the state folder of the platform.

    Raises:
        JournalError: The user's home folder is not known.
    """

    def __init__(self, setting: str | None) -> None:
        try:
            self._root = (Path(setting) if setting else _state_folder()).expanduser()
        except RuntimeError:
            raise JournalError(
                "The journal has no folder: neither HOME nor the user's account names a home "
                "folder. Set HOME, set journal_dir (--journal-dir of the command) to a folder that "
                "lasts, or set journal to false."
            ) from None

    def store(self) -> Store:
        """Return the store."""
        return Folder(self._root)

    def run_lock(self, key: str, stream: str, wait: Callable[[float], None]) -> Lock:  # noqa: ARG002
        """Return the lock of a journal key.

        Args:
            key: The key.
            stream: The stream's name, for messages.
            wait: Waits the given seconds, or raises if the run must end.
        """
        return lock.RunLock(self._root, key, stream)

    def exclusive_lock(self) -> AbstractContextManager[None]:
        """Keep runs from starting. Raises `JournalError` if one is in progress."""
        return lock.exclusive_lock(self._root)

    def exists(self) -> bool:
        """Return whether there is a journal. Raises `JournalError` if this cannot be determined."""
        try:
            (self._root / "v1").lstat()  # not `Path.exists`: it hides what else is wrong
        except FileNotFoundError:
            return False
        except OSError as error:
            raise JournalError(
                f"The journal {self._root} cannot be used ({type(error).__name__}: {error}). Make "
                "it a folder that this user can read and write, set journal_dir to another place, "
                "or set journal to false."
            ) from None
        return True


class BucketBackend(FolderBackend):
    """A journal in a bucket, which may always hold one.

    Args:
        setting: The URL.

    Raises:
        JournalError: It is not the URL of a bucket.
    """

    def __init__(self, setting: str | None) -> None:
        url = parse_bucket_url(setting or "")
        if url is None:
            raise JournalError(  # without showing it: it may hold credentials
                "The URL of the journal must be s3://bucket/prefix, gs://bucket/prefix or "
                "azure://container/prefix, without credentials or a query: the environment has "
                "those."
            )
        self._url = url

    def store(self) -> Store:
        """Return the store."""
        bucket = self._open()
        from tap_jobo.journal.bucket import Bucket  # noqa: PLC0415 - needs the extra

        return Bucket(bucket, str(self._url))

    def run_lock(self, key: str, stream: str, wait: Callable[[float], None]) -> Lock:
        """Return the lease of a journal key."""
        bucket = self._open()
        from tap_jobo.journal.lease import Lease  # noqa: PLC0415 - needs the extra

        return Lease(bucket, key, f"{stream} in {self._url}", wait)

    @contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Check that no run is in progress."""
        bucket = self._open()
        from tap_jobo.journal.lease import refuse_if_held  # noqa: PLC0415 - needs the extra

        refuse_if_held(bucket, str(self._url))
        yield

    def exists(self) -> bool:
        """Return True."""
        return True

    def _open(self) -> ObjectStore:
        try:
            from tap_jobo.journal.bucket import open_bucket  # noqa: PLC0415 - needs the extra
        except ModuleNotFoundError as error:
            if error.name != "obstore":
                raise
            raise JournalError(
                f"The journal {self._url} needs the extra 'cloud': install tap-jobo[cloud] in "
                "place of tap-jobo (with Meltano, in pip_url), or set journal_dir to a folder."
            ) from None
        return open_bucket(self._url)


_BACKENDS: Final = {
    "": FolderBackend,
    "s3": BucketBackend,
    "gs": BucketBackend,
    "azure": BucketBackend,
}
"""By the scheme of `journal_dir`."""


def backend_of(setting: str | None) -> FolderBackend:
    """Return the backend of a journal, given the setting `journal_dir`.

    Raises:
        JournalError: It cannot be used.
    """
    scheme = setting.partition(":")[0] if setting and is_like_url(setting) else ""
    return _BACKENDS.get(scheme, BucketBackend)(setting)  # which refuses all other schemes


def _state_folder() -> Path:
    from platformdirs import user_state_path  # noqa: PLC0415 - only if it is not set

    return user_state_path("tap-jobo", appauthor=False)
