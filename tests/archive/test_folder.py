"""The archive in a folder: who has its lock, what a crash leaves, and whose files are whose."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import filelock
import psutil
import pytest

from jobo_sandbox.patience import patient
from tap_jobo.archive import folder as module
from tap_jobo.archive import layout, open_store
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.store import ExistsError, HeldError, StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tests.support.systems import needs_full_device

KEY = "host-live-0a/career_sites"
PAGE, OTHER = layout.page_name(KEY, 1), layout.page_name(KEY, 2)
FILE = layout.FILE.format(KEY)
CONTENT = b"content" * 10_000
_KILLS = """
import io, os, signal, sys
from pathlib import Path
from tap_jobo.archive.folder import Folder

def create(root, kill_at):
    left = kill_at
    def count(frame, event, called):  # before each call of the system, and of an open file
        nonlocal left
        of_file = isinstance(getattr(called, "__self__", None), io.IOBase)
        if event == "c_call" and (of_file or called.__module__ == "posix"):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    sys.setprofile(count)
    Folder(root).create(sys.argv[2], b"content" * 10_000)
    sys.setprofile(None)
    os._exit(0)

for number in range(1_000):
    process = os.fork()
    if process == 0:
        create(Path(sys.argv[1], str(number)), number)
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0:
        print(number)
        break
"""


def fail(code: int) -> Mock:
    return Mock(side_effect=OSError(code, os.strerror(code)))


# Its lock


def test_what_killed_runs_were_writing_is_removed_with_the_lock(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    names = [PAGE, f"v4/{KEY}/archive.json", layout.PENDING.format(KEY)]
    others = [layout.page_name("host-live-0a/jobs", 1), layout.PENDING.format("host-test-0a/jobs")]
    for name in names + others:
        leave_half_written(store, name)
    left = {path.name.split(".")[0] for path in tmp_path.rglob("*.tmp")}
    assert left == {"000000001", "archive", "career_sites", "jobs"}
    with store.lock(KEY, "career_sites"):
        left = {path.relative_to(tmp_path).as_posix()[:-13] for path in tmp_path.rglob("*.tmp")}
    assert left == {"v4/host-live-0a/jobs/000000001.page", "v4/pending/host-test-0a/jobs.json"}
    assert store.list("v4") == []


def leave_half_written(store: Folder, name: str) -> None:
    """As a run that is killed before a file has its name."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", fail(errno.EIO))
        patched.setattr(Path, "unlink", fail(errno.EIO))
        with pytest.raises(StoreError):
            store.replace(name, b"half")


def test_a_run_removes_nothing_while_another_one_writes(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    with store.lock(KEY, "career_sites"):
        leave_half_written(store, PAGE)
        with pytest.raises(HeldError), store.lock(KEY, "career_sites"):
            pass
        assert len([*tmp_path.rglob("*.tmp")]) == 1


def test_a_folder_that_was_moved_away_is_not_begun_anew(tmp_path: Path) -> None:
    """It was removed, or unmounted."""
    root = tmp_path / "archive"
    store = Folder(root)
    with store.lock(KEY, "career_sites"):
        store.create(PAGE, b"page")
        root.rename(tmp_path / "away")
        for write in (store.create, store.replace):
            with pytest.raises(StoreError):
                write(OTHER, b"page")
    assert not root.exists()
    assert Folder(tmp_path / "away").list("v4") == [PAGE]


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "no locks"), NotImplementedError()])
def test_a_file_system_without_locks_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(filelock.FileLock, "acquire", Mock(side_effect=error))
    store = Folder(tmp_path)
    leave_half_written(store, PAGE)
    with pytest.raises(StoreError, match="archive-unusable") as refused:
        store.lock(KEY, "career_sites").__enter__()
    assert f" {tmp_path} " in refused.value.fact
    assert "no locks" in refused.value.why
    assert len([*tmp_path.rglob("*.tmp")]) == 1  # which another run may be writing


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(filelock.FileLock, "acquire", fail(code))
    known = "archive-unusable"
    with pytest.raises(StoreError, match=known) as error, Folder(tmp_path).lock(KEY, "jobs"):
        pass
    assert os.strerror(code) in error.value.why


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "v4").touch()
    with pytest.raises(StoreError), Folder(tmp_path / "v4" / "archive").lock(KEY, "jobs"):
        pass
    with pytest.raises(StoreError, match=r"Not a directory: .*v4"):
        Folder(tmp_path).list("v4")
    with pytest.raises(StoreError):
        Folder(tmp_path).create(PAGE, b"")


# What a crash leaves


@pytest.mark.slow
def test_a_kill_at_any_instant_leaves_a_whole_page_or_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLS, str(tmp_path), PAGE]
    run = subprocess.run(command, capture_output=True, check=True, timeout=patient(60))
    instants = int(run.stdout)
    assert instants > 20
    left = []
    for number in range(instants):
        file = tmp_path / str(number) / PAGE
        left.append(file.read_bytes() if file.exists() else None)
    assert {None, CONTENT} == {*left}


