from jobo_sandbox import Sandbox

from .helpers import Clock, expired_ids, ids, job_ids


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
