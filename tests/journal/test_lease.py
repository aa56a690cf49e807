"""The lease in object storage: who gets it, who waits, who is refused, and who has lost it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast
from unittest.mock import Mock

import pytest
from obstore.exceptions import AlreadyExistsError
from obstore.store import MemoryStore

from tap_jobo.clock import Clock
from tap_jobo.errors import JournalError
from tap_jobo.journal import lease as lease_module
from tap_jobo.journal.bucket import open_bucket
from tap_jobo.journal.lease import Lease, refuse_if_held
from tests.support.bucket import Bucket
from tests.support.clock import FakeClock
from tests.support.crash import wait_for
from tests.support.loggers import LOGGER

_OWNER = "a1" * 32
_NEVER = 1e6


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bucket(clock: FakeClock) -> Bucket:
    # The store's clock is not that of any machine.
    return Bucket(lambda: clock.true + timedelta(hours=5, milliseconds=700))


@pytest.fixture(autouse=True)
def _no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder does nothing unless a test lets it."""
    monkeypatch.setattr(lease_module, "_RENEW_EVERY", _NEVER)


@pytest.fixture
def run(bucket: Bucket, clock: FakeClock) -> Iterator[Callable[..., Lease]]:
    """What makes the lease of a further run."""
    leases: list[Lease] = []

    def make(wait: Callable[[float], None] = clock.sleep) -> Lease:
        lease = Lease(cast("Any", bucket), _OWNER, "career_sites in s3://a/b", wait)
        leases.append(lease)
        return lease

    yield make
    bucket.is_away = True
    for lease in leases:
        lease.release()


def renew(lease: Lease) -> bool:
    """Let a holder renew its lease now, as its thread does."""
    return lease._renew()


def stored(bucket: Bucket) -> dict[str, Any]:
    (name,) = (name for name in bucket.objects if not name.endswith("clock"))
    content: dict[str, Any] = json.loads(bucket.objects[name][0])
    return content


def test_a_lease_that_was_released_is_taken_at_once(run: Any, clock: FakeClock) -> None:
    for _ in range(3):
        lease = run()
        lease.acquire(clock, LOGGER)
        lease.check()
        lease.release()
    assert clock.passed == 0


