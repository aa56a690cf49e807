"""The store of pages in object storage: the names of its objects, and what waits in memory."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from tap_jobo.journal import object_store
from tap_jobo.journal.bucket import open_bucket, store_errors
from tap_jobo.journal.compression import compress
from tap_jobo.journal.object_names import note_name, page_name
from tap_jobo.journal.object_store import ObjectStore
from tap_jobo.journal.page_store import Entry, PageStore, StoreError
from tap_jobo.settings.bucket_url import parse_bucket_url
from tests.support.bucket import Bucket
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

_OWNER = "a1" * 32
_BODY = b'{"career_sites": []}' * 50


def entry(number: int = 1, **changes: Any) -> Entry:
    """A page's entry; each number is a page of its own."""
    given: dict[str, Any] = {
        "owner": _OWNER,
        "scan": "0123456789abcdef",
        "base": "",
        "replaces": "",
        "restarts": 0,
        "since": "2026-01-31T08:00:00.000001Z",
        "started_at": "2026-02-01T08:00:00.123456Z",
        "batch_size": 50,
        "number": number,
        "cursor": f"c{number}",
        "following": None,
        "rows": None,
        "credits": 2500,
        "received_at": "2026-02-01T08:00:01.000000Z",
    }
    return Entry(**(given | changes))


@pytest.fixture(params=["memory", "s3"])
def reopen(request: pytest.FixtureRequest) -> Callable[[], PageStore]:
    """What opens the same store, as each run does."""
    if request.param == "memory":
        bucket = MemoryStore()
        return lambda: ObjectStore(bucket, "memory")
    url = parse_bucket_url(request.getfixturevalue("s3").url)
    assert url
    return lambda: ObjectStore(open_bucket(url), str(url))


_UNUSUAL = {
    "of an earlier version": {"base": None, "scan": "at-20260131080000000000"},
    "a first page of everything": {"cursor": "", "since": ""},
    "a full read that started over": {"base": "full-0a", "replaces": "0b", "restarts": 1},
    "characters of every kind": {"since": "a/b.c_d%2F~é 日?#\\", "owner": "v1:../x"},
    "free": {"credits": 0, "batch_size": 1000, "number": 9_999_999},
}


@pytest.mark.parametrize("changes", _UNUSUAL.values(), ids=_UNUSUAL)
def test_a_later_run_finds_what_was_saved(
    reopen: Callable[[], PageStore], changes: dict[str, Any]
) -> None:
    page = entry(**changes)
    reopen().save(page, _BODY)
    assert reopen().entries() == [page]
    assert reopen().load(page) == _BODY


_NOTES = [
    {"following": "f2", "rows": 50, "tally": ""},
    {"following": "", "rows": 0, "tally": '{"id": 4, "listing_url": 4}'},
]


@pytest.mark.parametrize("shown", _NOTES, ids=["in the middle", "the last"])
def test_a_later_run_finds_what_reading_has_shown(
    reopen: Callable[[], PageStore], shown: dict[str, Any]
) -> None:
    store = reopen()
    store.save(entry(), _BODY)
    store.save(entry(2), _BODY)
    store.annotate(replace(entry(), **shown))
    assert reopen().entries() == [replace(entry(), **shown), entry(2)]
    assert reopen().load(replace(entry(), **shown)) == _BODY


def test_removed_pages_are_gone_and_others_are_not(reopen: Callable[[], PageStore]) -> None:
    store = reopen()
    for number in (1, 2, 3):
        store.save(entry(number), _BODY)
        store.annotate(entry(number, following="f", rows=50))
    last = reopen()
    first, second, third = last.entries()
    last.remove([first, third])
    assert reopen().entries() == [second]
    with pytest.raises(StoreError):
        reopen().load(first)


def test_pages_are_removed_by_the_run_that_saved_them(reopen: Callable[[], PageStore]) -> None:
    store = reopen()
    store.save(entry(), _BODY)
    store.annotate(entry(following="f", rows=50))
    store.remove([entry(following="f", rows=50)])
    assert reopen().entries() == []


def test_removing_twice_is_no_error(reopen: Callable[[], PageStore]) -> None:
    reopen().save(entry(), _BODY)
    one, other = reopen(), reopen()
    page, same = one.entries(), other.entries()
    one.remove(page)
    other.remove(same)
    assert reopen().entries() == []


def test_a_name_stays_short_enough_for_every_store() -> None:
    page = entry(
        scan="at-20260131080000000000",
        base=f"full-{'a' * 16}",
        replaces="b" * 16,
        cursor="c" * 24,
        following="d" * 24,
        rows=1000,
        tally='{"name": 1000, "ats": 1000, "listing_url": 1000, "id": 1000}',
    )
    # With hierarchical names, Azure allows 255 characters between two slashes.
    for name in (page_name(page), note_name(page)):
        assert len(name) < 500
        assert max(map(len, name.split("/"))) < 255


