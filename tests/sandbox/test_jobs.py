from datetime import timedelta
from typing import Any

import pytest

from jobo_sandbox import Sandbox

from .helpers import MANAGED, Clock, expired_ids, job_ids


def test_updates_during_a_stable_scan_shift_nothing(hiring: Sandbox) -> None:
    every = job_ids(hiring)

    def change(_: Any) -> None:
        for key in list(hiring.world.jobs())[::3]:
            hiring.world.touch_job(key, title="Changed")

    hiring.before_page = change
    assert job_ids(hiring, batch_size=7) == every


def test_posted_after_looks_at_both_times(hiring: Sandbox) -> None:
    one, other, neither = list(hiring.world.jobs())[:3]
    instant = hiring.now() + timedelta(days=1)
    later = hiring.world.add_job(at=instant, date_posted=None)
    hiring.world.touch_job(one, date_posted=instant.isoformat())
    hiring.world.touch_job(other, date_posted=(instant - timedelta(seconds=1)).isoformat())
    hiring.world.touch_job(neither, date_posted=None)
    assert set(job_ids(hiring, posted_after=instant.isoformat())) == {one, later}


@pytest.mark.parametrize(
    ("name", "trait", "values"),
    [
        ("sources", "source", ["lever_co", "ashby"]),
        ("work_models", "work_model", ["remote", "hybrid"]),
        ("employment_types", "employment", ["full-time", "contract"]),
        ("experience_levels", "experience", ["senior", "lead"]),
    ],
)
def test_values_of_a_list_are_alternatives_and_match_exactly(
    hiring: Sandbox, name: str, trait: str, values: list[str]
) -> None:
    def matching(*wanted: str) -> set[str]:
        filters: dict[str, Any] = {name: [*wanted]}
        return set(job_ids(hiring, **filters, batch_size=30))

    one, other = (matching(value) for value in values)
    assert matching(*values) == one | other
    assert one
    assert other
    assert len(one | other) < 90
    assert matching(values[0].title()) == set()
    moved = next(iter(one))
    change: dict[str, Any] = {trait: "odd"}
    hiring.world.touch_job(moved, **change)
    assert matching("odd") == {moved}


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


def test_managed_jobs_are_those_of_some_companies(hiring: Sandbox) -> None:
    managed, rows = hiring.world.managed_jobs(), hiring.world.jobs()
    assert set(job_ids(hiring, path=MANAGED, batch_size=7)) == managed.keys()
    assert 0 < len(managed) < 90
    companies = {row["company"]["id"] for row in managed.values()}
    others = {row["company"]["id"] for key, row in rows.items() if key not in managed}
    assert not companies & others


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
