from collections.abc import Mapping
from typing import Any

import pytest
import requests

from jobo_sandbox import JobsPlan, Sandbox

from .helpers import JOBS, MANAGED, expired_ids, job_ids, page, post

BOTH = pytest.mark.parametrize("path", [JOBS, MANAGED])


def money(response: requests.Response) -> Mapping[str, str]:
    headers = response.headers.items()
    return {name: value for name, value in headers if name.startswith(("X-Credits", "X-Quota"))}


@BOTH
def test_pay_as_you_go_bills_each_row(hiring: Sandbox, path: str) -> None:
    hiring.balance = 1_000
    response = post(hiring, {"batch_size": 10}, path=path)
    assert money(response) == {
        "X-Credits-Deducted": "30",
        "X-Credits-Required": "30",
        "X-Credits-Balance": "970",
    }
    assert response.headers["X-Has-More"] == "true"
    assert (hiring.balance, hiring.credits_billed, hiring.rows_billed) == (970, 30, 10)


@pytest.mark.parametrize("plan", ["pay_as_you_go", "no_headers"])
def test_the_balance_must_cover_a_page_of_jobs(hiring: Sandbox, plan: JobsPlan) -> None:
    hiring.jobs_plan, hiring.balance = plan, 2_999
    response = post(hiring, {"batch_size": 1_000}, path=JOBS)
    assert response.status_code == 402
    assert response.json()["credits_required"] == 3_000
    assert response.json()["credits_balance"] == 2_999
    assert hiring.credits_billed == 0
    hiring.balance = 3_000
    assert post(hiring, {"batch_size": 1_000}, path=JOBS).status_code == 200
    assert hiring.balance == 3_000 - 90 * 3


@BOTH
def test_rows_within_the_plan_are_free_and_beyond_it_are_not(hiring: Sandbox, path: str) -> None:
    hiring.jobs_plan, hiring.jobs_quota, hiring.balance = "included", 15, 100

    def ask() -> Any:
        return money(post(hiring, {"batch_size": 10}, path=path))

    assert ask() == {"X-Quota-Limit": "15", "X-Quota-Remaining": "5"}
    assert hiring.credits_billed == 0
    assert ask() == {
        "X-Quota-Limit": "15",
        "X-Quota-Remaining": "0",
        "X-Credits-Deducted": "15",
        "X-Credits-Required": "15",
        "X-Credits-Balance": "85",
    }
    assert ask()["X-Credits-Deducted"] == "30"
    assert [entry.credits for entry in hiring.ledger] == [0, 15, 30]
    hiring.balance = 29
    refused = post(hiring, {"batch_size": 10}, path=path)
    assert refused.status_code == 402
    assert money(refused)["X-Credits-Required"] == "30"
    assert money(refused)["X-Credits-Deducted"] == "0"
    hiring.jobs_quota_used = 0
    assert post(hiring, {"batch_size": 10}, path=path).status_code == 200


def test_the_ledger_knows_each_endpoint(hiring: Sandbox) -> None:
    since = hiring.now().replace(microsecond=0).isoformat()
    key = next(iter(hiring.world.jobs()))
    hiring.world.expire_job(key)
    page(hiring, batch_size=2)
    jobs = job_ids(hiring, batch_size=80)
    managed = job_ids(hiring, path=MANAGED)
    assert expired_ids(hiring, expired_since=since) == [key]
    endpoints = ["feed", "jobs", "jobs", "managed_jobs", "expired_jobs"]
    assert [entry.endpoint for entry in hiring.ledger] == endpoints
    first, second = hiring.requests_to("jobs")
    assert first.row_ids + second.row_ids == jobs
    assert (first.credits, second.credits) == (240, 27)
    assert (first.endpoint_number, second.endpoint_number) == (1, 2)
    assert hiring.requests_to("managed_jobs")[0].row_ids == managed
    [expired] = hiring.requests_to("expired_jobs")
    assert (expired.row_ids, expired.credits) == ([key], 0)
    assert hiring.rows_billed == 2 + 89 + len(managed)
    assert hiring.credits_billed == 100 + 3 * 89 + 3 * len(managed)
    assert hiring.billed_ids()[managed[0]] == 2


@pytest.mark.parametrize("shape", ["problem", "message"])
def test_the_balance_must_cover_a_page_of_career_sites(sandbox: Sandbox, shape: str) -> None:
    sandbox.error_shape = "problem" if shape == "problem" else "message"
    sandbox.balance = 2_499
    response = post(sandbox, {"updated_after": "2999-01-01T00:00:00Z"})
    assert response.status_code == 402
    assert response.json()["credits_required"] == 2_500
    assert response.json()["credits_balance"] == 2_499
    assert response.headers["X-Credits-Deducted"] == "0"
    assert sandbox.balance == 2_499
    sandbox.balance = 2_500
    headers = post(sandbox, {}).headers
    assert headers["X-Credits-Deducted"] == headers["X-Credits-Required"] == "2500"
    assert headers["X-Credits-Balance"] == "0"
    assert sandbox.balance == 0


def test_the_key_has_the_documented_look(sandbox: Sandbox) -> None:
    assert sandbox.api_key.startswith("jbe_test_")
    assert [len(part) for part in sandbox.api_key.split("_")[2:]] == [21, 43]
    assert len(sandbox.api_key) == 74
