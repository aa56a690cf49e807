from datetime import datetime, timedelta

import pytest

from jobo_sandbox import Sandbox

from .helpers import Clock, expired_ids, job_ids

DAY = timedelta(days=1)


def test_companies_are_the_same_with_and_without_jobs() -> None:
    clock = Clock()
    bare = Sandbox(size=20, clock=clock, life=True)
    hiring = Sandbox(size=20, jobs=60, clock=clock, life=True)
    assert hiring.world.rows() == bare.world.rows()
    hiring.world.add_job()
    clock.now += 5_000
    for sandbox in (bare, hiring):
        sandbox.world.add()
    assert hiring.world.rows() == bare.world.rows()
    assert bare.world.jobs() == {}


def test_the_same_seed_makes_the_same_jobs() -> None:
    clock = Clock()
    one, again, other = (Sandbox(size=20, jobs=60, seed=s, clock=clock) for s in (1, 1, 2))
    assert one.world.jobs() == again.world.jobs()
    assert one.world.expired_jobs() == again.world.expired_jobs()
    assert not one.world.jobs().keys() & other.world.jobs().keys()


def test_jobs_are_of_the_last_two_months_but_not_of_the_last_day() -> None:
    sandbox = Sandbox(size=20, jobs=200)
    now = sandbox.now()
    for row in sandbox.world.jobs().values():
        created, updated = (datetime.fromisoformat(row[f"{n}_at"]) for n in ("created", "updated"))
        assert now - 61 * DAY < created <= updated <= now - DAY
    gone = sandbox.world.expired_jobs()
    assert len(gone) == 10
    assert all(now - 8 * DAY < when < now for when in gone.values())
    assert not gone.keys() & sandbox.world.jobs().keys()


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


def test_touching_a_job_updates_it_and_its_company_object(hiring: Sandbox) -> None:
    key, row = next(iter(hiring.world.jobs().items()))
    company, before = row["company"]["id"], hiring.now()
    hiring.world.touch(company, name="Renamed")
    assert hiring.world.jobs()[key] == row
    hiring.world.touch_job(key, unheard_of=1)
    after = hiring.world.jobs()[key]
    assert (after["company"]["name"], after["unheard_of"]) == ("Renamed", 1)
    assert after["created_at"] == row["created_at"]
    assert datetime.fromisoformat(after["updated_at"]) >= before


def test_a_job_can_be_added_to_a_company_at_a_time(hiring: Sandbox) -> None:
    company, at = next(iter(hiring.world.rows())), hiring.now() - 30 * DAY
    key = hiring.world.add_job(company_id=company, at=at, title="Baker")
    row = hiring.world.jobs()[key]
    assert (row["title"], row["company"]["id"]) == ("Baker", company)
    assert datetime.fromisoformat(row["created_at"]) == at
    assert datetime.fromisoformat(row["updated_at"]) == at
    with pytest.raises(KeyError):
        hiring.world.add_job(company_id="nobody")
    with pytest.raises(KeyError):
        hiring.world.touch_job("nobody")
