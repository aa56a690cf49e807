"""The lease in object storage: who gets it, who is refused, and who has lost it."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from obstore.exceptions import AlreadyExistsError, GenericError

from jobo_sandbox.patience import patient
from tap_jobo.archive import bucket as bucket_module
from tap_jobo.archive.bucket import Lease
from tap_jobo.archive.store import HeldError, StoreError
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tests.support.bucket import Bucket
from tests.support.clock import FakeClock

KEY = "host-live-0a/career_sites"
RENEW_EVERY = bucket_module._RENEW_EVERY


def new_lease(bucket: Any, clock: Clock) -> Lease:
    return Lease(bucket, KEY, "career_sites", "s3://a/b", clock)


@dataclass
class Holder:
    """A run, which takes the lease when it is created and renews it when a test lets it."""

    bucket: Any
    clock: Clock
    end: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        lease = new_lease(self.bucket, self.clock)
        self._write = lease._write
        self.check = self.end.enter_context(lease.hold())

    def renew(self) -> bool:
        with suppress(GenericError):
            return self._write()
        return False

    def release(self) -> None:
        self.end.close()


Start = Callable[[], Holder]


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
    monkeypatch.setattr(bucket_module, "_RENEW_EVERY", 1e6)


@pytest.fixture
def start(bucket: Bucket, clock: FakeClock) -> Iterator[Start]:
    """Starts a further run."""
    with ExitStack() as ends:
        yield lambda: Holder(bucket, clock, ends.enter_context(ExitStack()))
        bucket.is_away = True


def stored(bucket: Bucket) -> dict[str, Any]:
    (name,) = (name for name in bucket.objects if not name.endswith("clock"))
    content: dict[str, Any] = json.loads(bucket.objects[name][0])
    return content


def test_a_lease_that_is_renewed_refuses_a_second_run_at_once(
    start: Start, clock: FakeClock
) -> None:
    first = start()
    for _ in range(5):
        clock.passed += 20
        first.renew()
        passed = clock.passed
        with pytest.raises(HeldError) as error:
            start()
        assert clock.passed == passed
    began, ends = re.findall(r"T(\d\d:\d\d:\d\d)Z", error.value.fact)
    assert began < ends
    assert "[run-in-progress]" in str(error.value)
    first.check()


@pytest.mark.parametrize(("seconds", "is_free"), [(58, False), (60, True)])
def test_the_lease_of_a_killed_run_is_free_after_a_minute(
    start: Start, clock: FakeClock, seconds: int, *, is_free: bool
) -> None:
    start()
    clock.passed += seconds
    with nullcontext() if is_free else pytest.raises(HeldError):
        start().check()


def test_a_zombie_learns_who_has_its_lease(start: Start, clock: FakeClock) -> None:
    zombie = start()
    clock.passed += 61
    second = start()
    assert not zombie.renew()
    with pytest.raises(ArchiveError, match="taken it over"):
        zombie.check()
    zombie.release()
    second.check()
    assert second.renew()


@pytest.mark.parametrize("seen_by", ["monotonic", "wall"])
def test_a_holder_stops_before_its_lease_may_be_taken(
    start: Start, clock: FakeClock, bucket: Bucket, seen_by: str
) -> None:
    """One clock is enough: a machine that is suspended may stop its monotonic clock."""
    holder = start()
    bucket.is_away = True
    for seconds in (56, 1):
        holder.check()
        assert not holder.renew()
        if seen_by == "monotonic":
            clock.passed += seconds
            clock.skew -= timedelta(seconds=seconds)
        else:
            clock.skew += timedelta(seconds=seconds)
    with pytest.raises(ArchiveError, match="not be renewed"):
        holder.check()
    bucket.is_away = False
    assert holder.renew()  # nobody has taken it over
    clock.passed += 40
    holder.check()


def test_a_renewal_whose_response_was_lost_is_ours(
    start: Start, clock: FakeClock, bucket: Bucket
) -> None:
    holder = start()
    for _ in range(3):
        clock.passed += 30
        bucket.loses_responses = True
        holder.renew()
        bucket.loses_responses = False
        holder.renew()
        holder.check()
    assert holder.renew()


def test_a_lost_response_does_not_make_the_lease_look_newer(
    start: Start, clock: FakeClock, bucket: Bucket
) -> None:
    holder = start()
    bucket.loses_responses = True
    holder.renew()  # at 0 seconds
    clock.passed += 57
    holder.renew()  # which finds that the one before had come through, and is lost too
    with pytest.raises(ArchiveError):
        holder.check()


def test_a_slow_response_does_not_make_the_lease_look_newer(
    start: Start, clock: FakeClock, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store dates it when the request arrives."""
    holder, put = start(), bucket.put

    def put_slowly(*args: Any, **options: Any) -> Any:
        done = put(*args, **options)
        clock.passed += 50
        return done

    monkeypatch.setattr(bucket, "put", put_slowly)
    assert holder.renew()
    holder.check()
    clock.passed += 8
    with pytest.raises(ArchiveError, match="not be renewed"):
        holder.check()


