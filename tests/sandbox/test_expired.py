from datetime import datetime, timedelta

import pytest

from jobo_sandbox import Sandbox

from .helpers import EXPIRED, Clock, expired_ids, get, job_ids, page, pages

DAY = timedelta(days=1)


def since(instant: datetime) -> str:
    return instant.isoformat()


def test_an_expired_job_leaves_the_feed(hiring: Sandbox) -> None:
    key = job_ids(hiring)[0]
    before = hiring.now()
    hiring.world.expire_job(key)
    assert key not in job_ids(hiring)
    assert key not in hiring.world.jobs()
    assert expired_ids(hiring, expired_since=since(before)) == [key]
    assert hiring.world.expired_jobs()[key] >= before


def test_ids_come_in_pages_in_the_order_of_expiry(hiring: Sandbox) -> None:
    now = hiring.now()
    keys = job_ids(hiring)
    for i, key in enumerate(keys[:25]):
        hiring.world.expire_job(key, at=now + timedelta(seconds=i))
    answers = list(pages(hiring, path=EXPIRED, expired_since=since(now), batch_size=10))
    assert [set(answer) for answer in answers] == [{"job_ids", "next_cursor", "has_more"}] * 3
    assert [len(answer["job_ids"]) for answer in answers] == [10, 10, 5]
    assert [key for answer in answers for key in answer["job_ids"]] == keys[:25]


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


def test_seven_days_is_as_far_as_it_goes() -> None:
    with Sandbox(size=3, jobs=9, clock=Clock()) as sandbox:
        week = sandbox.now() - 7 * DAY
        assert get(sandbox, EXPIRED, expired_since=since(week)).status_code == 200
        older = get(sandbox, EXPIRED, expired_since=since(week - timedelta(microseconds=1)))
        assert older.status_code == 400
        assert "7 days" in older.json()["detail"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"batch_size": "0"},
        {"batch_size": "10001"},
        {"batch_size": "-1"},
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
