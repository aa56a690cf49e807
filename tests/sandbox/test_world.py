from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from jobo_sandbox import Sandbox

from .helpers import Clock, ids, post

YEAR = timedelta(days=365)


def test_the_same_seed_makes_the_same_world() -> None:
    one, again, other = Sandbox(seed=1), Sandbox(seed=1), Sandbox(seed=2)
    assert one.world.rows() == again.world.rows()
    assert one.api_key == again.api_key
    assert not one.world.rows().keys() & other.world.rows().keys()
    assert len(one.world) == 300


def test_as_time_passes_companies_are_updated_and_discovered() -> None:
    clock = Clock()
    with Sandbox(size=50, clock=clock, life=True) as sandbox:
        before = sandbox.world.rows()
        start = sandbox.now()
        assert ids(sandbox, updated_after=start.isoformat()) == []
        clock.now += 61
        changed = set(ids(sandbox, updated_after=start.isoformat()))
        after = sandbox.world.rows()
        assert changed == {key for key in after if after[key] != before.get(key)}
        assert len(after) == 51
        assert 2 <= len(changed) <= 4


def test_life_is_the_same_however_often_one_looks() -> None:
    clock, other_clock = Clock(), Clock()
    often, once = (Sandbox(size=20, clock=c, life=True) for c in (clock, other_clock))
    for _ in range(100):
        clock.now += 13
        often.world.rows()
    other_clock.now = clock.now
    assert once.world.rows() == often.world.rows()
    assert len(once.world) == 20 + 1_300 // 60


def test_the_date_header_shows_the_sandbox_s_clock() -> None:
    clock = Clock(1_760_000_000.75)
    with Sandbox(size=1, clock=clock) as sandbox:
        for offset in (0, -7_200, 3_600.5):
            sandbox.clock_offset = offset
            expected = datetime.fromtimestamp(clock.now + offset, UTC)
            assert sandbox.now() == expected
            shown = parsedate_to_datetime(post(sandbox, {}).headers["Date"])
            assert shown == expected.replace(microsecond=0)
        sandbox.omit_date_header = True
        assert "Date" not in post(sandbox, {}).headers
