import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobo_sandbox import Endpoint, Entry, Fault, Sandbox
from jobo_sandbox.contract import command
from jobo_sandbox.contract.api import Api, Differs
from jobo_sandbox.contract.checks import CHECKS
from tests.support import Run, execute

Outcomes = dict[str, str]


@pytest.fixture
def checked() -> Iterator[Sandbox]:
    """The sandbox that the command checks by default."""
    with command.sandbox() as sandbox:
        yield sandbox


def outcomes(sandbox: Sandbox) -> Outcomes:
    results = command.run(Api(sandbox.url, sandbox.api_key))
    return {result.name: result.outcome for result in results}


def contract(*arguments: str, **env: str) -> Run:
    command = [sys.executable, "-m", "jobo_sandbox", "contract", *arguments]
    return execute(command, {**os.environ, "NO_PROXY": "127.0.0.1", **env})


def replace(endpoint: Endpoint, change: Callable[[Any], Any]) -> Callable[[Sandbox], None]:
    """Change the body of every response 200 of an endpoint."""

    def spoil(body: Any) -> Any:
        return change(body) if "status" not in body else body

    return always(Fault(replace=spoil, times=None), endpoint)


def rows(endpoint: Endpoint, **values: Any) -> Callable[[Sandbox], None]:
    key = "career_sites" if endpoint == "feed" else "jobs"
    return replace(endpoint, lambda body: body | {key: [row | values for row in body[key]]})


def always(
    fault: Fault, endpoint: Endpoint | None = None, when: Callable[[Entry], bool] | None = None
) -> Callable[[Sandbox], None]:
    return lambda sandbox: sandbox.faults.add(fault, endpoint=endpoint, when=when)


def options(**values: Any) -> Callable[[Sandbox], None]:
    def change(sandbox: Sandbox) -> None:
        for name, value in values.items():
            setattr(sandbox, name, value)

    return change


def accept_any_size(endpoint: Endpoint) -> Callable[[Sandbox], None]:
    empty: dict[str, Any] = {"career_sites": [], "jobs": [], "next_cursor": None, "has_more": False}
    fault = Fault(status=200, body=empty, times=None)
    return always(fault, endpoint, lambda entry: sent(entry).get("batch_size", 0) > 1)


def sent(entry: Entry) -> dict[str, Any]:
    return entry.body if isinstance(entry.body, dict) else {}


def by_cursor(entry: Entry) -> bool:
    return entry.cursor not in {None, "garbage"}


def first_page_again(endpoint: Endpoint) -> Callable[[Sandbox], None]:
    """Return the rows of the first page whatever the request."""
    seen: list[Any] = []
    key = "career_sites" if endpoint == "feed" else "jobs"

    def change(body: Any) -> Any:
        seen.append(body[key])
        return body | {key: seen[0]}

    return replace(endpoint, change)


def reversed_jobs(sandbox: Sandbox) -> None:
    rows("jobs", created_at="2020-01-02T00:00:00Z")(sandbox)
    earlier = Fault(
        times=None, replace={"jobs": [{"id": "x", "created_at": "2020-01-01T00:00:00Z"}]}
    )
    sandbox.faults.clear()
    sandbox.faults.add(earlier, endpoint="jobs", when=by_cursor)


GARBAGE = {"status": 400, "error": "Bad Request", "message": "No such cursor"}
FAULTS: dict[str, Callable[[Sandbox], None]] = {
    "profile_not_found": always(Fault(status=200, body={}, times=None), "profile"),
    "wrong_key": always(
        Fault(status=403, times=None), when=lambda entry: "xxx" in entry.headers["x-api-key"]
    ),
    "errors": always(Fault(status=404, body={"detail": "?"}, times=None), "profile"),
    "date_header": options(omit_date_header=True),
    "rate_limit_headers": options(omit_rate_headers=True),
    "compression": always(Fault(headers={"Content-Encoding": "br"}, times=None), "feed"),
    "bad_requests": always(Fault(status=302, times=None), "other"),
    "filter_values": replace("filters", lambda body: body | {"enums": {"work_models": ["moon"]}}),
    "suggestions": always(
        Fault(status=200, body={"options": [{}]}, times=None),
        when=lambda entry: sent(entry).get("limit") == "3",
    ),
    "career_sites_envelope": always(Fault(headers={"X-Has-More": "false"}, times=None), "feed"),
    "jobs_envelope": replace("jobs", lambda body: body | {"has_more": "yes"}),
    "career_sites_batch_size": accept_any_size("feed"),
    "jobs_batch_size": accept_any_size("jobs"),
    "career_sites_price": options(price=40),
    "jobs_price": options(jobs_price=4),
    "career_sites_fields": rows("feed", id="7"),
    "jobs_fields": rows("jobs", remote=True),
    "career_sites_cursor": first_page_again("feed"),
    "jobs_cursor": first_page_again("jobs"),
    "career_sites_bad_cursor": always(
        Fault(status=400, body=GARBAGE, times=None), "feed", lambda entry: bool(entry.cursor)
    ),
    "jobs_bad_cursor": always(Fault(status=500, times=None), "jobs", lambda e: bool(e.cursor)),
    "career_sites_cursor_alone": always(
        Fault(times=None, replace={"career_sites": [{"id": "another"}]}),
        "feed",
        lambda entry: by_cursor(entry) and len(sent(entry)) == 1,
    ),
    "career_sites_updated_after": first_page_again("feed"),
    "jobs_updated_after": rows("jobs", updated_at="2999-01-01T00:00:00Z"),
    "jobs_order": reversed_jobs,
    "jobs_estimated_total": replace("jobs", lambda body: body | {"estimated_total": None}),
    "expired_jobs": replace("expired_jobs", lambda body: body | {"job_ids": [7]}),
    "expired_jobs_limit": always(
        Fault(status=200, body={"job_ids": []}, times=None),
        "expired_jobs",
        lambda entry: sent(entry)["expired_since"] < sandbox_week(entry),
    ),
}


