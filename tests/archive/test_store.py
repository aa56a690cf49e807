"""What every store does, whatever it is made of."""

import errno
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tap_jobo.archive import layout, open_store
from tap_jobo.archive.bucket import Bucket, open_bucket, store_errors
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.memory import Memory
from tap_jobo.archive.store import ExistsError, HeldError, MissingError, Store, StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tests.support import bucket as fake
from tests.support.clock import FakeClock

Opens = Callable[[], Store]
"""Opens the store anew, as another process does later."""

KEY = "host-live-0a/career_sites"
PAGE = layout.page_name(KEY, 1)
FILE = layout.FILE.format(KEY)


@pytest.fixture(params=["folder", "folder without links", "memory", "azure", "s3", "gcs"])
def opens(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opens:
    """A new store needs its name above, and a case."""
    match request.param:
        case "memory":
            memory = Memory()
            return lambda: memory
        case "azure":
            azure: Any = fake.Bucket(Clock().now)
            return lambda: Bucket(azure, "azure", Clock())
        case "s3" | "gcs" as server:
            found = request.getfixturevalue(server)
            return lambda: open_store(getattr(found, "url", found), Clock())
        case "folder without links":  # as a file system may be
            monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.ENOSPC, "no room")))
    return lambda: Folder(tmp_path / "archive")


@pytest.fixture
def store(opens: Opens) -> Store:
    return opens()


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.list("v4") == []
    with pytest.raises(MissingError):
        store.read(PAGE)
    store.remove(PAGE)


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
    for name in (*others[1:], *others[1:]):  # as two who remove the same
        opens().remove(name)
    assert opens().list("v4") == [PAGE, others[0]]
    opens().create(others[2], b"another")


def test_of_those_who_write_a_key_one_has_the_lock(opens: Opens) -> None:
    """In memory, there is no other one."""
    refused = pytest.raises(HeldError, match=r" career_sites in .*\[run-in-progress\]")
    with opens().lock(KEY, "career_sites") as check, opens().lock("host-live-0a/jobs", "jobs"):
        check()
        for _ in range(2):
            with refused if opens().lasts else nullcontext(), opens().lock(KEY, "career_sites"):
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
        "v4/key/000001/000000000.page": 3,  # which is no file
        "v4/key/000001/000001000.page": 2,
        "v4/key/000002": 1,
        "v4/key/archive.json": 0,
    }.items():
        assert opens().list("v4/key", after) == names[5 - found :], after


def test_other_names_are_those_of_no_page() -> None:
    assert layout.PAGE.fullmatch(layout.page_name(KEY, 123_456_789))
    for name in (
        "000000/000001000.page",
        "000000/00000001.page",
        "000/000001.page",
        "archive.json",
    ):
        assert not layout.PAGE.fullmatch(f"v4/{KEY}/{name}")


# Buckets


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
        lambda: store.remove(PAGE),
        lambda: store.lock(KEY, "career_sites").__enter__(),
    ]
    for call in calls:
        with pytest.raises(StoreError, match=fake.AWAY):
            call()


def test_an_error_is_one_line_without_a_signature() -> None:
    long = "Error performing GET https://a.blob.core.windows.net/c?sig=a-secret&se=1 in 1ms\n\nMore"
    with pytest.raises(StoreError) as error, store_errors("s3://a/b"):
        raise ValueError(long)
    assert error.value.why == "Error performing GET https://a.blob.core.windows.net/c in 1ms"
