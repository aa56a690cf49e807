"""What the world of the sandbox is, and which of its rows a request gets."""

from typing import Any, get_args

import pytest

from jobo_sandbox import Order, Sandbox
from jobo_sandbox.quirks import CursorCarries
from tests.sandbox.helpers import EXPIRED, JOBS, ids, page, pages
from tests.support.clock import FakeClock

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


def test_the_world_of_a_seed_stays_what_it_is() -> None:
    """The documents and charts show it."""
    world = Sandbox(jobs=60, seed=1, clock=FakeClock().unix_time).world
    last = [[*rows][-1] for rows in (world.rows(), world.jobs(), world.expired_jobs())]
    assert last == [
        "b718fdba-fb89-44bc-9f7d-6e0c87e14dc6",
        "464aeaa6-ba78-402c-8b8b-6b556fb08335",
        "e5d8dd8d-f699-4e50-ae23-a9d10eb4c1fc",
    ], "another draw from `rng` changes all that follow: draw from a Random of its own"


def test_as_time_passes_jobs_are_created_updated_and_expired() -> None:
    clock = FakeClock()
    with Sandbox(size=10, jobs=50, clock=clock.unix_time, life=True) as sandbox:
        before, start = sandbox.world.jobs(), sandbox.now().isoformat()
        assert ids(sandbox, path=JOBS, updated_after=start) == []
        clock.passed += 601
        after = sandbox.world.jobs()
        changed = {key for key, row in after.items() if row != before.get(key)}
        assert set(ids(sandbox, path=JOBS, updated_after=start)) == changed
        gone = set(ids(sandbox, path=EXPIRED, expired_since=start))
        assert len(gone) == 10
        assert before.keys() - after.keys() <= gone
        assert len(after.keys() - before.keys()) >= 8
        assert len(after) == 50
