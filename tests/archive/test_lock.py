"""The lock of an archive key in a folder: who gets it, and what stands in its way."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import pytest

from jobo_sandbox.patience import patient
from tap_jobo.archive import layout
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.store import HeldError, StoreError

KEY = "host-live-0a/career_sites"
PAGE = layout.page_name(KEY, 1)
_HOLDS = """
import sys, time
from pathlib import Path
from tap_jobo.archive import layout
from tap_jobo.archive.folder import Folder

with Folder(Path(sys.argv[1])).lock(sys.argv[2], "career_sites"):
    print("has it", flush=True)
    time.sleep(1_000)
"""


@contextmanager
def another_process(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    command = [sys.executable, "-c", _HOLDS, str(root), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "has it\n"
            yield process
        finally:
            process.kill()
            process.wait(patient(10))


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    with another_process(tmp_path) as process:
        with pytest.raises(HeldError) as error, store.lock(KEY, "career_sites"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(patient(10))
        with store.lock(KEY, "career_sites") as check:
            check()
    assert f" career_sites in {tmp_path}." in error.value.fact
    assert "[run-in-progress]" in str(error.value)
    assert error.value.holder == ""


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


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "no locks"), NotImplementedError()])
def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    monkeypatch.setattr(filelock.FileLock, "acquire", raising(error))
    store = Folder(tmp_path, logging.getLogger("visible"))
    leave_half_written(store, PAGE)
    with store.lock(KEY, "career_sites") as check:
        check()
        store.create(PAGE, b"page")
    (warning,) = caplog.messages
    for part in (f" {tmp_path} ", " locked ", " career_sites ("):
        assert part in warning
    assert "[archive-unusable]" in warning
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


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError), Folder(tmp_path / "file" / "archive").lock(KEY, "jobs"):
        pass


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "archive" / layout.LOCK.format(KEY)
    target.write_text("content")
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    with pytest.raises(StoreError) as error, Folder(tmp_path / "archive").lock(KEY, "jobs"):
        pass
    assert error.value.why == f"{link} is a symbolic link"
    assert target.read_text() == "content"


def fail(code: int) -> Any:
    return raising(OSError(code, os.strerror(code)))


def raising(error: Exception) -> Any:
    def raise_it(*_: object, **__: object) -> None:
        raise error

    return raise_it
