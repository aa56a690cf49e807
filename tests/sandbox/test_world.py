"""What the world of the sandbox is, and which of its rows a request gets."""

from datetime import timedelta
from typing import Any, get_args

import pytest

from jobo_sandbox import Order, Sandbox
from jobo_sandbox.quirks import CursorCarries

from .helpers import JOBS, Clock, expired_ids, ids, job_ids, page, pages, post

ORDERS = get_args(Order)


def test_orders_are_what_they_are_called(sandbox: Sandbox) -> None:
    by_time = sorted(sandbox.world.rows(), key=sandbox.world.updated_at)
    orders = {"updated_asc": by_time, "updated_desc": by_time[::-1], "id": sorted(by_time)}
    for sandbox.order in ORDERS:
        for size in (7, 50):
            assert ids(sandbox, batch_size=size) == orders[sandbox.order]
    assert [len(answer["career_sites"]) for answer in pages(sandbox)] == [50, 50, 20]
    sandbox.world.touch(by_time[7])
    sandbox.order = "updated_desc"
    assert ids(sandbox)[0] == by_time[7]


@pytest.mark.parametrize("carries", get_args(CursorCarries))
def test_a_cursor_carries_as_much_as_is_set(sandbox: Sandbox, carries: CursorCarries) -> None:
    sandbox.cursor_carries = carries
    of_us, of_fr = (ids(sandbox, country_codes=[code], batch_size=3) for code in ("US", "FR"))
    first = page(sandbox, country_codes=["US"], batch_size=3)
    beside: dict[str, Any] = {"country_codes": ["FR"], "batch_size": 2}
    second = page(sandbox, cursor=first["next_cursor"], **beside)
    last = first["career_sites"][-1]["id"]
    expected = {
        "everything": of_us[3:6],
        "filters": of_us[3:5],
        "position": [key for key in of_fr if key > last][:2],
    }
    assert [row["id"] for row in second["career_sites"]] == expected[carries]


def test_a_cursor_alone_gets_a_full_page_of_jobs_unless_it_carries_the_size(
    hiring: Sandbox,
) -> None:
    cursor = page(hiring, path=JOBS, batch_size=5)["next_cursor"]
    assert len(page(hiring, path=JOBS, cursor=cursor)["jobs"]) == 85
    hiring.cursor_carries = "everything"
    assert len(page(hiring, path=JOBS, cursor=cursor)["jobs"]) == 5


def test_posted_after_looks_at_both_times(hiring: Sandbox) -> None:
    one, other, neither = list(hiring.world.jobs())[:3]
    instant = hiring.now() + timedelta(days=1)
    later = hiring.world.add_job(at=instant, date_posted=None)
    hiring.world.touch_job(one, date_posted=instant.isoformat())
    hiring.world.touch_job(other, date_posted=(instant - timedelta(seconds=1)).isoformat())
    hiring.world.touch_job(neither, date_posted=None)
    assert set(job_ids(hiring, posted_after=instant.isoformat())) == {one, later}


def test_locations_match_any_entry_and_all_of_its_parts(hiring: Sandbox) -> None:
    def at(**parts: str) -> set[str]:
        return {
            key
            for key, row in hiring.world.jobs().items()
            if any(parts.items() <= place.items() for place in row["locations"])
        }

    germany, london = {"country": "Germany"}, {"country": "United Kingdom", "city": "London"}
    both = at(**germany) | at(**london)
    assert at(**germany) < both
    assert set(job_ids(hiring, locations=[germany, london | {"region": None}])) == both
    assert job_ids(hiring, locations=[{"country": "Germany", "city": "London"}]) == []
    assert job_ids(hiring, locations=[{"country": "germany"}]) == []
    assert len(job_ids(hiring, locations=[{}])) == 90


def test_expired_since_is_inclusive_and_a_day_ago_by_default() -> None:
    with Sandbox(size=3, jobs=9, clock=Clock()) as sandbox:
        already = set(expired_ids(sandbox))
        now, tick, day = sandbox.now(), timedelta(microseconds=1), timedelta(days=1)
        one, two, three = job_ids(sandbox)[:3]
        sandbox.world.expire_job(one, at=now - day - tick)
        sandbox.world.expire_job(two, at=now - day)
        sandbox.world.expire_job(three, at=now)
        assert set(expired_ids(sandbox)) - already == {two, three}
        assert expired_ids(sandbox, expired_since=now.isoformat()) == [three]


def test_too_many_requests_get_429_and_when_to_come_back() -> None:
    clock = Clock()
    with Sandbox(size=5, clock=clock, rate_limits=[(2, 10)]) as sandbox:
        page(sandbox)
        clock.now += 3.5
        page(sandbox)
        refused = post(sandbox, {})
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "7"
        assert refused.json()["retry_after_seconds"] == 7
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert sandbox.rows_billed == 10
        # A refused request is not counted, so one is free as soon as the first has left.
        clock.now += 6.25
        assert post(sandbox, {}).headers["Retry-After"] == "1"
        clock.now += 0.25
        page(sandbox)
        assert post(sandbox, {}).status_code == 429


def test_the_same_seed_makes_the_same_world() -> None:
    clock = Clock()
    one, again, other = (Sandbox(jobs=60, seed=seed, clock=clock) for seed in (1, 1, 2))
    assert one.api_key == again.api_key
    assert [len(part) for part in one.api_key.split("_")] == [3, 4, 21, 43]
    assert one.world.rows() == again.world.rows()
    assert not one.world.rows().keys() & other.world.rows().keys()
    assert len(one.world) == 300
    assert one.world.jobs() == again.world.jobs()
    assert one.world.expired_jobs() == again.world.expired_jobs()
    assert not one.world.jobs().keys() & other.world.jobs().keys()


def test_the_world_of_a_seed_stays_what_it_is() -> None:
    """The documents and charts show it."""
    world = Sandbox(jobs=60, seed=1, clock=Clock()).world
    last = [[*rows][-1] for rows in (world.rows(), world.jobs(), world.expired_jobs())]
    assert last == [
        "b718fdba-fb89-44bc-9f7d-6e0c87e14dc6",
        "464aeaa6-ba78-402c-8b8b-6b556fb08335",
        "e5d8dd8d-f699-4e50-ae23-a9d10eb4c1fc",
    ], "another draw from `rng` changes all that follow: draw from a Random of its own"


def test_as_time_passes_jobs_are_created_updated_and_expired() -> None:
    clock = Clock()
    with Sandbox(size=10, jobs=50, clock=clock, life=True) as sandbox:
        before, start = sandbox.world.jobs(), sandbox.now().isoformat()
        assert job_ids(sandbox, updated_after=start) == []
        clock.now += 601
        after = sandbox.world.jobs()
        changed = {key for key, row in after.items() if row != before.get(key)}
        assert set(job_ids(sandbox, updated_after=start)) == changed
        gone = set(expired_ids(sandbox, expired_since=start))
        assert len(gone) == 10
        assert before.keys() - after.keys() <= gone
        assert len(after.keys() - before.keys()) >= 8
        assert len(after) == 50
