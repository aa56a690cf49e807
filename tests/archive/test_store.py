"""What every store does, whatever it is made of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from obstore.store import MemoryStore

from tap_jobo.archive.bucket import Bucket, open_bucket
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.lease import store_errors
from tap_jobo.archive.store import ExistsError, Lock, MissingError, Store, StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tests.support import bucket as fake
from tests.support.clock import FakeClock
from tests.support.loggers import LOGGER

Opens = Callable[[], Store]
"""Opens the store anew, as another process does later."""

PAGE = "v2/career_sites-0a/000001/000001.page"


@pytest.fixture(params=["folder", "memory", "azure", "s3", "gs"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Opens:
    """A new store needs its name above, and a line in `kinds`."""
    memory = MemoryStore()
    azure: Any = fake.Bucket(Clock().now)

    def in_bucket() -> Store:
        url = f"{request.param}://archives{tmp_path}"
        return Bucket(open_bucket(url), url, Clock(), LOGGER)

    kinds: dict[str, tuple[str, Opens]] = {
        "folder": ("", lambda: Folder(tmp_path / "archive")),
        "memory": ("", lambda: Bucket(memory, "memory", Clock(), LOGGER)),
        "azure": ("", lambda: Bucket(azure, "azure", Clock(), LOGGER)),
        "s3": ("s3", in_bucket),
        "gs": ("gcs", in_bucket),
    }
    server, opens = kinds[request.param]
    if server:
        request.getfixturevalue(server)
    return opens


@pytest.fixture
def store(opens: Opens) -> Store:
    return opens()


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.list("v2") == []
    with pytest.raises(MissingError):
        store.read(PAGE)
    store.remove([PAGE])
    store.remove([])


def test_what_is_created_lasts(opens: Opens) -> None:
    content = b'{"a":\n"\\u0000 \xff"}'
    opens().create(PAGE, content)
    opens().create("v2/career_sites-0a/000002/sync.json", b"")
    later = opens()
    assert later.read(PAGE) == content
    assert [later.read(PAGE, size) for size in (1, 3, 1_000)] == [content[:1], content[:3], content]
    assert sorted(later.list("v2")) == [PAGE, "v2/career_sites-0a/000002/sync.json"]
    assert later.list("v2/career_sites-0a/000001") == [PAGE]
    assert later.list("v2/career_sites") == []


def test_a_name_is_taken_once_but_may_be_retried(opens: Opens) -> None:
    """A client that has lost the response does not know that it succeeded."""
    for _ in range(2):
        opens().create(PAGE, b"first")
    with pytest.raises(ExistsError):
        opens().create(PAGE, b"second")
    assert opens().read(PAGE) == b"first"


def test_a_small_file_is_replaced(opens: Opens) -> None:
    for content in (b"a", b"bb", b""):
        opens().replace("v2/career_sites-0a/completed.json", content)
        assert opens().read("v2/career_sites-0a/completed.json") == content
    assert opens().list("v2") == ["v2/career_sites-0a/completed.json"]


def test_what_is_removed_is_gone_and_the_rest_is_not(opens: Opens) -> None:
    others = [f"v2/key/000001/{number:06}.page" for number in range(1, 5)]
    for name in (*others, PAGE):
        opens().create(name, b"page")
    for names in (others[1:2], others[1:], others[1:]):  # as two who remove the same
        opens().remove(names)
    assert sorted(opens().list("v2")) == [PAGE, others[0]]
    opens().create(others[2], b"another")


def test_a_folder_that_is_empty_is_removed(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    for name in (PAGE, "v2/career_sites-0a/key.json"):
        store.create(name, b"")
    store.remove([PAGE])
    assert [path.name for path in tmp_path.glob("v2/*/*")] == ["key.json"]


def test_files_are_removed_in_their_order(tmp_path: Path) -> None:
    store, names = Folder(tmp_path), [f"v2/key/000001/{number}.page" for number in (3, 2, 1)]
    for name in names[::2]:
        store.create(name, b"")
    (tmp_path / names[1]).mkdir()  # which is no file to remove
    with pytest.raises(StoreError):
        store.remove(names)
    assert store.list("v2") == [names[2]]


def test_the_last_object_is_removed_after_all_others() -> None:
    requests: list[list[str]] = []
    bucket: Any = Mock(delete=requests.append)
    Bucket(bucket, "s3://a/b", Clock(), LOGGER).remove(["1.page", "2.page", "sync.json"])
    assert requests == [["1.page", "2.page"], ["sync.json"]]


def test_a_run_keeps_others_of_its_key_out_until_it_ends(opens: Opens) -> None:
    def run_of(key: str) -> Lock:
        return opens().run_lock(key, "career_sites", refuse_to_wait)

    def refuse_to_wait(_: float) -> None:
        raise ArchiveError("A run that has to wait does not have the lock.")

    opens().replace("v2/career_sites-0a/key.json", b"{}")  # as each run does before
    with run_of("career_sites-0a") as check, run_of("jobs-0a"):
        check()
        for other in (run_of("career_sites-0a"), opens().exclusive_lock()):
            with pytest.raises(ArchiveError), other:
                pass
    with opens().exclusive_lock():
        pass
    with run_of("career_sites-0a") as check:
        check()


@pytest.mark.usefixtures("s3")
def test_a_bucket_holds_archives_at_several_prefixes() -> None:
    urls = ("s3://archives/first/a", "s3://archives/second")
    first, second = (Bucket(open_bucket(url), url, Clock(), LOGGER) for url in urls)
    first.create(PAGE, b"page")
    assert (first.list("v2"), second.list("v2")) == ([PAGE], [])


def test_a_bucket_without_an_account_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE")]:
        monkeypatch.delenv(name)
    with pytest.raises(ArchiveError, match="azure://archives/a cannot be opened"):
        open_bucket("azure://archives/a")


def test_a_bucket_out_of_reach_is_an_error() -> None:
    away: Any = fake.Bucket(FakeClock().now, is_away=True)
    store = Bucket(away, "s3://a/b", Clock(), LOGGER)
    calls: list[Callable[[], object]] = [
        lambda: store.list("v2"),
        lambda: store.read(PAGE),
        lambda: store.create(PAGE, b""),
        lambda: store.replace(PAGE, b""),
        lambda: store.remove([PAGE]),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="no route to the store"):
            call()


def test_an_error_is_one_line_without_a_signature() -> None:
    long = "Error performing GET https://a.blob.core.windows.net/c?sig=a-secret&se=1 in 1ms\n\nMore"
    with pytest.raises(StoreError) as error, store_errors("s3://a/b"):
        raise ValueError(long)
    assert error.value.why == "Error performing GET https://a.blob.core.windows.net/c in 1ms"