def test_a_lease_that_is_renewed_refuses_a_second_run(run: Any, clock: FakeClock) -> None:
    first = run()
    first.acquire(clock, LOGGER)

    def wait(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.passed >= 20:
            renew(first)

    with pytest.raises(JournalError, match=r"Another run of career_sites in s3://a/b .*") as error:
        run(wait).acquire(clock, LOGGER)
    assert 20 <= clock.passed <= 22
    assert "(process " in str(error.value)
    assert "since 2026-01-01T12:00:00" in str(error.value)
    first.check()


def test_a_run_released_while_another_waits_lets_it_go_on(run: Any, clock: FakeClock) -> None:
    first = run()
    first.acquire(clock, LOGGER)

    def wait(seconds: float) -> None:
        clock.sleep(seconds)
        first.release()

    second = run(wait)
    second.acquire(clock, LOGGER)
    second.check()
    assert clock.passed == 2


def test_a_killed_run_is_waited_for_a_minute(
    run: Any, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    run().acquire(clock, LOGGER)
    clock.passed += 20
    second = run()
    with caplog.at_level(logging.INFO):
        second.acquire(clock, logging.getLogger("told"))
    assert 59 <= clock.passed <= 61
    (line,) = caplog.messages
    assert "Waiting for up to 40 seconds" in line
    second.check()


def test_a_lease_that_has_expired_is_taken_at_once(run: Any, clock: FakeClock) -> None:
    run().acquire(clock, LOGGER)
    clock.passed += 61
    run().acquire(clock, LOGGER)
    assert clock.passed == 61


def test_a_zombie_learns_who_has_its_lease(run: Any, clock: FakeClock) -> None:
    zombie, second = run(), run()
    zombie.acquire(clock, LOGGER)
    clock.passed += 61
    second.acquire(clock, LOGGER)
    assert not renew(zombie)
    with pytest.raises(JournalError, match=r"another run has taken it over \(process"):
        zombie.check()
    zombie.release()
    second.check()
    assert renew(second)


def test_a_holder_stops_before_its_lease_may_be_taken(
    run: Any, clock: FakeClock, bucket: Bucket
) -> None:
    lease = run()
    lease.acquire(clock, LOGGER)
    bucket.is_away = True
    clock.passed += 55
    assert not renew(lease)
    lease.check()
    clock.passed += 3
    with pytest.raises(JournalError, match="could not be renewed in time"):
        lease.check()


def test_a_suspended_machine_notices_that_its_lease_expired(run: Any, clock: FakeClock) -> None:
    lease = run()
    lease.acquire(clock, LOGGER)
    clock.skew += timedelta(seconds=56)
    lease.check()
    clock.skew += timedelta(seconds=2)
    with pytest.raises(JournalError, match="could not be renewed in time"):
        lease.check()
    assert renew(lease)  # nobody has taken it over
    lease.check()


def test_a_lease_renewed_after_an_outage_is_kept(
    run: Any, clock: FakeClock, bucket: Bucket
) -> None:
    lease = run()
    lease.acquire(clock, LOGGER)
    bucket.is_away = True
    clock.passed += 40
    assert not renew(lease)
    bucket.is_away = False
    assert renew(lease)
    clock.passed += 40
    lease.check()


@pytest.mark.parametrize("times", [1, 3])
def test_a_renewal_whose_answer_was_lost_is_ours(
    run: Any, clock: FakeClock, bucket: Bucket, times: int
) -> None:
    lease = run()
    lease.acquire(clock, LOGGER)
    for _ in range(times):
        clock.passed += 30
        bucket.loses_answers = True
        renew(lease)
        bucket.loses_answers = False
        renew(lease)
        lease.check()
    assert renew(lease)


def test_a_lost_answer_does_not_make_the_lease_look_newer(
    run: Any, clock: FakeClock, bucket: Bucket
) -> None:
    lease = run()
    lease.acquire(clock, LOGGER)
    bucket.loses_answers = True
    renew(lease)  # at 0 seconds
    bucket.loses_answers = False
    clock.passed += 57
    renew(lease)  # which only finds that the one before had come through
    with pytest.raises(JournalError):
        lease.check()


def test_a_conflict_is_no_renewal_and_no_loss(
    run: Any, clock: FakeClock, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = run()
    lease.acquire(clock, LOGGER)
    clock.passed += 50
    with monkeypatch.context() as patched:  # S3's 409
        patched.setattr(bucket, "put", Mock(side_effect=AlreadyExistsError("in conflict")))
        assert not renew(lease)
    lease.check()
    clock.passed += 5
    assert renew(lease)
    clock.passed += 50
    lease.check()


def test_a_first_write_whose_answer_was_lost_is_ours(
    run: Any, clock: FakeClock, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = bucket.put

    def twice(name: str, content: bytes, **options: Any) -> Any:
        """As obstore does after an answer of 503 to a write that took place."""
        if options.get("mode") == "create" and name not in bucket.objects:
            put(name, content, **options)
        return put(name, content, **options)

    monkeypatch.setattr(bucket, "put", twice)
    lease = run()
    lease.acquire(clock, LOGGER)
    lease.check()
    assert clock.passed == 0


@pytest.mark.parametrize("ignored", ["create", "update"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_store_that_ignores_conditions_is_refused(
    run: Any, clock: FakeClock, bucket: Bucket, ignored: str, *, is_first: bool
) -> None:
    if not is_first:
        lease = run()
        lease.acquire(clock, LOGGER)
        lease.release()
    bucket.ignored = (ignored,)
    with pytest.raises(JournalError, match="cannot keep two runs apart"):
        run().acquire(clock, LOGGER)


def test_a_store_out_of_reach_ends_the_run_before_it_begins(
    run: Any, clock: FakeClock, bucket: Bucket
) -> None:
    bucket.is_away = True
    with pytest.raises(JournalError, match="before anything is billed") as error:
        run().acquire(clock, LOGGER)
    assert "no route to the store)" in str(error.value)
    assert str(error.value).isprintable()


def test_a_lease_that_is_not_released_is_left_to_expire(
    run: Any, clock: FakeClock, bucket: Bucket
) -> None:
    lease = run()
    lease.acquire(clock, LOGGER)
    bucket.is_away = True
    lease.release()
    assert not stored(bucket)["released"]


def test_a_lease_that_someone_deleted_is_lost(run: Any, clock: FakeClock, bucket: Bucket) -> None:
    lease = run()
    lease.acquire(clock, LOGGER)
    bucket.objects.clear()
    assert not renew(lease)
    with pytest.raises(JournalError, match="removed"):
        lease.check()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff"])
def test_a_lease_that_is_not_ours_to_read_expires_too(
    run: Any, clock: FakeClock, bucket: Bucket, content: bytes
) -> None:
    bucket.put(f"leases/{_OWNER}", content)
    run().acquire(clock, LOGGER)
    assert 59 <= clock.passed <= 61


def test_a_holder_renews_by_itself(
    run: Any, clock: FakeClock, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "_RENEW_EVERY", 0.01)
    run().acquire(clock, LOGGER)
    first = stored(bucket)["nonce"]
    wait_for(lambda: stored(bucket)["nonce"] != first)


def test_of_twenty_runs_at_once_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_RENEW_EVERY", 0.05)
    bucket = MemoryStore()
    barrier = threading.Barrier(20)
    leases = [Lease(bucket, _OWNER, "jobs", lambda _: time.sleep(0.01)) for _ in range(20)]
    refused: list[str] = []

    def go(lease: Lease) -> None:
        barrier.wait()
        try:
            lease.acquire(Clock(), LOGGER)
        except JournalError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=go, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lease in leases:
        lease.release()
    assert len(refused) == 19
    assert all("Another run of jobs" in line for line in refused)


@pytest.mark.parametrize("place", ["s3", "gcs", "memory"])
def test_a_lease_keeps_its_promises_in(
    place: str, request: pytest.FixtureRequest, clock: FakeClock
) -> None:
    bucket: Any = MemoryStore()
    if place != "memory":
        found = request.getfixturevalue(place)
        bucket = open_bucket(getattr(found, "url", found))
    leases = [Lease(bucket, _OWNER, "jobs", clock.sleep) for _ in range(4)]
    first, watching, second, third = leases
    first.acquire(clock, LOGGER)
    watching._wait = lambda _: clock.sleep(1 + renew(first))
    with pytest.raises(JournalError, match="Another run"):
        watching.acquire(clock, LOGGER)
    second.acquire(clock, LOGGER)  # after a minute in which nobody renewed it
    assert not renew(first)
    with pytest.raises(JournalError, match="was lost"):
        first.check()
    second.check()
    second.release()
    passed = clock.passed
    third.acquire(clock, LOGGER)
    third.check()
    third.release()
    assert clock.passed == passed


def test_pages_are_not_dropped_under_a_run(run: Any, clock: FakeClock, bucket: Bucket) -> None:
    refuse_if_held(cast("Any", bucket), "s3://a/b")
    lease = run()
    lease.acquire(clock, LOGGER)
    with pytest.raises(JournalError, match=r"is in progress \(process"):
        refuse_if_held(cast("Any", bucket), "s3://a/b")
    lease.release()
    refuse_if_held(cast("Any", bucket), "s3://a/b")
    run().acquire(clock, LOGGER)
    clock.passed += 61
    refuse_if_held(cast("Any", bucket), "s3://a/b")