def test_a_renewal_while_another_run_looks_keeps_the_lease(
    start: Start, clock: FakeClock, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start()
    clock.passed += 61
    head = bucket.head

    def renew_first(name: str) -> Any:
        found = head(name)
        if name.endswith("clock"):
            first.renew()
        return found

    monkeypatch.setattr(bucket, "head", renew_first)
    with pytest.raises(HeldError):
        start()
    first.check()
    assert not stored(bucket)["released"]


def test_a_first_write_that_meets_another_one_is_refused(
    start: Start, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 responds 409 to both of two writes, or the other run has ended meanwhile."""
    conflict = Mock(side_effect=AlreadyExistsError("in conflict"))
    with monkeypatch.context() as patched:
        patched.setattr(bucket, "put", conflict)
        with pytest.raises(HeldError, match=r"in s3://a/b\. "):
            start()
    start().check()


def test_a_conflict_is_no_renewal_and_no_loss(
    start: Start, clock: FakeClock, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = start()
    clock.passed += 50
    with monkeypatch.context() as patched:  # S3's 409
        patched.setattr(bucket, "put", Mock(side_effect=AlreadyExistsError("in conflict")))
        assert not holder.renew()
    holder.check()
    clock.passed += 5
    assert holder.renew()
    clock.passed += 50
    holder.check()


def test_a_first_write_whose_response_was_lost_is_ours(
    start: Start, clock: FakeClock, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = bucket.put

    def twice(name: str, content: bytes, **options: Any) -> Any:
        """As obstore does after a response of 503 to a write that took place."""
        if options.get("mode") == "create" and name not in bucket.objects:
            put(name, content, **options)
        return put(name, content, **options)

    monkeypatch.setattr(bucket, "put", twice)
    holder = start()
    holder.check()
    assert clock.passed == 0


@pytest.mark.parametrize("ignored", ["create", "update"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_store_that_ignores_conditions_is_refused(
    start: Start, bucket: Bucket, ignored: str, *, is_first: bool
) -> None:
    if not is_first:
        start().release()
    bucket.ignored = (ignored,)
    with pytest.raises(StoreError, match="If-None-Match"):
        start()
    assert stored(bucket)["released"]


def test_a_lease_that_is_not_ours_to_read_expires_too(
    start: Start, clock: FakeClock, bucket: Bucket
) -> None:
    bucket.put(f"leases/{KEY}", b"[]")
    with pytest.raises(HeldError):
        start()
    clock.passed += 61
    start()


def test_a_renewal_that_failed_is_tried_again_sooner(
    bucket: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_RENEW_EVERY", RENEW_EVERY)
    lease = new_lease(bucket, clock)
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        bucket.is_away = len(pauses) in {2, 3}
        return len(pauses) == 5

    monkeypatch.setattr(lease, "_end", Mock(wait=wait))
    lease._keep()
    assert pauses == [20, 20, 5, 5, 20]


def test_a_run_that_ends_waits_for_a_renewal_in_flight(
    start: Start, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which would otherwise take the lease again."""
    put, begun, released = bucket.put, threading.Event(), threading.Event()

    def put_late(name: str, content: bytes, **options: Any) -> Any:
        if threading.current_thread().name == "lease":
            begun.set()
            released.wait(0.2)
            return put(name, content, **options)
        done = put(name, content, **options)
        released.set()
        return done

    monkeypatch.setattr(bucket_module, "_RENEW_EVERY", 0.01)
    holder = start()
    (thread,) = [each for each in threading.enumerate() if each.name == "lease"]
    assert thread.daemon  # a request that hangs does not keep the process
    released.clear()
    monkeypatch.setattr(bucket, "put", put_late)
    assert begun.wait(patient(10))
    holder.release()
    assert stored(bucket)["released"]
    assert not thread.is_alive()


@pytest.mark.parametrize("place", ["s3", "gcs"])
def test_a_lease_is_taken_over_in(
    place: str, request: pytest.FixtureRequest, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = request.getfixturevalue(place)
    bucket = bucket_module.open_bucket(getattr(found, "url", found))
    first = Holder(bucket, clock)
    with monkeypatch.context() as patched:
        patched.setattr(bucket_module, "DURATION", 0.0)  # as after a minute without a renewal
        second = Holder(bucket, clock)
    assert not first.renew()
    with pytest.raises(ArchiveError, match="was lost"):
        first.check()
    first.release()
    second.check()
    second.release()
