"""The archive in a bucket: what survives when nothing of the machine does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tap_jobo.archive.page import decode_page
from tests.archive.helpers import replayed, succeeded
from tests.support import Run, Tap, complaint, error_code, execute
from tests.support.crash import (
    cut_in_request,
    finish,
    rows_billed_twice,
    run_meanwhile,
    wait_for,
)
from tests.support.process import environment
from tests.support.s3 import S3, Weather, serve_in_weather
from tests.support.systems import need_sizes
from tests.support.target import Target

pytestmark = pytest.mark.slow


class Container(Tap):
    """The tap in a container: what it leaves on disk, the next one does not see."""

    def command(self, *args: str, **given: Any) -> list[str]:
        self.folder = Path(tempfile.mkdtemp(dir=self.folder.parent))
        return super().command(*args, **given)


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path, s3: S3) -> Container:
    oddities = {"TEST_WAITS": "short"}
    return Container(sandbox, tmp_path / "container", {"archive_dir": s3.url}, oddities=oddities)


@pytest.fixture
def later(tap: Container) -> Container:
    """One that does not wait for the lease of a killed run: its clock is put forward instead."""
    return replace(tap, oddities={"TEST_WAITS": "none"})


@pytest.fixture
def weather(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Weather]:
    with serve_in_weather() as (same, weather):
        assert same.url == s3.url
        for name, value in same.env.items():
            monkeypatch.setenv(name, value)
        yield weather


def pages(s3: S3) -> list[str]:
    return [key for key in s3.keys if key.endswith(".page")]


# What survives


def test_three_destroyed_containers_cost_the_pages_in_flight(later: Container) -> None:
    rng = Random(3)
    with Sandbox(size=3_000, seed=6) as sandbox:
        tap = replace(later, sandbox=sandbox)
        target = Target()
        for request in (9, 13, 11):
            run = cut_in_request(tap, request, state=target.state)
            target.receive(run.messages, states_lost=rng.randint(1, 4))
        last = tap.run(state=target.state)
        assert replayed(last) > 0
        target.receive(last.messages)
        assert target.rows.keys() == sandbox.world.rows().keys()
        assert rows_billed_twice(sandbox) == 3 * 50
        tap.run(state=target.state)
        assert rows_billed_twice(sandbox) == 3 * 50


def test_a_page_takes_two_requests_and_a_resumption_one_listing(
    tap: Container, later: Container, weather: Weather
) -> None:
    cut_in_request(tap, 3, billed=False)
    requests = [
        (method, path.rsplit("/", 1)[-1]) for method, path in weather.requests if "/000001/" in path
    ]
    assert requests[1:] == [
        ("PUT", "000001.page"),
        ("GET", "sync.json"),
        ("PUT", "000002.page"),
        ("GET", "sync.json"),
    ]
    weather.requests.clear()
    assert replayed(later.run()) == 100
    listings = [path for _, path in weather.requests if "list-type" in path]
    assert [path[-5:] for path in listings] == ["v1%2F", "v2%2F", "nt%2F"]
    read = [path for method, path in weather.requests if method == "GET" and ".page" in path]
    assert len(read) == 3  # each page, and before that the header of the last one


def test_a_request_with_a_monthly_limit_lists_only_the_counts(
    tap: Container, weather: Weather
) -> None:
    succeeded(tap.run(batch_size=10, max_credits_per_month=10**6))
    listings = [path for _, path in weather.requests if "list-type" in path]
    archive = [path for path in listings if path.endswith("v2%2F")]
    assert len(archive) == 3  # at the start, once the sync is begun, and after its first page
    counts = [path for path in listings if path.endswith("v2%2Fspent%2F")]
    assert len(counts) >= 12


def test_nothing_in_the_bucket_or_log_tells_a_secret(tap: Container, s3: S3) -> None:
    key = tap.sandbox.api_key
    tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())), name=f"{key} Inc.")
    run = tap.succeed(env={"LOGLEVEL": "DEBUG"})
    objects = {name: s3.get(name) for name in s3.keys}
    assert all(objects.values())
    bodies = [decode_page(s3.get(name)).body for name in pages(s3)]
    assert any(b"[api_key] Inc." in body for body in bodies)
    for secret in (key.encode(), s3.env["AWS_SECRET_ACCESS_KEY"].encode()):
        assert secret not in f"{run.stdout}{run.stderr}{objects.keys()}".encode()
        assert not any(secret in content for content in (*objects.values(), *bodies))


# One run at a time


def test_a_page_is_in_the_bucket_before_its_records_and_a_second_run_is_refused(
    tap: Container, s3: S3
) -> None:
    def run_second(first: subprocess.Popen[str]) -> None:
        assert len(pages(s3)) == 1
        line = complaint(tap.run())
        assert "Another run of career_sites in s3://archives/pipelines/jobo" in line
        assert f"(process {first.pid} on " in line
        assert len(tap.sandbox.feed_requests) == 2

    run = succeeded(run_meanwhile(tap, run_second))
    assert len(pages(s3)) == 3
    assert tap.run(state=run.state).returncode == 0
    assert len(pages(s3)) == 1  # what that run fetched: the rest was acknowledged


def test_a_run_that_was_stopped_leaves_no_lease(tap: Container) -> None:
    cut = cut_in_request(tap, 2, signal.SIGTERM)
    again = succeeded(tap.run(state=cut.state))
    assert "Waiting for" not in again.stderr


def test_a_signal_ends_the_wait_for_a_lease(tap: Container, later: Container) -> None:
    cut_in_request(later, 2, billed=False)
    requests = len(tap.sandbox.feed_requests)
    process = tap.start()
    assert process.stderr
    assert any("Waiting for up to" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    run, _ = finish(process, [])
    assert run.returncode == 128 + signal.SIGTERM
    assert "Stopped by signal 15" in run.stderr
    assert len(tap.sandbox.feed_requests) == requests


def test_a_paused_run_stops_once_another_has_its_lease(
    tap: Container, later: Container, weather: Weather
) -> None:
    def run_other(paused: subprocess.Popen[str]) -> None:
        paused.send_signal(signal.SIGSTOP)
        assert replayed(later.run()) == 50
        billed.append(tap.sandbox.rows_billed)
        learn_of_the_loss(paused, weather)

    billed: list[int] = []
    run = run_meanwhile(tap, run_other)
    # The page in flight is the other run's: the fence finds it before the lease is looked at.
    assert "it has written v2/career_sites-" in complaint(run)
    assert tap.sandbox.rows_billed == billed[0] + 50
    assert run.bookmark["sync"]["rows"] == 50


def test_a_paused_run_leaves_its_sync_to_the_run_that_goes_on_with_it(
    tap: Container, later: Container, weather: Weather
) -> None:
    """Though neither has a page of it yet."""
    need_sizes()
    state = tap.succeed(max_credits=2_500, archive=False).state
    hold = Hold()
    tap.sandbox.faults.add(Fault(hold=hold, status=403), on=2)
    paused = tap.start(state=state)
    hold.wait(30)
    paused.send_signal(signal.SIGSTOP)

    def let_it_end(_: object) -> None:
        learn_of_the_loss(paused, weather)
        hold.release()
        run, _ = finish(paused, [])
        assert error_code(run) == "access-denied"

    other = run_meanwhile(later, let_it_end, state=state, on=3)
    assert len(succeeded(other).ids) == 70


def learn_of_the_loss(paused: subprocess.Popen[str], weather: Weather) -> None:
    """Wake a run up, and wait until it knows that another one has its lease."""
    weather.requests.clear()
    paused.send_signal(signal.SIGCONT)
    # It asks again and again; once it has asked a third time, it knows the first answers.
    wait_for(lambda: [m for m, path in weather.requests if "/leases/" in path].count("GET") > 2)


# A store that does not answer


@pytest.mark.parametrize(("failure", "requests"), [("503", "list-type"), ("black hole", "")])
def test_a_store_out_of_reach_ends_a_run_before_it_costs(
    tap: Container, weather: Weather, failure: str, requests: str
) -> None:
    weather.decide = lambda _, path: failure if requests in path else ""
    line = tap.refuse()
    assert "The archive s3://archives/pipelines/jobo cannot be used" in line


def test_a_count_that_is_refused_four_times_ends_no_run(tap: Container, weather: Weather) -> None:
    """Google asks those who write an object more often to slow down."""
    refused: list[str] = []

    def decide(method: str, path: str) -> str:
        if method == "PUT" and "/spent/" in path and len(refused) < 4:
            refused.append(path)
            return "429"
        return ""

    weather.decide = decide
    run = succeeded(tap.run(max_credits_per_month=10**6))
    assert len(refused) == 4
    assert len(run.ids) == tap.sandbox.rows_billed == 120


def test_a_sync_that_cannot_be_marked_as_ended_is_ended_again(
    tap: Tap, weather: Weather, s3: S3
) -> None:
    """A later run sees from the pages of the archive that they repeat."""
    tap.sandbox.wraps_after = 1
    weather.decide = lambda method, path: (
        "503" if method == "PUT" and path.endswith("sync.json") and pages(s3) else ""
    )
    first = tap.run()
    assert "10 pages in a row" in complaint(first)
    billed = tap.sandbox.rows_billed
    weather.decide = lambda *_: ""
    assert "10 pages in a row" in complaint(tap.run(state=first.state))
    assert "An earlier run ended" in complaint(tap.run(state=first.state))
    assert tap.sandbox.rows_billed == billed


@pytest.mark.parametrize("failure", ["503", "black hole"])
def test_a_run_that_cannot_renew_its_lease_ends_between_pages(
    tap: Container, later: Container, weather: Weather, failure: str
) -> None:
    refused: Counter[str] = Counter()

    def decide(method: str, path: str) -> str:
        if "/leases/" in path:
            return failure
        if method == "PUT" and ".page" in path and refused[path] < 3:
            refused[path] += 1
            return "503"  # so that each page takes a while
        return ""

    def break_off(entry: Any) -> None:
        if entry.number == 3:
            weather.decide = decide

    tap.sandbox.before_page = break_off
    tap.oddities["TEST_LEASE"] = "2"
    run = tap.run(batch_size=2)
    weather.decide = lambda *_: ""
    assert "could not be renewed in time" in complaint(run)
    assert run.bookmark["sync"]["rows"] == len(run.ids) == tap.sandbox.rows_billed
    assert len(run.ids) < 120
    rest = succeeded(later.run(state=run.state))
    assert {*run.ids, *rest.ids} == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 0


def test_a_page_that_is_refused_is_delivered_whatever_its_price_and_the_lease(
    tap: Container, s3: S3, weather: Weather
) -> None:
    weather.decide = lambda _, path: "403" if "000002.page" in path else ""

    def lose_lease(entry: Any) -> None:
        if entry.number == 2:
            s3.delete("leases/career_sites")
            weather.requests.clear()
            # It asks again and again; once it has asked a third time, it knows the first answers.
            wait_for(lambda: [method for method, _ in weather.requests].count("GET") > 2)

    tap.sandbox.before_page = lose_lease
    dearer = Fault(headers={"X-Credits-Deducted": "3000"})
    tap.sandbox.faults.add(dearer, endpoint="feed", on=2)
    run = tap.run()
    assert "could not be written to the archive" in complaint(run)
    assert run.bookmark["sync"]["rows"] == len(run.ids) == tap.sandbox.rows_billed == 100


def test_no_request_is_sent_once_a_wait_was_longer_than_the_lease(later: Container) -> None:
    """As that of a machine that was suspended meanwhile: another run may go on."""
    busy = Fault(status=503, headers={"Retry-After": "100"})
    later.sandbox.faults.add(busy, endpoint="feed", on=2)
    run = later.run()
    assert "could not be renewed in time" in complaint(run)
    assert run.bookmark["sync"]["rows"] == len(run.ids) == later.sandbox.rows_billed == 50


# What is said


def test_without_the_extra_the_error_says_what_to_install(sandbox: Sandbox, tmp_path: Path) -> None:
    tap = Tap(sandbox, tmp_path)
    (tmp_path / "obstore.py").write_text("raise ModuleNotFoundError(name='obstore')")
    given: dict[str, Any] = {"env": {"PYTHONPATH": str(tmp_path)}}
    assert "install tap-jobo[cloud]" in tap.refuse(**given, archive_dir="s3://bucket/prefix")
    (tmp_path / "obstore.py").write_text("import not_installed")  # which the extra would not bring
    run = tap.run(**given, archive_dir="s3://bucket/prefix")
    assert "No module named 'not_installed'" in run.stderr
    assert "tap-jobo[cloud]" not in run.stderr


@pytest.mark.parametrize(
    "url",
    [
        "s3://an-id:a-secret@bucket/prefix",
        "s3://bucket/prefix?token=a-secret",
        "file:///a-secret",
        "azure://bucket/../a-secret",
    ],
)
def test_a_bad_url_is_refused_without_being_shown(tap: Tap, url: str) -> None:
    run, listing = tap.run(archive_dir=url), archive(tap, "list", url=url)
    assert complaint(run).startswith("Setting 'archive_dir' must be ")
    assert listing.returncode == 1
    for log in (run.stderr, listing.stderr):
        assert all(scheme in log for scheme in ("s3://", "gs://", "azure://"))
        assert "a-secret" not in log


def test_a_missing_bucket_is_named(tap: Tap) -> None:
    line = complaint(tap.run(archive_dir="s3://no-such-bucket"))
    assert "s3://no-such-bucket" in line
    assert "the bucket does not exist: create it" in line


def test_an_endpoint_without_tls_must_be_allowed(tap: Tap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    assert "set AWS_ALLOW_HTTP=true" in tap.refuse()


def archive(tap: Tap, *args: str, url: str) -> Run:
    command = [sys.executable, "-m", "tap_jobo.archive", "--archive-dir", url, *args]
    return execute(command, environment(tap.folder.parent))


def test_the_command_lists_exports_and_drops(tap: Tap, s3: S3) -> None:
    first = tap.run()
    assert "3 pages, worth $6.00" in archive(tap, "list", url=s3.url).stdout
    exported = archive(tap, "export", url=s3.url).stdout.splitlines()
    rows = [row for line in exported for row in json.loads(line)["career_sites"]]
    assert [row["id"] for row in rows] == first.ids
    dropped = archive(tap, "drop", "--all", "--yes", url=s3.url)
    assert "Dropped 3 pages" in dropped.stdout, dropped.stderr
    assert pages(s3) == []
