"""What every store does, whatever it is made of."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from filelock import FileLock
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import MemoryStore

from tap_jobo.archive import layout, open_store
from tap_jobo.archive.bucket import Bucket, open_bucket
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.lease import store_errors
from tap_jobo.archive.store import ExistsError, HeldError, MissingError, Store, StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tests.support import bucket as fake
from tests.support.clock import FakeClock
from tests.support.loggers import LOGGER

Opens = Callable[[], Store]
"""Opens the store anew, as another process does later."""

KEY = "host-live-0a/career_sites"
PAGE = layout.page_name(KEY, 1)
FILE = layout.FILE.format(KEY)


@pytest.fixture(params=["folder", "memory", "azure", "s3", "moto", "gs"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Opens:
    """A new store needs its name above, and a line in `kinds`."""
    memory = MemoryStore()
    azure: Any = fake.Bucket(Clock().now)

    def in_bucket(scheme: str) -> Store:
        url = f"{scheme}://archives{tmp_path}"
        return Bucket(open_bucket(url), url, Clock())

    kinds: dict[str, tuple[str, Opens]] = {
        "folder": ("", lambda: Folder(tmp_path / "archive")),
        "memory": ("", lambda: Bucket(memory, "memory", Clock())),
        "azure": ("", lambda: Bucket(azure, "azure", Clock())),
        "s3": ("s3", lambda: in_bucket("s3")),
        "moto": ("moto", lambda: in_bucket("s3")),
        "gs": ("gcs", lambda: in_bucket("gs")),
    }
    server, opens = kinds[request.param]
    if server:
        request.getfixturevalue(server)
    return opens


@pytest.fixture
def store(opens: Opens) -> Store:
    return opens()


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.list("v4") == []
    with pytest.raises(MissingError):
        store.read(PAGE)
    store.remove([PAGE])
    store.remove([])


def test_what_is_created_lasts(opens: Opens) -> None:
    content = b'{"a":\n"\\u0000 \xff"}'
    opens().create(PAGE, content)
    opens().create(FILE, b"")
    later = opens()
    assert later.read(PAGE) == content
    assert [later.read(PAGE, size) for size in (1, 3, 1_000)] == [content[:1], content[:3], content]
    assert later.list("v4") == [PAGE, FILE]
    assert later.list(f"v4/{KEY}/000000") == [PAGE]
    assert later.list(f"v4/{KEY}"[:-1]) == []


def test_a_name_is_taken_once_but_may_be_retried(opens: Opens) -> None:
    """A client that has lost the response does not know that it succeeded."""
    for _ in range(2):
        opens().create(PAGE, b"first")
    with pytest.raises(ExistsError):
        opens().create(PAGE, b"second")
    assert opens().read(PAGE) == b"first"


def test_a_small_file_is_replaced(opens: Opens) -> None:
    for content in (b"a", b"bb", b""):
        opens().replace(FILE, content)
        assert opens().read(FILE) == content
    assert opens().list("v4") == [FILE]


def test_only_what_is_removed_is_missing(opens: Opens) -> None:
    others = [layout.page_name("host-test-0a/jobs", number) for number in range(1, 5)]
    for name in (*others, PAGE):
        opens().create(name, b"page")
    for names in (others[1:2], others[1:], others[1:]):  # as two who remove the same
        opens().remove(names)
    assert opens().list("v4") == [PAGE, others[0]]
    opens().create(others[2], b"another")


def test_a_folder_that_is_empty_is_removed(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    for name in (PAGE, FILE):
        store.create(name, b"")
    store.remove([PAGE])
    assert [path.name for path in tmp_path.glob("v4/*/*/*")] == ["archive.json"]


def test_files_are_removed_in_their_order(tmp_path: Path) -> None:
    store, names = Folder(tmp_path), [f"v4/key/000000/{number}.page" for number in (3, 2, 1)]
    for name in names[::2]:
        store.create(name, b"")
    (tmp_path / names[1]).mkdir()  # which is no file to remove
    with pytest.raises(StoreError):
        store.remove(names)
    assert store.list("v4") == [names[2]]


def test_the_last_object_is_removed_after_all_others() -> None:
    requests: list[list[str]] = []
    bucket: Any = Mock(delete=requests.append)
    Bucket(bucket, "s3://a/b", Clock()).remove(["1.page", "2.page", "archive.json"])
    assert requests == [["1.page", "2.page"], ["archive.json"]]


def test_of_those_who_write_a_key_one_has_the_lock(opens: Opens) -> None:
    with opens().lock(KEY, "career_sites") as check, opens().lock("host-live-0a/jobs", "jobs"):
        check()
        held = pytest.raises(HeldError, match=r" career_sites in .*\[run-in-progress\]")
        for _ in range(2):
            with held, opens().lock(KEY, "career_sites"):
                pass
        check()
    with opens().lock(KEY, "career_sites") as check:
        check()


def test_a_listing_has_the_names_after_one_in_their_order(opens: Opens) -> None:
    names = [layout.page_name("key", number) for number in (998, 999, 1_000, 1_001)]
    names.append(layout.FILE.format("key"))
    for name in (*reversed(names), PAGE, "v4/key-b/000000/000000001.page"):
        opens().create(name, b"")
    for after, found in {
        "": 5,
        "v4/key/000000/000000998.page": 4,
        "v4/key/000000/000000999.page": 3,
        "v4/key/000000/000000999.pagf": 3,
        "v4/key/000001/000000000.page": 3,  # which is no file
        "v4/key/000001/000001000.page": 2,
        "v4/key/000001/999999999.page": 1,
        "v4/key/000002": 1,
        "v4/key/archive.json": 0,
    }.items():
        assert opens().list("v4/key", after) == names[5 - found :], after


def test_a_folder_that_holds_no_later_name_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Folder(tmp_path)
    names = [layout.page_name("key", number) for number in range(0, 9_000, 500)]
    for name in names:
        store.create(name, b"")
    opened: list[str] = []

    def scan(path: Path) -> Any:
        opened.append(path.name)
        return scan_folder(path)

    scan_folder = os.scandir
    monkeypatch.setattr(os, "scandir", scan)
    assert store.list("v4/key", names[-1]) == []
    assert opened == ["key", "000008"]


def test_a_name_says_which_page_it_is() -> None:
    for number, name in (
        (1, "000000/000000001"),
        (999, "000000/000000999"),
        (1_234_567, "001234/001234567"),
        (123_456_789, "123456/123456789"),
    ):
        assert layout.page_name(KEY, number) == f"v4/{KEY}/{name}.page"
        match = layout.PAGE.fullmatch(f"v4/{KEY}/{name}.page")
        assert match
        assert (match["key"], int(match["number"])) == (KEY, number)
    for name in (
        "000000/000001000.page",
        "000001/000000001.page",
        "000000/00000001.page",
        "000/000001.page",
        "archive.json",
        "page",
    ):
        assert not layout.PAGE.fullmatch(f"v4/{KEY}/{name}")


@pytest.mark.parametrize("error", [AlreadyExistsError, PreconditionError])
def test_a_put_that_was_repeated_finds_its_own_object(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Stores word the refusal in two ways."""
    bucket: Any = fake.Bucket(FakeClock().now)
    store = Bucket(bucket, "s3://a/b", Clock())
    store.create(PAGE, b"ours")
    monkeypatch.setattr(bucket, "put", Mock(side_effect=error("it exists")))
    store.create(PAGE, b"ours")
    with pytest.raises(ExistsError):
        store.create(PAGE, b"another")


