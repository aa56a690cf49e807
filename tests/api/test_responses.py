"""What responses mean: refusals, errors before a billed page, contradictions; and the key."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api.responses import ApiResponse, require_success
from tap_jobo.errors import NOT_BILLED, ApiError
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.jobs import EXPIRED_JOBS, JOBS
from tests.support import Tap, commands_in, tap_of
from tests.support.crash import run_meanwhile

PAGE_CREDITS = 2_500


QUOTED: list[tuple[Any, str]] = [
    ("<html><h1>Bad\ngateway</h1></html>", ". "),
    ({"detail": None, "title": ["x"]}, ". "),
    (
        "\n <!doctype html><TITLE>\nJust a moment...</title><title>Icon</title><p>title",
        " (Just a moment). ",
    ),
    ("Access\tdenied. " + "x" * 5_000, f" (Access denied. {'x' * 285}). "),
    ('"Not on\\nyour plan."', " (Not on your plan). "),
    (
        {"title": "Errors.", "error": "x", "errors": {"a": ["No.", 1], "b": "Nor."}},
        ' (Errors. {"a": ["No.", 1], "b": "Nor."}). ',
    ),
    ({"errors": [["deep"], "Bad"]}, ' ([["deep"], "Bad"]). '),
    ({"detail": "First\r\nsecond\u2028third\x1b[31m"}, " (First second third [31m). "),
]


@pytest.mark.parametrize(("body", "quoted"), QUOTED, ids=repr)
def test_what_an_error_says_is_quoted_on_one_short_line(body: Any, quoted: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(ApiError) as error:
        require_success(ApiResponse(text.encode(), 403, {}), CAREER_SITES, 50)
    assert str(error.value).startswith(f"Jobo responded with 403{quoted}{NOT_BILLED}")


NEEDS = "This request needs 3000 credits ($3). Your wallet balance is 1890 credits ($1.89)"


@pytest.mark.parametrize(
    ("feed", "rows", "is_smaller_possible"),
    [(JOBS, 1_000, True), (JOBS, 1, False), (EXPIRED_JOBS, 1_000, False)],
)
def test_a_balance_that_is_too_low_is_told_with_what_jobo_says(
    feed: FeedSpec, rows: int, *, is_smaller_possible: bool
) -> None:
    body = json.dumps({"detail": f"{NEEDS}.", "credits_required": 3_000})
    with pytest.raises(ApiError, match=r"\[balance-too-low\]") as error:
        require_success(ApiResponse(body.encode(), 402, {}), feed, rows)
    assert NEEDS in str(error.value)
    assert ("jobs_batch_size" in str(error.value)) == is_smaller_possible


class TestKey:
    """It is in no log and no file."""

    @pytest.mark.parametrize(("status", "level"), [(400, "DEBUG"), (401, "INFO")])
    def test_error_that_quotes_it(self, tap: Tap, level: str, status: int) -> None:
        key = tap.sandbox.api_key
        said = f"No access for {key[:40]} or {key}: " + "x" * 250 + key
        tap.sandbox.faults.add(Fault(status=status, body={"detail": said}))
        run = tap.run(env={"LOGLEVEL": level})
        assert " for [api_key] or [api_key]: x" in run.complaint
        assert key[:20] not in run.stderr

    def test_rows_headers_and_a_retried_error_that_quote_it(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        key = sandbox.api_key
        good, bad, *_ = sandbox.world.rows()
        sandbox.world.touch(good, name=f"{key} Inc.", website=[key])
        company = sandbox.world.company(good)
        assert company
        company.row[key] = 1
        sandbox.world.touch(bad, id=key)
        names = ("X-Credits-Deducted", "X-Credits-Balance", "X-RateLimit-Reset", "Date")
        headers = dict.fromkeys(names, key)
        retried = Fault(status=503, headers=headers | {"Retry-After": "0.01"}, body={"detail": key})
        sandbox.faults.add(retried, endpoint="career_sites")
        sandbox.faults.add(Fault(headers=headers, times=None), endpoint="career_sites")
        run = tap.succeed(env={"LOGLEVEL": "DEBUG"})
        assert len(run.lines("ERROR")) == 2
        assert any("Retry in " in line for line in run.lines("WARNING"))
        assert run.lines("DEBUG")
        assert not run.shows_a_key


@pytest.mark.parametrize(("limit", "pages"), [(10_000, 3), (5_000, 2)])
def test_a_gateways_error_before_a_billed_page_is_charged_in_full_within_the_budget(
    tap: Tap, sandbox: Sandbox, limit: int, pages: int
) -> None:
    sandbox.omit_credit_headers = True
    sandbox.faults.add(Fault(send_as=504, times=None), endpoint="career_sites")
    run = tap.quick.fail(code="api-unavailable", max_credits=limit)
    assert sandbox.credits_billed == run.metrics["jobo_credits"] == pages * PAGE_CREDITS
    assert run.metrics["jobo_credits_unconfirmed"] == pages * PAGE_CREDITS
    assert f"${pages * 2.5:.2f} of it possibly" in run.summaries["career_sites"]


def test_more_by_the_header_alone_ends_the_run_and_keeps_the_page(tap: Tap) -> None:
    ended = Fault(headers={"X-Has-More": "True"}, replace=lambda body: {**body, "has_more": False})
    tap.sandbox.faults.add(ended, on=2, endpoint="career_sites")
    run = tap.run()
    assert commands_in(run.complaint) == [["drop", "career_sites", "2"]]
    assert len(run.ids) == 50
    assert run.bookmark["replication_key_value"] is None
    for state in (run.state, None):  # nor does a later run take it for the end
        assert tap.run(state=state).codes("CRITICAL") == ["format-changed"]
    assert len(tap.sandbox.feed_requests) == 2


def test_a_host_that_goes_away_ends_the_run_at_once(hiring: Sandbox, tmp_path: Path) -> None:
    """Other streams are not tried."""
    tap = tap_of(hiring, tmp_path, "career_sites", "jobs", "expired_jobs")
    run = run_meanwhile(tap.quick, lambda _: hiring.close(), endpoint="career_sites")
    assert {*run.error_codes} == {"api-unavailable"}
    assert run.summaries["jobs"] == "0 credits ($0.00); sync not complete."


def test_requests_to_localhost_bypass_the_proxy(tap: Tap) -> None:
    dead = "http://127.0.0.1:1"
    proxies = {"http_proxy": dead, "HTTP_PROXY": dead, "ALL_PROXY": dead, "no_proxy": ""}
    run = tap.succeed(env=proxies)
    assert len(run.ids) == 120
