from datetime import datetime, timedelta

import pytest

from jobo_sandbox import Sandbox

from .helpers import EXPIRED, Clock, expired_ids, get, job_ids, page

DAY = timedelta(days=1)


def since(instant: datetime) -> str:
    return instant.isoformat()


def test_expired_since_is_inclusive_and_a_day_ago_by_default() -> None:
    with Sandbox(size=3, jobs=9, clock=Clock()) as sandbox:
        already = set(expired_ids(sandbox))
        now, tick = sandbox.now(), timedelta(microseconds=1)
        one, two, three = job_ids(sandbox)[:3]
        sandbox.world.expire_job(one, at=now - DAY - tick)
        sandbox.world.expire_job(two, at=now - DAY)
        sandbox.world.expire_job(three, at=now)
        assert set(expired_ids(sandbox)) - already == {two, three}
        assert expired_ids(sandbox, expired_since=since(now)) == [three]


@pytest.mark.parametrize(
    "parameters",
    [
        {"batch_size": "0"},
        {"batch_size": "many"},
        {"expired_since": "yesterday"},
        {"cursor": "nonsense"},
    ],
)
def test_bad_input_is_refused(hiring: Sandbox, parameters: dict[str, str]) -> None:
    assert get(hiring, EXPIRED, **parameters).status_code == 400


def test_a_cursor_carries_its_scan(hiring: Sandbox) -> None:
    now = hiring.now()
    for key in job_ids(hiring)[:5]:
        hiring.world.expire_job(key, at=now)
    whole = expired_ids(hiring, expired_since=since(now))
    first = page(hiring, path=EXPIRED, expired_since=since(now), batch_size=2)
    second = page(hiring, path=EXPIRED, cursor=first["next_cursor"], batch_size=7)
    assert second["job_ids"] == whole[2:4] == sorted(whole)[2:4]


def test_a_job_that_is_touched_comes_back(hiring: Sandbox) -> None:
    key = job_ids(hiring)[0]
    before = hiring.now()
    hiring.world.expire_job(key)
    with pytest.raises(KeyError):
        hiring.world.expire_job(key)
    hiring.world.touch_job(key, title="Back again")
    assert hiring.world.jobs()[key]["title"] == "Back again"
    assert expired_ids(hiring, expired_since=since(before)) == []
    assert job_ids(hiring, updated_after=since(before)) == [key]
