"""The store in a folder: one file per page, on the disk before `create` returns."""

import errno
import fcntl
import os
import posixpath
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from filelock import FileLock, Timeout  # now, since its exit hook must run after that of the run

from tap_jobo.archive import layout
from tap_jobo.archive.store import ExistsError, HeldError, MissingError, StoreError

_TEMPORARY: Final = ".tmp"  # the suffix of a file that is being written
_MEGABYTE: Final = 1_000_000
_ROOM: Final = 8  # MB for a page: one of 1,000 jobs takes less than 1 MB


class Folder:
    """Files in a folder that only its owner can read. It is created with the first file."""

    is_remote = False
    lasts = True

    def __init__(self, root: Path) -> None:
        self.location = str(root)
        self._root = root
        self._synced: set[Path] = set()
        self._locked: os.stat_result | None = None  # the root, as it was when a lock was taken

    def list(self, prefix: str, after: str = "") -> list[str]:
        """Return the names of all files below a folder, without those that are being written.

        Only those subfolders are opened that can hold names after the given one.
        """
        with self._errors():
            return sorted(self._walk(prefix, after))

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
        """Write a file durably and at once, whether the name is free or taken."""
        with self._written_aside(name, content) as (temporary, path):
            temporary.replace(path)
            _sync_folder(path.parent)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._errors():
            (self._root / name).unlink(missing_ok=True)

    def prove_room(self, name: str) -> None:
        """Write a file that is far larger than a usual page, and remove it."""
        self.replace(name, os.urandom(_MEGABYTE) * _ROOM)  # which no file system compresses
        self.remove(name)

    @contextmanager
    def lock(self, key: str, what: str) -> Iterator[Callable[[], None]]:
        """Hold a lock that the operating system releases after a crash, and that cannot be lost.

        A file system without locks is an error.
        """
        with self._errors():
            path = self._root / layout.LOCK.format(key)
            self._make_folder(path.parent)
            self._locked = self._root.stat()
            lock = FileLock(path, timeout=0, mode=0o600)
            try:
                lock.acquire()
            except Timeout:
                raise HeldError(what, self.location) from None
            except NotImplementedError:
                raise StoreError(self.location, "its file system has no locks") from None
        try:
            self._remove_temporary_files(key)  # of runs that were killed
            yield lambda: None
        finally:
            with suppress(OSError):  # such as of NFS; the end of the process releases it, too
                lock.release()

    def _walk(self, folder: str, after: str) -> Iterator[str]:
        """Yield the names of the files in a folder and below that come after a name.

        Hidden files are not the archive's: `.gitignore`, or those of Finder and NFS.
        """
        with suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
            for entry in entries:
                name = posixpath.join(folder, entry.name)
                if entry.name.startswith(".") or entry.name.endswith(_TEMPORARY):
                    continue
                if not entry.is_dir():
                    if name > after:
                        yield name
                elif f"{name}/" > after or after.startswith(f"{name}/"):
                    yield from self._walk(name, after)

    def _remove_temporary_files(self, key: str) -> None:
        with self._errors():
            for written in (f"{layout.TOP}/{key}/", layout.PENDING.format(key)):
                for path in self._root.glob(f"{written}*{_TEMPORARY}"):
                    path.unlink(missing_ok=True)

    @contextmanager
    def _written_aside(self, name: str, content: bytes) -> Iterator[tuple[Path, Path]]:
        """Write and sync a temporary file, so that no part of a file ever has its name.

        It is in the folder of the key, where what a killed run leaves is found without a search.
        """
        with self._errors():
            if self._locked and not os.path.samestat(self._root.stat(), self._locked):
                raise StoreError(self.location, "it was replaced or unmounted meanwhile")
            path = self._root / name
            self._make_folder(path.parent)
            above = self._root.joinpath(*PurePosixPath(name).parts[:-1][:3])
            temporary = above / f"{path.name}.{secrets.token_hex(4)}{_TEMPORARY}"
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
            why = error.strerror or type(error).__name__
            where = f": {error.filename}" if error.filename else ""
            raise StoreError(self.location, f"{why}{where}") from error

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
        if folder == self._root:
            self._hide_from_git()

    def _hide_from_git(self) -> None:
        """Let Git ignore a new root. One with other files may be a repository itself."""
        if not any(self._root.iterdir()):
            with open(self._root / ".gitignore", "wb", opener=_open_private) as file:
                file.write(b"*\n")
                file.flush()
                _sync(file.fileno())  # or Git would see the pages after a power failure


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
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
