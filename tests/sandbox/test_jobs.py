from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from jobo_sandbox import Sandbox

from .helpers import EXPIRED, JOBS, MANAGED, TIMEOUT, get, job_ids, page, post

BOTH = pytest.mark.parametrize("path", [JOBS, MANAGED])


def created(row: dict[str, Any]) -> tuple[datetime, str]:
    return datetime.fromisoformat(row["created_at"]), row["id"]


def test_every_job_comes_once_oldest_first(hiring: Sandbox) -> None:
    rows = hiring.world.jobs()
    assert len(rows) == 90
    for size in (1, 7, 90, 1_000):
        assert job_ids(hiring, batch_size=size) == sorted(rows, key=lambda key: created(rows[key]))


@BOTH
def test_updates_during_a_stable_scan_shift_nothing(hiring: Sandbox, path: str) -> None:
    every = set(job_ids(hiring, path=path))

    def change(_: Any) -> None:
        for key in list(hiring.world.jobs())[::3]:
            hiring.world.touch_job(key, title="Changed")

    hiring.before_page = change
    got = job_ids(hiring, path=path, batch_size=7)
    assert len(got) == len(every)
    assert set(got) == every


@BOTH
def test_updated_after_is_inclusive(hiring: Sandbox, path: str) -> None:
    first, second, third = list(hiring.world.managed_jobs())[:3]
    instant = hiring.now() + timedelta(days=1)
    hiring.world.touch_job(first, at=instant - timedelta(microseconds=1))
    hiring.world.touch_job(second, at=instant)
    hiring.world.touch_job(third, at=instant + timedelta(microseconds=1))
    assert set(job_ids(hiring, path=path, updated_after=instant.isoformat())) == {second, third}


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
        ("work_models", "work_model", ["remote", "hybrid"]),
        ("employment_types", "employment", ["full-time", "contract"]),
        ("experience_levels", "experience", ["senior", "lead"]),
    ],
)
def test_values_of_a_list_are_alternatives_and_match_exactly(
    hiring: Sandbox, name: str, trait: str, values: list[str]
) -> None:
    filters: list[dict[str, Any]] = [{name: [value]} for value in values]
    apart = [set(job_ids(hiring, **each)) for each in filters]
    wanted: dict[str, Any] = {name: values}
    both = job_ids(hiring, **wanted, batch_size=3)
    assert apart[0]
    assert apart[1]
    assert set(both) == apart[0] | apart[1]
    assert len(both) < 90
    spelled_otherwise: list[dict[str, Any]] = [{name: [values[0].title()]}, {name: ["nonsense"]}]
    assert [job_ids(hiring, **each) for each in spelled_otherwise] == [[], []]
    moved = next(iter(apart[0]))
    change: dict[str, Any] = {trait: "odd"}
    hiring.world.touch_job(moved, **change)
    odd: dict[str, Any] = {name: ["odd"]}
    assert job_ids(hiring, **odd) == [moved]


@BOTH
def test_sources_are_ids_of_tracking_systems(hiring: Sandbox, path: str) -> None:
    rows = hiring.world.jobs() if path == JOBS else hiring.world.managed_jobs()
    sources = {row["source"] for row in rows.values()}
    assert "lever" not in sources
    for source in sources:
        expected = {key for key, row in rows.items() if row["source"] == source}
        assert set(job_ids(hiring, path=path, sources=[source])) == expected


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


@pytest.mark.parametrize(
    "body",
    [
        {"batch_size": 0},
        {"batch_size": 1_001},
        {"batch_size": "10"},
        {"sources": "lever_co"},
        {"work_models": [1]},
        {"posted_after": "2025-01-01"},
        {"updated_after": "yesterday"},
        {"locations": ["Germany"]},
        {"locations": [{"country": 1}]},
        [],
    ],
)
def test_bad_input_is_refused_and_free(hiring: Sandbox, body: Any) -> None:
    response = post(hiring, body, path=JOBS)
    assert response.status_code == 400
    assert hiring.credits_billed == 0


@BOTH
def test_a_cursor_of_another_feed_is_rejected(hiring: Sandbox, path: str) -> None:
    other = MANAGED if path == JOBS else JOBS
    for cursor in (
        page(hiring, path=other, batch_size=3)["next_cursor"],
        page(hiring, batch_size=3)["next_cursor"],
        "nonsense",
    ):
        response = post(hiring, {"cursor": cursor}, path=path)
        assert (response.status_code, response.json()["detail"]) == (400, "Invalid cursor")


def test_managed_jobs_are_those_of_some_companies(hiring: Sandbox) -> None:
    managed, rows = hiring.world.managed_jobs(), hiring.world.jobs()
    assert set(job_ids(hiring, path=MANAGED, batch_size=7)) == managed.keys()
    assert 0 < len(managed) < 90
    companies = {row["company"]["id"] for row in managed.values()}
    others = {row["company"]["id"] for key, row in rows.items() if key not in managed}
    assert not companies & others
    # Filters of the big feed are not known here, and ignored.
    assert set(job_ids(hiring, path=MANAGED, locations="x", employment_types=7)) == managed.keys()


def test_keys_without_managed_sources_are_refused(hiring: Sandbox, sandbox: Sandbox) -> None:
    assert post(sandbox, {}, path=MANAGED).status_code == 403  # it has no jobs at all
    hiring.managed_sources = False
    assert post(hiring, {}, path=MANAGED).status_code == 403
    assert post(hiring, {}, path=JOBS).status_code == 200


@pytest.mark.parametrize("path", [JOBS, MANAGED, EXPIRED, "/api/connectors/filters"])
def test_a_key_is_needed(hiring: Sandbox, path: str) -> None:
    method = "POST" if path in {JOBS, MANAGED} else "GET"
    response = requests.request(method, hiring.url + path, timeout=TIMEOUT)
    assert response.status_code == 401


def test_the_filter_values_that_exist_are_told(hiring: Sandbox) -> None:
    answer = get(hiring, "/api/connectors/filters").json()
    assert set(answer) == {"enums", "sources"}
    assert answer["enums"]["work_models"] == ["remote", "hybrid", "onsite"]
    assert set(answer["enums"]) == {"work_models", "employment_types", "experience_levels"}
    counts = {source["key"]: source["count"] for source in answer["sources"]}
    assert sum(counts.values()) == 90
    key, count = next(iter(counts.items()))
    assert count == max(counts.values())
    assert len(job_ids(hiring, sources=[key])) == count
    assert hiring.requests_to("filters")[0].credits == 0


def test_descriptions_are_html_of_any_size() -> None:
    for row in Sandbox(size=3, jobs=9).world.jobs().values():
        assert row["description"].startswith("<p>")
        assert 300 < len(row["description"]) < 2_000
    with Sandbox(size=3, jobs=9, description_bytes=8_000) as sandbox:
        for row in page(sandbox, path=JOBS)["jobs"]:
            assert len(row["description"].encode()) == 8_000
            assert row["description"].endswith("</p>")
