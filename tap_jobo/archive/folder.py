"""The store in a folder: one file per page, on the disk before `create` returns."""

import errno
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from logging import Logger, getLogger
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout  # now, since its exit hook must run after that of the run

from tap_jobo.archive import layout
from tap_jobo.archive.store import ExistsError, MissingError, StoreError, held_by_another_run

_LOGGER: Final = getLogger(__name__)
_TEMPORARY: Final = ".tmp"  # the suffix of a file that is being written


class Folder:
    """Files in a folder that only its owner can read. It is created with the first file."""

    def __init__(self, root: Path, logger: Logger = _LOGGER) -> None:
        self.location = str(root)
        self._logger = logger
        self._root = root
        self._synced: set[Path] = set()

    def list(self, prefix: str) -> list[str]:
        """Return the names of all files below a folder, without those that are being written."""
        with self._errors():
            folders = os.walk(self._root / prefix, onerror=_raise)
            paths = ((Path(folder).relative_to(self._root), names) for folder, _, names in folders)
            files = (f"{path.as_posix()}/{name}" for path, names in paths for name in names)
            return [name for name in files if not name.endswith(_TEMPORARY)]

    def read(self, name: str, size: int | None = None) -> bytes:
        """Return the content of a file, or its first `size` bytes."""
        with self._errors():
            try:
                with (self._root / name).open("rb") as file:
                    return file.read(size)
            except FileNotFoundError:
                raise MissingError(name) from None

    def create(self, name: str, content: bytes) -> None:
        """Write a file under a name that is free, or that has this very content."""
        with self._written_aside(name, content) as (temporary, path):
            try:
                _link(temporary, path)
                _sync_folder(path.parent)
            except FileExistsError:
                if path.read_bytes() != content:
                    raise ExistsError(name) from None
            except OSError:
                path.unlink(missing_ok=True)
                raise

    def replace(self, name: str, content: bytes) -> None:
        """Write a small file durably and at once, whether the name is free or taken."""
        with self._written_aside(name, content) as (temporary, path):
            temporary.replace(path)
            _sync_folder(path.parent)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files in the order of their names in the list, and folders that are then empty."""
        paths = [self._root / name for name in names]
        with self._errors():
            for path in paths:
                path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            with suppress(OSError):  # it is not empty
                folder.rmdir()

    @contextmanager
    def run_lock(self, key: str, stream: str, wait: object = None) -> Iterator[Callable[[], None]]:  # noqa: ARG002
        """Hold a lock that the operating system releases after a crash, and that cannot be lost.

        A folder without locks is only a warning.
        """
        lock = FileLock(self._root / layout.LOCK.format(key), timeout=0, mode=0o600)
        try:
            lock.acquire()
        except Timeout:
            raise held_by_another_run(f"{stream} in {self._root}") from None
        except (OSError, NotImplementedError) as error:
            self._logger.warning(
                "No lock can be taken for %s in %s (%r). Make sure that no second run of this "
                "pipeline starts while this run is in progress. [run-in-progress]",
                stream,
                self._root,
                error,
            )
        try:
            if lock.is_locked:  # so what is half written is of runs that were killed
                self._remove_temporary_files(key)
            yield lambda: None
        finally:
            lock.release()

    @contextmanager
    def exclusive_lock(self, key: str = "*") -> Iterator[None]:
        """Keep runs from starting. Raises `ArchiveError` if one is in progress."""
        keys = {path.name for path in self._root.glob(f"{layout.TOP}/{key}")}
        with ExitStack() as locks:
            for path in self._root.glob(layout.LOCK.format(key)):
                if path.stem in keys:  # or it is of another program
                    locks.enter_context(self.run_lock(path.stem, "a stream"))
            yield

    def _remove_temporary_files(self, key: str) -> None:
        """Remove what killed runs were writing, except `key.json`, which needs no lock."""
        completed, count = layout.COMPLETED.format(key), layout.COUNT.format(key)
        with self._errors():
            for written in (completed, count, f"{layout.TOP}/{key}/*/"):
                for path in self._root.glob(f"{written}*{_TEMPORARY}"):
                    path.unlink(missing_ok=True)

    @contextmanager
    def _written_aside(self, name: str, content: bytes) -> Iterator[tuple[Path, Path]]:
        """Write and sync a temporary file, so that no part of a file ever has its name."""
        path = self._root / name
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
        with self._errors():
            self._make_folder(path.parent)
            try:
                with open(temporary, "xb", opener=_open_private) as file:
                    file.write(content)
                    file.flush()
                    _sync(file.fileno())
                yield temporary, path
            finally:
                with suppress(OSError):  # otherwise, the next run removes it
                    temporary.unlink()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(self.location, f"{type(error).__name__}: {error}") from error

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and those above it, each synced into the one above it.

        One that is there is synced too, once: the run that created it may have been killed before.
        """
        if folder.is_dir() and (folder in self._synced or not folder.is_relative_to(self._root)):
            return
        if folder.parent != folder:  # as that of `.` is
            self._make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _sync_folder(folder.parent)
        self._synced.add(folder)


def _open_private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _link(temporary: Path, path: Path) -> None:
    """Give a file a name that is free, or raise `FileExistsError`."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():  # which the rename would replace
            raise FileExistsError(path) from None
        temporary.rename(path)


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":  # where fsync leaves data in the cache of the drive
        import fcntl  # noqa: PLC0415 - Windows has none

        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder, where the operating system and the file system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    """Raise an error of `os.walk`, which would skip the folder; only a missing one is none."""
    if not isinstance(error, FileNotFoundError):
        raise error
