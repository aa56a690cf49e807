"""The reader of profiles in this process, on a clock on which only waits take time."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.patience import patient
from tap_jobo.api.profiles import Profiles
from tap_jobo.api.session import ApiSession
from tap_jobo.records.converter import RecordConverter
from tap_jobo.streams.companies import SCHEMA as COMPANIES
from tests.support.client import make_client
from tests.support.clock import FakeClock
from tests.support.loggers import LOGGER

START = datetime(2026, 1, 1, 0, 0, 0, 370_000, tzinfo=UTC)


@contextlib.contextmanager
def _reader(clock: FakeClock, size: int, workers: int) -> Iterator[tuple[Sandbox, Profiles]]:
    """A sandbox on the clock, and a reader with so many workers. All of them end before it."""
    with (
        Sandbox(size=size, clock=clock.unix_time) as sandbox,
        ApiSession(sandbox.url, sandbox.api_key) as session,
    ):
        client = make_client(session, clock, workers=workers, retry_seconds=60)
        converter = RecordConverter(COMPANIES.to_dict(), LOGGER)
        yield sandbox, Profiles(client=client, converter=converter, logger=LOGGER)
        for worker in _workers():
            worker.join(patient(10))
            assert not worker.is_alive()


def _workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "(_work)" in thread.name]


def _read(profiles: Profiles, sandbox: Sandbox) -> list[str]:
    ids = list(sandbox.world.rows())
    found = [profile["id"] for profile in profiles.read(ids)]
    assert profiles.done == len(ids)  # found or not
    return found


def test_retry_after_of_one_response_holds_all_workers() -> None:
    first, *others = holds = [Hold() for _ in range(4)]
    met = threading.Event()
    meeting = threading.Barrier(4, action=met.set)

    def wait_for_all() -> None:
        """Let the requests that are open end, and all four workers wait at the same time."""
        for hold in others:
            hold.release()
        if not met.is_set():
            meeting.wait(patient(10))

    clock = FakeClock(START, on_sleep=wait_for_all)
    with _reader(clock, 12, workers=4) as (sandbox, profiles):
        refusal = Fault(hold=first, status=429, headers={"Retry-After": "40"})
        for fault in (refusal, *(Fault(hold=hold) for hold in others)):
            sandbox.faults.add(fault)
        with ThreadPoolExecutor(1) as executor:
            ids = executor.submit(_read, profiles, sandbox)
            for hold in holds:
                hold.wait()
            first.release()
        assert ids.result() == list(sandbox.world.rows())
        assert met.is_set()
        times = [entry.time for entry in sandbox.profile_requests]
        assert len(times) == 13
        assert times[3] == START
        assert times[4] >= START + timedelta(seconds=40)


@pytest.mark.parametrize("workers", [1, 4])
def test_rate_limit_is_exceeded_at_most_by_open_requests(workers: int) -> None:
    clock, allowed, size = FakeClock(START), 10, 50
    with _reader(clock, size, workers) as (sandbox, profiles):
        sandbox.profile_rate_limits = ((allowed, 60), (1_000, 3_600))
        assert _read(profiles, sandbox) == list(sandbox.world.rows())
        refused = [entry for entry in sandbox.profile_requests if entry.status == 429]
        renewals = (size - 1) // allowed
        assert len(refused) <= renewals * (workers - 1)
        assert len(sandbox.profile_requests) == size + len(refused)


def test_503_holds_back_only_its_own_worker() -> None:
    waiting, answered = threading.Event(), threading.Event()

    def on_sleep() -> None:
        waiting.set()
        assert answered.wait(patient(10))

    clock = FakeClock(START, on_sleep=on_sleep)
    with _reader(clock, 2, workers=2) as (sandbox, profiles):
        client = profiles.client
        refused, other = sandbox.world.rows()
        fault = Fault(status=503, headers={"Retry-After": "50"})
        sandbox.faults.add(fault, company_id=refused)
        with ThreadPoolExecutor(1) as executor:
            first = executor.submit(client.fetch, client.session.build(f"/api/companies/{refused}"))
            assert waiting.wait(patient(10))
            assert client.fetch(client.session.build(f"/api/companies/{other}")).status == 200
            assert clock.passed == 0
            answered.set()
            assert first.result().status == 200
        assert clock.passed == pytest.approx(50)


def test_workers_are_daemons_and_end_with_the_reading() -> None:
    clock, holds = FakeClock(START), [Hold() for _ in range(6)]
    with _reader(clock, 20, workers=3) as (sandbox, profiles):
        for hold in holds:
            sandbox.faults.add(Fault(hold=hold), endpoint="profile")
        reading = profiles.read(list(sandbox.world.rows()))
        with ThreadPoolExecutor(1) as executor:
            first = executor.submit(next, reading)
            for hold in holds[:3]:
                hold.wait()
            assert [worker.daemon for worker in _workers()] == [True] * 3
            for hold in holds[:3]:
                hold.release()
            first.result()
        for hold in holds[3:]:
            hold.wait()
        reading.close()
        for hold in holds[3:]:
            hold.release()
    assert len(sandbox.profile_requests) == 6
