"""A file in a folder: on the disk before its write returns, whatever happens within it."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from jobo_sandbox.patience import patient
from tap_jobo.archive import folder as module
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.store import ExistsError, StoreError
from tests.support.systems import needs_full_device

_KILLS = """
import os, signal, sys
from pathlib import Path
from tap_jobo.archive.folder import Folder

def create(root, kill_at):
    left = kill_at
    def count(frame, event, called):  # before and after each function that is written in C
        nonlocal left
        if event in ("c_call", "c_return"):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    sys.setprofile(count)
    Folder(root).create("v4/key/000000/000000001.page", b"content" * 10_000)
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
PAGE = "v4/key/000000/000000001.page"
OTHER = "v4/key/000000/000000002.page"
CONTENT = b"content" * 10_000


@pytest.mark.slow
def test_a_kill_at_any_instant_leaves_a_whole_page_or_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLS, str(tmp_path)]
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
    (folder, key, top, root, parent, *_) = (each.stat().st_ino for each in file.parents)
    new = () if were_there else ((tmp_path / "archive" / ".gitignore").stat().st_ino,)
    assert synced == [
        # Each folder, in the one above.
        *((above, False) for above in (parent, *new, root, top, key)),
        (file.stat().st_ino, False),  # before it gets its name
        (folder, True),
    ]


def test_a_file_is_synced_before_it_replaces_another_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, file = Folder(tmp_path), tmp_path / PAGE
    store.replace(PAGE, b"before")
    synced: list[tuple[int, bytes]] = []

    def record(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, file.read_bytes()))

    monkeypatch.setattr(module, "_sync", record)
    store.replace(PAGE, CONTENT)
    assert synced == [(file.stat().st_ino, b"before"), (file.parent.stat().st_ino, CONTENT)]


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
            patched.setattr(module, "_sync", fail)
        elif failing == "name":
            patched.setattr(os, "link", fail)
            patched.setattr(Path, "rename", fail)
        elif failing == "sync of the folder":
            patched.setattr(module, "_sync_folder", fail)
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
        store.remove([PAGE])
    assert psutil.Process().num_fds() == files


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_failed_write_that_cannot_be_removed_keeps_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would look like a page of another run."""
    store = Folder(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(module, "_sync", fail)
        patched.setattr(Path, "unlink", fail)
        with pytest.raises(StoreError):
            store.create(PAGE, CONTENT[:100])
    store.create(PAGE, CONTENT)
    assert store.read(PAGE) == CONTENT


def test_a_file_system_without_links_keeps_names_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", fail)
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


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "v4").touch()
    with pytest.raises(StoreError, match="v4 is a file"):
        Folder(tmp_path).list("v4")
    with pytest.raises(StoreError):
        Folder(tmp_path).create(PAGE, b"")