def test_a_note_too_long_for_a_name_is_not_written() -> None:
    bucket = MemoryStore()
    store = ObjectStore(bucket, "memory")
    store.save(entry(), _BODY)
    store.annotate(entry(rows=50, following="f", tally="long" * 200))
    assert ObjectStore(bucket, "memory").entries() == [entry()]


_STRANGE = [
    "pages/readme.txt",
    "pages/a/b/c.page",
    f"{page_name(entry())}2",
    page_name(entry()).replace("0000000001", "one"),
]


@pytest.mark.parametrize("name", _STRANGE)
def test_an_object_that_is_no_page_of_ours_is_an_error(name: str) -> None:
    bucket = MemoryStore()
    bucket.put(name, b"")
    with pytest.raises(StoreError, match="no page of this version"):
        ObjectStore(bucket, "memory").entries()


def test_a_note_whose_page_is_gone_goes_with_the_next_page() -> None:
    bucket = MemoryStore()
    bucket.put(note_name(entry(2, rows=1, following="")), b"")
    store = ObjectStore(bucket, "memory")
    store.save(entry(), _BODY)
    assert store.entries() == [entry()]
    store.remove([entry()])
    assert bucket.list().collect() == []


def test_a_page_of_an_earlier_version_is_read() -> None:
    bucket = MemoryStore()
    bucket.put(page_name(entry()), zlib.compress(_BODY, 1))
    assert ObjectStore(bucket, "memory").load(entry()) == _BODY


@pytest.mark.parametrize("damage", [b"", b"not compressed", compress(_BODY)[:-1]])
def test_a_damaged_page_is_an_error(damage: bytes) -> None:
    bucket = MemoryStore()
    bucket.put(page_name(entry()), damage)
    with pytest.raises(StoreError):
        ObjectStore(bucket, "memory").load(entry())


# What waits in memory


@pytest.fixture
def away() -> Bucket:
    """A bucket that cannot be reached."""
    return Bucket(FakeClock().now, is_away=True)


def on(bucket: Bucket) -> ObjectStore:
    return ObjectStore(cast("Any", bucket), "s3://a/b")


def test_what_cannot_be_written_is_written_with_the_next_page(away: Bucket) -> None:
    store = on(away)
    for number in (1, 2):
        with pytest.raises(StoreError):
            store.save(entry(number), _BODY)
    assert store.load(entry()) == _BODY
    away.is_away = False
    store.save(entry(3), _BODY)
    assert on(away).entries() == [entry(), entry(2), entry(3)]


def test_what_is_not_urgent_is_not_tried_while_pages_wait(
    away: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = on(away)
    with pytest.raises(StoreError):
        store.save(entry(), _BODY)
    with monkeypatch.context() as patched:
        patched.setattr(away, "_answer", lambda: pytest.fail("a further try takes 15 seconds"))
        for write in (
            lambda: store.annotate(entry(rows=50, following="f")),
            lambda: store.quarantine(_OWNER, [b"one", b"two"]),
            lambda: store.set_tally(_OWNER, "3"),
        ):
            with pytest.raises(StoreError, match="wait to be written"):
                write()
    away.is_away = False
    store.close()
    later = on(away)
    assert later.entries() == [entry(rows=50, following="f")]
    assert later.quarantined() == [b"one", b"two"]
    assert later.tally(_OWNER) == "3"


def test_no_more_waits_than_memory_has_room_for(
    away: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_MOST_WAITING", 60)
    store = on(away)
    for number in range(1, 9):
        with pytest.raises(StoreError):
            store.save(entry(number), bytes([number] * 20))
    away.is_away = False
    store.close()
    kept = on(away).entries()
    assert kept == [entry(number) for number in range(1, len(kept) + 1)]
    assert 0 < len(kept) < 8


def test_a_page_larger_than_the_room_is_written_all_the_same(
    away: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_MOST_WAITING", 5)
    away.is_away = False
    on(away).save(entry(), _BODY)
    assert on(away).load(entry()) == _BODY


def test_removed_pages_do_not_come_back_from_memory(away: Bucket) -> None:
    store = on(away)
    with pytest.raises(StoreError):
        store.save(entry(), _BODY)
    with pytest.raises(StoreError):
        store.remove([entry()])
    away.is_away = False
    store.remove([entry()])
    store.close()
    assert on(away).entries() == []


# Errors


def test_an_error_is_one_line_without_a_signature() -> None:
    long = "Error performing GET https://a.blob.core.windows.net/c?sig=a-secret&se=1 in 1ms\n\nMore"
    with pytest.raises(StoreError) as error, store_errors():
        raise GenericError(long)
    assert str(error.value) == "Error performing GET https://a.blob.core.windows.net/c in 1ms"