# Folders


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


def test_git_sees_what_is_beside_an_archive(tmp_path: Path) -> None:
    """As in a project whose archive_dir is the project."""
    (tmp_path / "meltano.yml").touch()
    Folder(tmp_path).create(PAGE, b"")
    assert {path.name for path in tmp_path.iterdir()} == {"meltano.yml", "v4"}


def test_only_its_owner_can_read_an_archive(tmp_path: Path) -> None:
    store, root = Folder(tmp_path / "archive"), tmp_path / "archive"
    with store.lock(KEY, "career_sites"):
        store.create(PAGE, b"")
    store.replace(layout.PENDING.format(KEY), b"")
    paths = [root, *root.rglob("*")]
    assert len(paths) == 13
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_lock_that_cannot_be_released_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the process releases it, too."""
    release = FileLock.release

    def fail(lock: FileLock, **options: bool) -> None:
        was_locked = lock.is_locked
        release(lock, **options)
        if was_locked:
            raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(FileLock, "release", fail)
    with Folder(tmp_path).lock(KEY, "career_sites"):
        pass
    with Folder(tmp_path).lock(KEY, "career_sites"):
        pass


def test_reading_creates_no_folder(tmp_path: Path) -> None:
    store = Folder(tmp_path / "archive")
    assert store.list("v4") == []
    with pytest.raises(MissingError):
        store.read(PAGE)
    store.remove([PAGE])
    assert list(tmp_path.iterdir()) == []


def test_an_archive_may_be_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "archive").symlink_to(tmp_path / "disk")
    store = Folder(tmp_path / "archive")
    with store.lock(KEY, "career_sites"):
        store.create(PAGE, b"page")
    assert store.read(PAGE) == b"page"
    assert store.list("v4") == [PAGE]


@pytest.mark.parametrize("link", ["v4", f"v4/{KEY}", f"v4/{KEY}/000000", PAGE])
def test_a_link_in_a_folder_is_refused_by_all_alike(tmp_path: Path, link: str) -> None:
    store, path = Folder(tmp_path / "archive"), tmp_path / "archive" / link
    store.create(PAGE, b"page")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    calls: list[Callable[[], object]] = [
        lambda: store.list("v4"),
        lambda: store.list(f"v4/{KEY}"),
        lambda: store.list(f"v4/{KEY}", PAGE[:-1]),
        lambda: store.read(PAGE),
        lambda: store.create(PAGE, b"page"),
        lambda: store.replace(PAGE, b""),
        lambda: store.remove([PAGE]),
    ]
    for call in calls:
        with pytest.raises(StoreError) as error:
            call()
        assert error.value.why == f"{path} is a symbolic link"
    assert (tmp_path / "elsewhere").exists()


def test_by_default_an_archive_is_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # in which there is no Meltano project
    store = open_store(None, Clock(), LOGGER)
    assert not store.is_remote
    if sys.platform == "linux":
        assert store.location == str(tmp_path / "tap-jobo")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_store("~/archive", Clock(), LOGGER).location == str(tmp_path / "archive")


def test_without_a_home_the_error_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "expanduser", Mock(side_effect=RuntimeError))
    with pytest.raises(ArchiveError, match=r"archive_dir.*\[archive-unusable\]"):
        open_store("~/archive", Clock(), LOGGER)


# Buckets


@pytest.mark.usefixtures("s3")
def test_a_bucket_holds_archives_at_several_prefixes() -> None:
    urls = ("s3://archives/first/a", "s3://archives/second")
    first, second = (Bucket(open_bucket(url), url, Clock()) for url in urls)
    first.create(PAGE, b"page")
    assert (first.list("v4"), second.list("v4")) == ([PAGE], [])


def test_a_bucket_without_an_account_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE")]:
        monkeypatch.delenv(name)
    with pytest.raises(ArchiveError, match=r" azure://archives/a .*\[archive-unusable\]"):
        open_bucket("azure://archives/a")


def test_a_bucket_out_of_reach_is_an_error() -> None:
    away: Any = fake.Bucket(FakeClock().now, is_away=True)
    store = Bucket(away, "s3://a/b", Clock())
    calls: list[Callable[[], object]] = [
        lambda: store.list("v4"),
        lambda: store.read(PAGE),
        lambda: store.create(PAGE, b""),
        lambda: store.replace(PAGE, b""),
        lambda: store.remove([PAGE]),
    ]
    for call in calls:
        with pytest.raises(StoreError, match=fake.AWAY):
            call()


def test_an_error_is_one_line_without_a_signature() -> None:
    long = "Error performing GET https://a.blob.core.windows.net/c?sig=a-secret&se=1 in 1ms\n\nMore"
    with pytest.raises(StoreError) as error, store_errors("s3://a/b"):
        raise ValueError(long)
    assert error.value.why == "Error performing GET https://a.blob.core.windows.net/c in 1ms"
