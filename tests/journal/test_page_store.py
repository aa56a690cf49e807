"""What every store of pages does, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from obstore.store import MemoryStore

from tap_jobo.journal.bucket import open_bucket
from tap_jobo.journal.object_store import ObjectStore
from tap_jobo.journal.page_store import Entry, NoStore, PageStore, StoreError, summary
from tap_jobo.journal.sqlite import SqliteStore
from tap_jobo.settings.bucket_url import parse_bucket_url
from tests.journal.helpers import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Opens = Callable[[], PageStore]
"""Opens the store anew, as another process does later."""

_BUCKETS: dict[Path, MemoryStore] = {}


def _in_memory(folder: Path) -> PageStore:
    return ObjectStore(_BUCKETS.setdefault(folder, MemoryStore()), f"memory:{folder}")


def _in_s3(folder: Path) -> PageStore:
    return _in_bucket(f"s3://journals{folder}")


def _in_gcs(folder: Path) -> PageStore:
    return _in_bucket(f"gs://journals{folder}")


def _in_bucket(text: str) -> PageStore:
    url = parse_bucket_url(text)
    assert url
    return ObjectStore(open_bucket(url), str(url))


STORES: dict[str, Callable[[Path], PageStore]] = {
    "sqlite": SqliteStore,
    "memory": _in_memory,
    "s3": _in_s3,
    "gcs": _in_gcs,
}
"""Each kind of store, opened for a folder of the test's. A new store needs one line here."""

SECOND = replace(
    PAGE,
    base="before",
    replaces="dead",
    restarts=1,
    since="2025-12-31T00:00:00.000000Z",
    number=2,
    cursor="c1",
    following="c2",
    rows=50,
    tally='{"id": 2}',
)


@pytest.fixture(params=STORES)
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opens]:
    opened: list[PageStore] = []
    if request.param in ("s3", "gcs"):
        request.getfixturevalue(request.param)

    def open_() -> PageStore:
        opened.append(STORES[request.param](tmp_path / "journal"))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(opens: Opens) -> PageStore:
    return opens()


def test_a_new_store_is_empty(store: PageStore) -> None:
    assert store.entries() == []
    assert store.quarantined() == []
    assert store.tally("owner") == ""
    assert store.drop_quarantined() == 0


def test_a_page_is_read_as_it_was_saved(store: PageStore) -> None:
    body = b'{"a":\n"\\u0000 \xff"}'
    store.save(PAGE, body)
    store.save(SECOND, b"")
    assert store.entries() == [PAGE, SECOND]
    assert store.load(PAGE) == body
    assert store.load(SECOND) == b""


def test_a_page_lasts(opens: Opens) -> None:
    first = opens()
    first.save(PAGE, b"body")
    first.quarantine("owner", [b"row"])
    first.set_tally("owner", "3")
    first.close()
    store = opens()
    assert store.entries() == [PAGE]
    assert store.load(PAGE) == b"body"
    assert store.quarantined() == [b"row"]
    assert store.tally("owner") == "3"


def test_another_process_sees_a_page_at_once(opens: Opens) -> None:
    store, other = opens(), opens()
    store.save(PAGE, b"body")
    assert other.load(PAGE) == b"body"
    other.save(SECOND, b"second")
    assert store.entries() == [PAGE, SECOND]


def test_pages_are_listed_by_their_numbers(store: PageStore) -> None:
    pages = [replace(PAGE, number=n, cursor=f"c{n}", scan=f"s{n % 3}") for n in (3, 11, 1, 2)]
    for page in pages:
        store.save(page, b"body")
    assert [page.number for page in store.entries()] == [1, 2, 3, 11]


def test_a_page_that_is_saved_again_is_replaced(store: PageStore) -> None:
    store.save(PAGE, b"old")
    again = replace(PAGE, number=5, received_at="2026-01-02T00:00:00.000000Z")
    store.save(again, b"new")
    assert store.entries() == [again]
    assert store.load(again) == b"new"


def test_a_page_that_is_not_there_cannot_be_loaded(store: PageStore) -> None:
    store.save(PAGE, b"body")
    for other in (SECOND, replace(PAGE, owner="other"), replace(PAGE, scan="other")):
        with pytest.raises(StoreError):
            store.load(other)


