from datetime import datetime, timedelta

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
