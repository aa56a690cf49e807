"""The archive in a folder: who has its lock, what a crash leaves, and whose files are whose."""

import errno
import os
import stat
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import filelock
import psutil
import pytest

from tap_jobo.archive import folder as module
from tap_jobo.archive import layout, open_store
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.store import StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError

KEY = "host-live-0a/career_sites"
PAGE, OTHER = layout.page_name(KEY, 1), layout.page_name(KEY, 2)
FILE = layout.FILE.format(KEY)
CONTENT = b"content" * 10_000


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


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_folder_that_was_moved_away_is_not_written(tmp_path: Path, *, is_replaced: bool) -> None:
    """It was removed, unmounted, or replaced by a backup: its pages would belong to another one."""
    root = tmp_path / "archive"
    store = Folder(root)
    with store.lock(KEY, "career_sites"):
        store.create(PAGE, b"page")
        root.rename(tmp_path / "away")
        if is_replaced:
            Folder(root).create(PAGE, b"page")
        for write in (store.create, store.replace):
            with pytest.raises(StoreError):
                write(OTHER, b"page")
    assert Folder(root).list("v4") == [PAGE] * is_replaced
    assert Folder(tmp_path / "away").list("v4") == [PAGE]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ENOLCK, "no locks available"), "no locks"),
        (NotImplementedError(), "no locks"),
        (OSError(errno.EROFS, "read-only"), "read-only"),
    ],
)
def test_a_folder_that_cannot_be_locked_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    monkeypatch.setattr(filelock.FileLock, "acquire", Mock(side_effect=error))
    store = Folder(tmp_path)
    leave_half_written(store, PAGE)
    with pytest.raises(StoreError, match="archive-unusable") as refused:
        store.lock(KEY, "career_sites").__enter__()
    assert f" {tmp_path} " in refused.value.fact
    assert why in refused.value.why
    assert len([*tmp_path.rglob("*.tmp")]) == 1  # which another run may be writing


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "v4").touch()
    with pytest.raises(StoreError), Folder(tmp_path / "v4" / "archive").lock(KEY, "jobs"):
        pass
    with pytest.raises(StoreError, match=r"Not a directory: .*v4"):
        Folder(tmp_path).list("v4")
    with pytest.raises(StoreError):
        Folder(tmp_path).create(PAGE, b"")


# What a crash leaves


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
    [
        ["tap_jobo.archive.folder._sync"],
        ["os.link", "pathlib.Path.rename"],
        ["tap_jobo.archive.folder._sync_folder"],
    ],
)
def test_a_write_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: list[str]
) -> None:
    store = Folder(tmp_path)
    store.create(OTHER, b"{}")
    with monkeypatch.context() as patched:
        for name in failing:
            patched.setattr(name, fail(errno.ENOSPC))
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