def sandbox_week(entry: Entry) -> str:
    return entry.time.replace(hour=0, minute=0).isoformat()


def test_the_sandbox_is_as_documented(checked: Sandbox) -> None:
    found = outcomes(checked)
    assert {name for name, outcome in found.items() if outcome == command.DIFFERS} == set()
    assert {name for name, outcome in found.items() if outcome == command.NOT_TESTABLE} <= {
        "suggestions"
    }
    assert checked.credits_billed <= 300


@pytest.mark.parametrize("name", CHECKS)
def test_each_fault_is_found(checked: Sandbox, name: str) -> None:
    FAULTS[name](checked)
    _, check = CHECKS[name]
    with pytest.raises(Differs):
        check(Api(checked.url, checked.api_key))


def test_what_the_account_does_not_allow_is_not_testable(checked: Sandbox) -> None:
    checked.balance = 2
    found = outcomes(checked)
    assert found["career_sites_price"] == found["jobs_price"] == command.NOT_TESTABLE
    assert found["profile_not_found"] == command.DOCUMENTED
    assert checked.credits_billed == 0


def test_an_api_that_ignores_batch_size_gets_no_further_request(checked: Sandbox) -> None:
    page = {"career_sites": [{}] * 50, "next_cursor": "x", "has_more": True}
    headers = {"X-Credits-Deducted": "2500"}
    fault = Fault(status=200, body=page, headers=headers, times=None)
    checked.faults.add(fault, when=lambda entry: sent(entry) == {"batch_size": 1})
    found = outcomes(checked)
    assert found["career_sites_batch_size"] == command.DIFFERS
    assert found["jobs_price"] == command.NOT_TESTABLE
    assert [entry.endpoint for entry in checked.ledger if entry.body == {"batch_size": 1}] == [
        "feed"
    ]


def test_a_lost_response_counts_as_billed(checked: Sandbox) -> None:
    checked.faults.add(Fault(drop=True, billed=True, times=None), endpoint="feed")
    assert outcomes(checked)["career_sites_price"] == command.DIFFERS
    assert 250 < checked.credits_billed <= 500


def test_the_command_checks_the_sandbox_and_asks_before_it_spends(checked: Sandbox) -> None:
    run = contract()
    assert run.returncode == 0, run.stdout
    *lines, _, summary = run.stdout.splitlines()
    assert len(lines) == len(CHECKS)
    assert "the sandbox: " in summary
    assert " 0 differs, " in summary
    refused = contract("--api-key", checked.api_key, "--api-url", checked.url)
    assert refused.returncode == 2
    assert "costs $0.50 at most" in refused.stderr
    assert checked.ledger == []


def test_the_command_reports_as_json_without_the_key(checked: Sandbox) -> None:
    checked.price = 40
    key = {"TAP_JOBO_API_KEY": checked.api_key}
    run = contract("--api-url", checked.url, "--yes", "--json", "--api-key", **key)
    assert run.returncode == 1
    report = json.loads(run.stdout)
    assert (report["api"], report["credits"]) == (checked.url, checked.credits_billed)
    differing = [each for each in report["checks"] if each["outcome"] == "differs"]
    assert [(each["name"], each["detail"]) for each in differing] == [
        ("career_sites_price", "40 credits for 1 rows")
    ]
    assert checked.api_key not in run.stdout + run.stderr


@pytest.mark.parametrize("url", ["http://jobo.example", "http://127.0.0.1.jobo.example"])
def test_the_key_is_sent_in_the_clear_to_this_machine_only(url: str) -> None:
    run = contract("--api-key", "jbe_test_x", "--api-url", url, "--yes")
    assert run.returncode == 2
    assert "--api-url must use https" in run.stderr