@pytest.mark.parametrize("were_there", [False, True])
@pytest.mark.parametrize("write", [Folder.create, Folder.replace])
def test_a_new_file_and_its_folders_are_synced_in_their_order(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Folder, str, bytes], None],
    *,
    were_there: bool,
) -> None:
    """The folders, too, if they were there: a run may have been killed before it synced them."""
    file = tmp_path / "archive" / PAGE
    if were_there:
        file.parent.mkdir(parents=True)
    content = b"{}"  # so small that a buffer holds it until it is flushed
    synced: list[tuple[int, bool]] = []

    def record(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((status.st_ino, file.exists()))
        assert status.st_size == len(content) or stat.S_ISDIR(status.st_mode)

    monkeypatch.setattr(sys, "platform", "linux")  # macOS has another call
    monkeypatch.setattr(os, "fsync", record)
    write(Folder(tmp_path / "archive"), PAGE, content)
    (folder, key, owner, top, root, parent, *_) = (each.stat().st_ino for each in file.parents)
    new = () if were_there else ((tmp_path / "archive" / ".gitignore").stat().st_ino,)
    assert synced == [
        # Each folder, in the one above.
        *((above, False) for above in (parent, *new, root, top, owner, key)),
        (file.stat().st_ino, False),  # before it gets its name
        (folder, True),
    ]


@pytest.mark.parametrize(
    "failing",
    [pytest.param("write", marks=needs_full_device), "sync", "name", "sync of the folder"],
)
def test_a_write_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store = Folder(tmp_path)
    store.create(OTHER, b"{}")

    real_open = os.open

    def open_on_full_device(path: str, flags: int, mode: int) -> int:
        os.close(real_open(path, flags, mode))
        return real_open("/dev/full", os.O_WRONLY)

    with monkeypatch.context() as patched:
        if failing == "sync":
            patched.setattr(module, "_sync", fail(errno.ENOSPC))
        elif failing == "name":
            patched.setattr(os, "link", fail(errno.ENOSPC))
            patched.setattr(Path, "rename", fail(errno.ENOSPC))
        elif failing == "sync of the folder":
            patched.setattr(module, "_sync_folder", fail(errno.ENOSPC))
        else:
            patched.setattr(os, "open", open_on_full_device)
        with pytest.raises(StoreError, match=os.strerror(errno.ENOSPC)):
            store.create(PAGE, CONTENT)
    assert store.list("v4") == [OTHER]
    store.create(PAGE, CONTENT)
    assert store.read(PAGE) == CONTENT


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINVAL, errno.ENOTSUP])
def test_a_folder_that_is_not_synced_is_an_error_unless_its_file_system_never_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = Folder(tmp_path)
    store.create(OTHER, b"{}")

    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module, "_sync", sync)
    files = psutil.Process().num_fds()
    for write in (store.replace, store.create):
        is_error = code in (errno.EIO, errno.ENOSPC)
        with pytest.raises(StoreError) if is_error else nullcontext():
            write(PAGE, CONTENT)
        store.remove(PAGE)
    assert psutil.Process().num_fds() == files


def test_a_file_system_without_links_keeps_names_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", fail(errno.ENOSPC))
    store = Folder(tmp_path)
    for _ in range(2):
        store.create(PAGE, CONTENT)
    with pytest.raises(ExistsError):
        store.create(PAGE, b"another")
    assert store.read(PAGE) == CONTENT
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [
        ".gitignore",
        "000000001.page",
    ]


# Its files


@pytest.mark.parametrize("is_there", [False, True])
def test_git_ignores_a_new_archive(tmp_path: Path, *, is_there: bool) -> None:
    root = tmp_path / "archive"
    if is_there:  # as the mount point of a volume
        root.mkdir()
    Folder(root).create(PAGE, b"")
    assert (root / ".gitignore").read_text() == "*\n"
    assert Folder(root).list("v4") == [PAGE]
    assert Folder(root).list("") == [PAGE]
    (root / ".gitignore").write_text("mine")
    Folder(root).replace(PAGE, b"")
    assert (root / ".gitignore").read_text() == "mine"


def test_git_sees_what_is_beside_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a project whose archive_dir is the project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meltano.yml").touch()
    Folder(Path()).create(PAGE, b"")
    assert {path.name for path in tmp_path.iterdir()} == {"meltano.yml", "v4"}


def test_only_its_owner_can_read_an_archive(tmp_path: Path) -> None:
    store, root = Folder(tmp_path / "archive"), tmp_path / "archive"
    before = os.umask(0)
    try:
        with store.lock(KEY, "career_sites"):
            store.create(PAGE, b"")
        store.replace(layout.PENDING.format(KEY), b"")
    finally:
        os.umask(before)
    paths = [root, *root.rglob("*")]
    assert len(paths) == 13
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_an_archive_may_be_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "archive").symlink_to(tmp_path / "disk")
    store = Folder(tmp_path / "archive")
    with store.lock(KEY, "career_sites"):
        store.create(PAGE, b"page")
    assert store.read(PAGE) == b"page"
    assert store.list("v4") == [PAGE]


@pytest.mark.parametrize("setting", ["~/archive", None])
def test_without_a_home_the_error_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    """As in some containers, where the system does not know the user."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", Mock(side_effect=KeyError))
    monkeypatch.setattr("pwd.getpwnam", Mock(side_effect=KeyError))
    with pytest.raises(ArchiveError, match=r"archive_dir.*\[archive-unusable\]"):
        open_store(setting, Clock())
