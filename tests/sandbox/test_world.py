"""What the world of the sandbox does by itself."""

from jobo_sandbox import Sandbox
from tests.support.clock import FakeClock


def test_as_time_passes_jobs_are_created_updated_and_expired() -> None:
    clock = FakeClock()
    world = Sandbox(size=10, jobs=50, clock=clock.unix_time, life=True).world
    before, start = world.jobs(), clock.true
    clock.passed += 601
    after = world.jobs()
    assert {key for key in before.keys() & after.keys() if after[key] != before[key]}
    gone = {key for key, at in world.expired_jobs().items() if at > start}
    assert len(gone) == 10
    assert before.keys() - after.keys() <= gone
    assert len(after.keys() - before.keys()) >= 8
    assert len(after) == 50
