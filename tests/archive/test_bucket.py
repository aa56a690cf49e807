"""The store in a bucket: which requests it sends, and what becomes of those that fail."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jobo_sandbox.patience import patient
from tap_jobo.archive import bucket as module
from tap_jobo.archive import layout, open_store
from tap_jobo.archive.store import ExistsError, Store, StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tests.support.loggers import LOGGER
from tests.support.s3 import S3, Weather

KEY = "host-live-0a/career_sites"
PAGE = layout.page_name(KEY, 1)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for waits in (module._WAITS, module._WAITS_OF_PAGES):
        for name in waits:
            monkeypatch.setitem(waits, name, f"{patient(500):.0f}ms")
    backoff: Any = dict.fromkeys(module._RETRIES["backoff"], timedelta(milliseconds=20))
    monkeypatch.setitem(module._RETRIES, "backoff", backoff)


def opened(url: str) -> Store:
    return open_store(url, Clock(), LOGGER)


@pytest.fixture
def store(s3: S3, weather: Weather) -> Store:  # noqa: ARG001 - which is in its environment
    return opened(s3.url)


def methods(weather: Weather) -> list[str]:
    """The methods of all requests so far."""
    return [method for method, _ in weather.requests]


def test_each_call_is_one_request(store: Store, weather: Weather) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.create(PAGE, b"page"),
        lambda: store.read(PAGE),
        lambda: store.read(PAGE, 3),
        lambda: store.replace(PAGE, b"another"),
        lambda: store.list(f"v4/{KEY}", PAGE),
        lambda: store.remove([PAGE]),
    ]
    for call in calls:
        call()
    assert methods(weather) == ["PUT", "GET", "GET", "PUT", "GET", "POST"]
    assert store.is_remote


def test_a_listing_begins_at_its_offset(store: Store, weather: Weather) -> None:
    """Otherwise, each thousand of a large archive would be a request in every run."""
    for number in range(1, 4):
        store.create(layout.page_name("key", number), b"")
    weather.requests.clear()
    assert store.list("v4/key", layout.page_name("key", 2)) == [layout.page_name("key", 3)]
    ((_, path),) = weather.requests
    assert path.endswith("&start-after=pipelines%2Fjobo%2Fv4%2Fkey%2F000000%2F000000002.page")


def test_a_page_whose_response_was_lost_is_created_once(store: Store, weather: Weather) -> None:
    weather.decide = lambda method, _: "lost" if method == "PUT" else ""
    store.create(PAGE, b"ours")
    assert methods(weather) == ["PUT", "GET"]  # it is looked up, not written again
    with pytest.raises(ExistsError):
        store.create(PAGE, b"another")
    assert store.read(PAGE) == b"ours"


@pytest.mark.parametrize("failure", ["409", "black hole"])
def test_a_page_is_written_with_a_second_request(
    store: Store, weather: Weather, failure: str
) -> None:
    """With 409, S3 says that another request was in progress, not that the name is taken."""
    weather.decide = lambda *_: failure if methods(weather) == ["PUT"] else ""
    store.create(PAGE, b"ours")
    assert methods(weather) == ["PUT", "GET", "PUT"]
    weather.decide = lambda method, _: failure if method == "PUT" else ""
    with pytest.raises(ExistsError):
        store.create(PAGE, b"another")
    assert store.read(PAGE) == b"ours"


def test_a_page_that_is_refused_twice_is_an_error(store: Store, weather: Weather) -> None:
    weather.decide = lambda method, _: "409" if method == "PUT" else ""
    with pytest.raises(StoreError):
        store.create(PAGE, b"ours")
    assert methods(weather) == ["PUT", "GET", "PUT", "GET"]
    assert store.list("v4") == []


def test_a_page_may_take_longer_than_any_other_request(
    s3: S3, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is large, it has been billed, and the uplink may be slow."""
    monkeypatch.setitem(module._WAITS_OF_PAGES, "timeout", f"{patient(20):.0f}s")

    def decide(method: str, _: str) -> str:
        time.sleep(patient(1) if method == "PUT" else 0)  # another one takes half of that at most
        return ""

    weather.decide = decide
    opened(s3.url).create(PAGE, b"ours")
    assert methods(weather) == ["PUT"]


def test_a_write_that_is_refused_four_times_succeeds(store: Store, weather: Weather) -> None:
    """Google asks those who write an object more often to slow down."""
    refused: list[str] = []

    def decide(method: str, path: str) -> str:
        if method == "PUT" and len(refused) < 4:
            refused.append(path)
            return "429"
        return ""

    weather.decide = decide
    store.replace(layout.PENDING.format("key"), b"")
    assert len(refused) == 4
    assert store.list(layout.PENDING_FOLDER) == [layout.PENDING.format("key")]


@pytest.mark.parametrize("failure", ["403", "black hole"])
def test_a_store_that_does_not_respond_is_an_error(
    store: Store, weather: Weather, s3: S3, failure: str
) -> None:
    weather.decide = lambda *_: failure
    calls: list[Callable[[], object]] = [
        lambda: store.create(PAGE, b""),
        lambda: store.lock("key", "career_sites").__enter__(),
    ]
    for call in calls[: 1 if failure == "black hole" else None]:
        with pytest.raises(StoreError) as error:
            call()
        assert f" {s3.url} can't be used (" in error.value.fact
        assert "[archive-unusable]" in str(error.value)
        assert str(error.value).replace("\n", "").isprintable()


def test_a_bucket_that_does_not_exist_is_named(store: Store) -> None:  # noqa: ARG001 - a server
    with pytest.raises(StoreError, match=r"does not exist\)\. \[archive-unusable\]") as error:
        opened("s3://no-such-bucket").list(layout.TOP)
    assert " s3://no-such-bucket " in error.value.fact
    assert "Create it" in str(error.value)
    assert "NoSuchBucket" in str(error.value)


def test_an_endpoint_without_tls_must_be_allowed(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(StoreError, match="set AWS_ALLOW_HTTP=true"):
        opened(s3.url).list(layout.TOP)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "obstore"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("tap_jobo.archive.bucket", "tap_jobo.archive.lease"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ArchiveError, match=r"nstall tap-jobo\[cloud\]"):
        opened("s3://bucket/prefix")
    monkeypatch.setitem(sys.modules, "tap_jobo.archive.bucket", None)  # which is not in the extra
    with pytest.raises(ModuleNotFoundError):
        opened("s3://bucket/prefix")


@pytest.mark.parametrize(
    "url",
    [
        "s3://an-id:a-secret@bucket/prefix",
        "s3://bucket?token=a-secret",
        "file:///a-secret",
        "azure://bucket/../a-secret",
    ],
)
def test_a_bad_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ArchiveError, match="s3://bucket/prefix") as error:
        opened(url)
    assert "a-secret" not in str(error.value)
