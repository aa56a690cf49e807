"""The archive in a bucket: which requests are sent, and what becomes of those that fail."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.patience import patient
from tap_jobo.archive import bucket as module
from tap_jobo.archive import layout, open_store
from tap_jobo.archive.store import ExistsError, Store, StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tests.support import Tap
from tests.support.archives import Files, files_at
from tests.support.odd_tap import short_waits
from tests.support.s3 import S3, Weather

pytestmark = pytest.mark.slow

PAGE = layout.page_name("host-live-0a/career_sites", 1)


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path, s3: S3) -> Tap:
    return Tap(sandbox, tmp_path, {"archive_dir": s3.url}, oddities={"TEST_WAITS": "short"})


@pytest.fixture
def files(s3: S3) -> Files:
    return files_at(s3.url)


# What a run sends


def test_a_page_takes_two_requests_and_a_load_one(tap: Tap, weather: Weather) -> None:
    """It is written, and nothing above it may exist. The last page is read when a load opens."""
    tap.succeed(batch_size=10)
    names = [f"{number:09}.page" for number in range(1, 13)]
    ours = [(method, path) for method, path in weather.requests if path.endswith(".page")]
    assert [path.rsplit("/", 1)[-1] for method, path in ours if method == "PUT"] == names
    assert [path.rsplit("%2F", 1)[-1] for method, path in ours if method == "GET"] == names
    weather.requests.clear()
    assert tap.succeed().loaded == 120
    read = Counter(path.rsplit("/", 1)[-1] for _, path in weather.requests if ".page" in path)
    first, *others, last = names
    assert read[first] == 3  # its header says what its buyer had, in each of two looks
    assert {read[name] for name in others} == {1}  # though versions of rows are found before
    assert read[last] <= 4


def test_no_log_tells_the_secret_of_the_bucket(tap: Tap, s3: S3) -> None:
    run = tap.succeed(env={"LOGLEVEL": "DEBUG"})
    assert run.lines("DEBUG")
    assert s3.env["AWS_SECRET_ACCESS_KEY"] not in run.stdout + run.stderr


def test_a_loader_needs_only_to_list_and_read(tap: Tap, files: Files, weather: Weather) -> None:
    tap.succeed("--buy")
    before = files.copy()
    weather.decide = lambda method, _: "" if method in {"GET", "HEAD"} else "403"
    run = tap.succeed(max_credits=0)
    assert (len(run.ids), run.lines("WARNING"), run.lines("ERROR")) == (120, [], [])
    assert files.copy() == before
    tap.succeed(max_credits=0, state=run.state)
    tap.fail("--buy", code="archive-unusable", country_codes=["DE"], on_filter_change="resync")


# One run at a time


def test_a_run_above_whose_page_another_one_has_written_ends(
    tap: Tap, files: Files, weather: Weather
) -> None:
    """As the later one of two that the lease failed to keep apart."""

    def decide(method: str, path: str) -> str:
        if method == "PUT" and "000000002.page" in path:
            files.store.replace(files.pages[0].replace("000000001", "000000003"), b"another run's")
        return ""

    weather.decide = decide
    run = tap.fail(code="run-in-progress")
    assert len(run.ids) == 50
    assert len(tap.sandbox.feed_requests) == 2


# A store that does not answer


def test_a_page_that_is_refused_costs_one_page_however_often_it_is_tried(
    tap: Tap, weather: Weather
) -> None:
    """As by a policy that permits the lease, but no page."""
    refused, state = "/000000002.page", None

    def decide(method: str, path: str) -> str:
        return "403" if method == "PUT" and refused in path else ""

    weather.decide = decide
    for _ in range(3):
        state = tap.fail(code="archive-unusable", state=state).state
        assert tap.sandbox.rows_billed == 100
        refused = "/000000/"
    weather.decide = lambda *_: ""
    assert len(tap.succeed(state=state).ids) == 70


def test_a_page_whose_responses_were_lost_is_found_by_the_next_run(
    tap: Tap, files: Files, weather: Weather
) -> None:
    def decide(method: str, path: str) -> str:
        if "000000002.page" not in path or "list-type" in path:
            return ""
        return "lost" if method == "PUT" else "503"

    weather.decide = decide
    run = tap.fail(code="archive-unusable")
    assert (len(run.ids), files.page_numbers) == (50, [1, 2])
    weather.decide = lambda *_: ""
    again = tap.succeed(state=run.state)
    assert again.loaded == 50
    assert {*run.ids, *again.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120


def test_no_request_is_sent_once_a_wait_was_longer_than_the_lease(tap: Tap) -> None:
    """As that of a machine that was suspended meanwhile: another run may go on."""
    later = replace(tap, oddities={"TEST_WAITS": "0"})
    busy = Fault(status=503, headers={"Retry-After": "100"})
    later.sandbox.faults.add(busy, endpoint="career_sites", on=2)
    run = later.run()
    assert "not be renewed" in run.complaint
    assert run.progress["rows"] == len(run.ids) == later.sandbox.rows_billed == 50


# Which requests the store sends, and what becomes of those that fail


@pytest.fixture(autouse=True)
def _short_waits() -> Iterator[None]:
    with short_waits():
        yield


def opened(url: str) -> Store:
    return open_store(url, Clock())


@pytest.fixture
def store(s3: S3, weather: Weather) -> Store:  # noqa: ARG001 - which is in its environment
    return opened(s3.url)


def methods(weather: Weather) -> list[str]:
    """The methods of all requests so far."""
    return [method for method, _ in weather.requests]


@pytest.mark.parametrize(
    ("failure", "sent"),
    [("lost", ["PUT", "GET"]), *((each, ["PUT", "GET", "PUT"]) for each in ("409", "black hole"))],
)
def test_a_page_whose_write_fails_is_looked_up_before_it_is_written_again(
    store: Store, weather: Weather, failure: str, sent: list[str]
) -> None:
    """With 409, S3 says that another request was in progress, not that the name is taken."""
    weather.decide = lambda *_: failure if methods(weather) == ["PUT"] else ""
    store.create(PAGE, b"ours")
    assert methods(weather) == sent
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


def test_a_bucket_that_does_not_exist_is_named(store: Store) -> None:  # noqa: ARG001 - a server
    with pytest.raises(StoreError, match=r"\[archive-unusable\]") as error:
        opened("s3://no-such-bucket").list(layout.TOP)
    assert " s3://no-such-bucket " in error.value.fact
    assert "NoSuchBucket" in str(error.value)


def test_an_endpoint_without_tls_must_be_allowed(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(StoreError, match="AWS_ALLOW_HTTP=true"):
        opened(s3.url).list(layout.TOP)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "obstore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "tap_jobo.archive.bucket")
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
