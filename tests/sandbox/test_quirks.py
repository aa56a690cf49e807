from datetime import timedelta
from typing import Any

import pytest
import requests

from jobo_sandbox import Sandbox, Shape

from .helpers import (
    CAREER_SITES,
    EXPIRED,
    JOBS,
    TIMEOUT,
    Clock,
    expired_ids,
    get,
    ids,
    page,
    post,
    profile,
)


@pytest.mark.parametrize(
    ("shape", "kind", "start"),
    [
        ("problem", "application/problem+json", '{"title": "Bad Request"'),
        ("message", "application/json", '{"status": 400'),
        ("error", "application/json", '{"error": "Invalid cursor"}'),
        ("text", "text/plain", "Invalid cursor"),
        ("html", "text/html", "<html><head><title>400 Bad Request</title>"),
    ],
)
def test_errors_have_several_shapes(sandbox: Sandbox, shape: Shape, kind: str, start: str) -> None:
    sandbox.error_shape = shape
    response = post(sandbox, {"cursor": "garbage"})
    assert response.status_code == 400
    assert response.headers["Content-Type"].split(";")[0] == kind
    assert response.text.startswith(start)


def test_parts_of_a_request_can_be_ignored(sandbox: Sandbox) -> None:
    future = (sandbox.now() + timedelta(days=1)).isoformat()
    body: dict[str, Any] = {"industries": ["moon"], "updated_after": future, "batch_size": 1}
    assert ids(sandbox, **body) == []
    sandbox.ignored = {"industries", "updated_after"}
    assert len(page(sandbox, **body)["career_sites"]) == 1
    sandbox.ignored = body
    assert len(page(sandbox, **body)["career_sites"]) == 50


def test_the_window_can_start_earlier_than_asked(hiring: Sandbox) -> None:
    hiring.overlap = 300
    company, job = next(iter(hiring.world.rows())), next(iter(hiring.world.jobs()))
    hiring.world.touch(company)
    hiring.world.touch_job(job)
    for seconds, rows in ((299, 1), (301, 0)):
        since = (hiring.now() + timedelta(seconds=seconds)).isoformat()
        assert len(page(hiring, updated_after=since)["career_sites"]) == rows
        assert len(page(hiring, path=JOBS, updated_after=since)["jobs"]) == rows


def test_the_last_page_can_have_more_without_a_cursor(sandbox: Sandbox) -> None:
    sandbox.null_cursor_at_end = True
    cursor = page(sandbox, batch_size=50)["next_cursor"]
    for _ in range(2):
        response = post(sandbox, {"cursor": cursor})
        last, cursor = response.json(), response.json()["next_cursor"]
    assert (len(last["career_sites"]), last["has_more"], cursor) == (20, True, None)
    assert response.headers["X-Has-More"] == "true"


@pytest.mark.parametrize("path", [CAREER_SITES, JOBS, EXPIRED])
def test_cursors_can_expire(path: str) -> None:
    clock = Clock()
    with Sandbox(size=20, jobs=90, clock=clock, cursor_lifetime=60) as sandbox:
        since = {"expired_since": (sandbox.now() - timedelta(days=6)).isoformat()}
        cursor = page(sandbox, path=path, batch_size=1, **since)["next_cursor"]
        clock.now += 60
        assert page(sandbox, path=path, cursor=cursor)
        clock.now += 1
        if path == EXPIRED:
            response = get(sandbox, path, cursor=cursor)
        else:
            response = post(sandbox, {"cursor": cursor}, path=path)
        assert (response.status_code, response.json()["detail"]) == (400, "Invalid cursor")


def test_ids_can_have_no_dashes(hiring: Sandbox) -> None:
    hiring.ids_without_dashes = True
    site = page(hiring)["career_sites"][0]
    job = page(hiring, path=JOBS)["jobs"][0]
    found = [site["id"], job["id"], job["company"]["id"], *expired_ids(hiring)]
    assert {len(each) for each in found} == {32}
    assert profile(hiring, site["id"]).json()["id"] == site["id"]
    assert hiring.feed_requests[0].row_ids[0] in hiring.world.rows()


def test_rows_can_have_more_fields(hiring: Sandbox) -> None:
    hiring.more_fields = {"external_id": None, "ats_provider": "lever"}
    for rows in (page(hiring)["career_sites"], page(hiring, path=JOBS)["jobs"]):
        assert all(row["external_id"] is None and row["ats_provider"] == "lever" for row in rows)
    assert "external_id" not in next(iter(hiring.world.rows().values()))


def test_profiles_can_be_public(hiring: Sandbox) -> None:
    url = f"{hiring.url}/api/companies/{next(iter(hiring.world.rows()))}"
    assert requests.get(url, timeout=TIMEOUT).status_code == 401
    hiring.public_profiles = True
    assert requests.get(url, timeout=TIMEOUT).status_code == 200
    assert post(hiring, {}, key="wrong").status_code == 401


def test_credit_headers_can_be_missing(hiring: Sandbox) -> None:
    hiring.omit_credit_headers = True
    for path in (CAREER_SITES, JOBS):
        headers = post(hiring, {}, path=path).headers
        assert [name for name in headers if name.startswith(("X-Credits", "X-Quota"))] == []
        assert "X-Has-More" in headers