def test_a_page_is_annotated_with_what_was_read(store: PageStore) -> None:
    store.save(PAGE, b"body")
    store.save(SECOND, b"second")
    noted = replace(PAGE, following="", rows=20, tally='{"id": 3}')
    store.annotate(noted)
    assert store.entries() == [noted, SECOND]
    assert store.load(noted) == b"body"


def test_pages_are_removed(opens: Opens) -> None:
    store = opens()
    third = replace(PAGE, number=3, cursor="c2")
    for page in (PAGE, SECOND, third):
        store.save(page, b"body")
    store.remove([PAGE, third])
    assert store.entries() == [SECOND]
    assert opens().entries() == [SECOND]
    with pytest.raises(StoreError):
        store.load(PAGE)


def test_the_removal_of_nothing_removes_nothing(store: PageStore) -> None:
    store.save(PAGE, b"body")
    store.remove([])
    store.remove([SECOND])
    assert store.entries() == [PAGE]


def test_pages_get_another_owner(store: PageStore) -> None:
    others = replace(PAGE, owner="third", scan="s2", number=3)
    for page in (PAGE, SECOND, others):
        store.save(page, page.cursor.encode())
    store.rename_owner("owner", "new")
    renamed = [replace(PAGE, owner="new"), replace(SECOND, owner="new")]
    assert store.entries() == [*renamed, others]
    assert [store.load(page) for page in renamed] == [b"", b"c1"]


def test_the_same_row_is_quarantined_once(store: PageStore) -> None:
    assert store.quarantine("owner", [b"one", b"two", b"one"]) == 2
    assert store.quarantine("owner", [b"two", b"three"]) == 1
    assert store.quarantined() == [b"one", b"two", b"three"]


def test_quarantined_rows_have_owners(store: PageStore) -> None:
    assert store.quarantine("owner", [b"one"]) == 1
    assert store.quarantine("other", [b"one", b"two"]) == 2
    assert store.quarantined("owner") == [b"one"]
    assert store.quarantined("other") == [b"one", b"two"]
    assert store.quarantined("nobody") == []


def test_quarantined_rows_outlive_pages(store: PageStore) -> None:
    store.save(PAGE, b"body")
    store.quarantine("owner", [b"one"])
    store.remove([PAGE])
    assert store.quarantined() == [b"one"]


def test_quarantined_rows_are_dropped_alone(store: PageStore) -> None:
    store.save(PAGE, b"body")
    store.quarantine("owner", [b"one", b"two"])
    assert store.drop_quarantined() == 2
    assert store.quarantined() == []
    assert store.entries() == [PAGE]


def test_a_tally_is_kept_for_each_owner(store: PageStore) -> None:
    store.set_tally("owner", "1")
    store.set_tally("other", "2")
    store.set_tally("owner", "3")
    assert [store.tally(owner) for owner in ("owner", "other", "nobody")] == ["3", "2", ""]


def test_a_store_tells_its_place(store: PageStore, tmp_path: Path) -> None:
    assert str(tmp_path) in store.place


# The store that keeps nothing


def test_no_store_keeps_nothing() -> None:
    store = NoStore()
    store.save(PAGE, b"body")
    store.set_tally("owner", "1")
    assert store.quarantine("owner", [b"row"]) == 0
    assert (store.entries(), store.quarantined(), store.tally("owner")) == ([], [], "")
    with pytest.raises(StoreError):
        store.load(PAGE)


def test_a_page_is_named_by_its_scan_and_number() -> None:
    assert SECOND.name == "scan.2"


@pytest.mark.parametrize(
    ("pages", "text"),
    [
        ([SECOND], "1 page (50 rows, worth $2.50)"),
        ([PAGE, SECOND], "2 pages (50 rows, worth $5.00)"),
        ([replace(SECOND, rows=1_000)] * 1_000, "1,000 pages (1,000,000 rows, worth $2,500.00)"),
    ],
)
def test_pages_are_summed_up(pages: list[Entry], text: str) -> None:
    assert summary(pages) == text
