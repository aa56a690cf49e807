"""What responses mean: refusals, errors before a billed page, contradictions; and the key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Hold, Sandbox, Shape
from tests.archive.helpers import pages
from tests.support import Tap, commands_in, complaint, error_code, shows_a_key
from tests.support.jobs import tap_of

PAGE_CREDITS = 2_500


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "shape", "advice", "code"),
        [
            (400, "problem", "filters", "request-rejected"),
            (401, "message", "api_key", "access-denied"),
            (403, "problem", "plan", "access-denied"),
            (404, "message", "api_url", "request-rejected"),
            (407, "text", "HTTPS_PROXY", "api-unavailable"),
            (409, "problem", "api_url", "request-rejected"),
            (422, "error", "filters and start_date", "request-rejected"),
        ],
    )
    def test_error_gives_status_message_and_advice_in_one_line(  # noqa: PLR0913, PLR0917
        self, tap: Tap, sandbox: Sandbox, status: int, shape: Shape, advice: str, code: str
    ) -> None:
        elsewhere = {"Location": sandbox.url}  # which is no redirect
        sandbox.faults.add(Fault(status=status, shape=shape, headers=elsewhere))
        run = tap.run()
        line = complaint(run)
        assert run.codes("CRITICAL") == [code]
        assert str(status) in line
        assert "This failure was injected" in line
        assert advice in line
        assert len(sandbox.feed_requests) == 1

    @pytest.mark.parametrize(
        ("body", "quoted"),
        [
            ("<html><h1>Bad\ngateway</h1></html>", ". "),
            ({"detail": None, "title": ["x"]}, ". "),
            (
                "\n <!doctype html><TITLE>\nJust a moment...</title><title>Icon</title><p>title",
                " (Just a moment). ",
            ),
            ("Access\tdenied. " + "x" * 5_000, " (Access denied. xxx"),
            ('"Not on\\nyour plan."', " (Not on your plan). "),
            (
                {"title": "Errors.", "error": "x", "errors": {"a": ["No.", 1], "b": "Nor."}},
                " (Errors. No. Nor).",
            ),
            ({"errors": [["deep"], "Bad"]}, " (Bad)."),
            ({"detail": "First\r\nsecond\u2028third\x1b[31m " + "x" * 5_000}, " (First second "),
        ],
    )
    def test_message_is_one_short_line(self, tap: Tap, body: Any, quoted: str) -> None:
        tap.sandbox.faults.add(Fault(status=403, body=body))
        line = complaint(tap.run())
        assert line.startswith(f"Jobo responded with 403{quoted}")
        assert "\x1b" not in line
        assert len(line) < 1_000

    def test_html_comes_from_a_gateway_whatever_its_status(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        for status in (400, 402, 403):
            sandbox.faults.add(Fault(status=status, shape="html", body="<title>Blocked</title>"))
            run = tap.run()
            line = complaint(run)
            assert run.codes("CRITICAL") == ["api-unavailable"]
            for part in (f" {status} (Blocked). ", "Not billed", "HTML", "gateway or firewall"):
                assert part in line
            assert not any(word in line for word in ("plan", "filters", "Top up"))

    def test_empty_balance_in_the_middle_keeps_the_sync(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.error_shape, sandbox.balance = "message", 3_734
        run = tap.run()
        for part in ("402", "$2.50", "$1.23", "batch_size before"):
            assert part in complaint(run)
        assert error_code(run) == "balance-too-low"
        assert len(run.ids) == run.progress["rows"] == 50
        assert len(sandbox.feed_requests) == 2

    def test_balance_below_the_first_page_buys_smaller_ones(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        sandbox.error_shape, sandbox.balance = "message", 1_234
        run = tap.run()
        assert error_code(run) == "balance-too-low"
        for part in ("402", "$2.50", "$1.23", "batch_size"):
            assert part in complaint(run)
        assert len(tap.run(batch_size=24).ids) == 24

    def test_empty_balance_for_a_free_feed_is_no_matter_of_its_page_size(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        sandbox.faults.add(Fault(status=402), endpoint="expired_jobs")
        run = tap_of(sandbox, tmp_path, "expired_jobs").run()
        assert error_code(run) == "balance-too-low"
        for part in ("402", "expired_jobs", "Not billed", "Top up"):
            assert part in complaint(run)
        assert "batch_size" not in complaint(run)

    def test_wrong_key_is_rejected_by_the_api(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(api_key="jbe_live_wrong")
        assert error_code(run) == "access-denied"
        assert complaint(run).count("wrong or revoked") == 1
        for part in ("401", "Not billed", "Set api_key"):
            assert part in complaint(run)
        assert [request.endpoint for request in sandbox.ledger] == ["clock", "career_sites"]

    def test_whether_a_key_is_valid_the_feed_decides(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(status=401, times=None), endpoint="clock")
        assert {*tap.succeed().ids} == sandbox.world.rows().keys()

    @pytest.mark.parametrize("escape", ["_", "%5F", "%255f"])
    def test_redirect_is_an_error_and_is_not_followed(
        self, tap: Tap, sandbox: Sandbox, escape: str
    ) -> None:
        with Sandbox(size=1) as other:
            key = sandbox.api_key.replace("_", escape)
            location = f"{other.url}/api/career-sites/feed?key={key}"
            sandbox.faults.add(Fault(status=307, headers={"Location": location}, times=None))
            line = complaint(tap.run(env={"LOGLEVEL": "DEBUG"}))  # which never shows the key
            assert other.ledger == []
        assert f"307 ({other.url}/api/career-sites/feed?key=[api_key])" in line
        assert "api_url" in line
        assert len(sandbox.feed_requests) == 1

    @pytest.mark.parametrize("shown", [1, 9, 30, 73])
    def test_a_key_at_the_end_of_what_is_quoted_of_a_redirect_is_not_shown(
        self, tap: Tap, sandbox: Sandbox, shown: int
    ) -> None:
        """Not even its first characters, which no log handler could know."""
        start = f"{sandbox.url}/moved?key="
        start += "-" * (300 - len(start) - shown)
        fault = Fault(status=307, headers={"Location": start + sandbox.api_key}, times=None)
        sandbox.faults.add(fault)
        line = complaint(tap.run())
        assert f"307 ({(start + '[api_key]')[:300]})" in line
        assert sandbox.api_key[:9] not in line


class TestKey:
    """It is in no log and no file."""

    @pytest.mark.parametrize(("status", "level"), [(400, "DEBUG"), (401, "INFO")])
    def test_error_that_quotes_it(self, tap: Tap, level: str, status: int) -> None:
        key = tap.sandbox.api_key
        said = f"No access for {key[:40]} or {key}: " + "x" * 250 + key
        tap.sandbox.faults.add(Fault(status=status, body={"detail": said}))
        run = tap.run(env={"LOGLEVEL": level})
        assert " for [api_key] or [api_key]: x" in complaint(run)
        assert key[:20] not in run.stderr

    def test_rows_that_quote_it(self, tap: Tap, sandbox: Sandbox) -> None:
        key = sandbox.api_key
        good, bad, *_ = sandbox.world.rows()
        sandbox.world.touch(good, name=f"{key} Inc.", website=[key])
        company = sandbox.world.company(good)
        assert company
        company.row[key] = 1
        sandbox.world.touch(bad, id=key)
        run = tap.succeed(env={"LOGLEVEL": "DEBUG"})
        assert len(run.lines("ERROR")) == 2
        assert run.lines("DEBUG")
        assert not shows_a_key(run)

    def test_retried_error_and_headers_that_quote_it(self, tap: Tap, sandbox: Sandbox) -> None:
        names = ("X-Credits-Deducted", "X-Credits-Balance", "X-RateLimit-Reset", "Date")
        headers = dict.fromkeys(names, sandbox.api_key)
        retried = headers | {"Retry-After": "0.01"}
        body = {"detail": sandbox.api_key}
        sandbox.faults.add(Fault(status=503, headers=retried, body=body), endpoint="career_sites")
        sandbox.faults.add(Fault(headers=headers, times=None), endpoint="career_sites")
        run = tap.succeed(env={"LOGLEVEL": "DEBUG"})
        assert any("Retry in " in line for line in run.lines("WARNING"))
        assert not shows_a_key(run)


class TestErrorsThatMayBeBilled:
    """A gateway's error before a page that was billed."""

    @pytest.mark.parametrize(
        ("limit", "pages", "why"),
        [
            (10_000, 3, "$7.50 may "),
            (5_000, 2, "max_credits: 5,000 of 5,000 used"),
        ],
    )
    def test_it_is_tried_three_times_and_charged_in_full_within_the_budget(
        self, tap: Tap, sandbox: Sandbox, limit: int, pages: int, why: str
    ) -> None:
        sandbox.omit_credit_headers = True
        sandbox.faults.add(Fault(send_as=504, times=None), endpoint="career_sites")
        run = tap.run_quickly(max_credits=limit)
        line = complaint(run)
        assert "504" in line
        assert why in line
        assert run.codes("CRITICAL") == ["api-unavailable"]
        assert sandbox.credits_billed == run.metrics["jobo_credits"] == pages * PAGE_CREDITS
        assert run.metrics["jobo_credits_unconfirmed"] == pages * PAGE_CREDITS
        assert f"${pages * 2.5:.2f} of it possibly" in run.summaries["career_sites"]


class TestContradictions:
    def test_more_by_the_header_alone_ends_the_run_and_keeps_the_page(self, tap: Tap) -> None:
        fault = Fault(headers={"X-Has-More": "True"}, replace=_ended)
        tap.sandbox.faults.add(fault, on=2, endpoint="career_sites")
        run = tap.run()
        line = complaint(run)
        assert "X-Has-More" in line
        assert commands_in(line) == [["drop", "career_sites", "2"]]
        assert len(run.ids) == 50
        assert run.bookmark["replication_key_value"] is None
        for state in (run.state, None):  # nor does a later run take it for the end
            assert tap.run(state=state).codes("CRITICAL") == ["format-changed"]
        assert len(tap.sandbox.feed_requests) == 2

    @pytest.mark.parametrize("header", ["false", "yes"])
    def test_more_by_the_body_alone_goes_on(self, tap: Tap, header: str) -> None:
        fault = Fault(headers={"X-Has-More": header}, times=None)
        tap.sandbox.faults.add(fault, endpoint="career_sites")
        run = tap.succeed()
        assert sorted(run.ids) == sorted(tap.sandbox.world.rows())
        assert run.lines("WARNING") == []

    def test_credits_for_rows_that_did_not_come_are_an_error(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        deducted = {"X-Credits-Deducted": str(PAGE_CREDITS)}
        sandbox.faults.add(Fault(headers=deducted), on=3, endpoint="career_sites")
        run = tap.succeed()
        assert set(run.ids) == sandbox.world.rows().keys()
        (line,) = run.messages_of("ERROR", "unexpected-bill")
        assert run.lines("ERROR") == [line]
        for part in ("$2.50", "20 rows of career_sites", "contact Jobo"):
            assert part in line
        assert len(pages(tap.folder / "archive")) == 3  # of which the last is the evidence
        assert run.metrics["jobo_credits"] == 3 * PAGE_CREDITS


def _ended(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "has_more": False}


def test_the_estimate_of_a_sync_that_is_loaded_is_not_that_of_what_changed(
    hiring: Sandbox, tmp_path: Path
) -> None:
    tap = tap_of(hiring, tmp_path, "jobs")
    tap.run(jobs_batch_size=20)
    run = tap.run(jobs_batch_size=20)  # without the state
    assert len(hiring.requests_to("jobs")) == 5 + 1
    assert run.returncode == 0, run.stderr
    assert len(set(run.ids)) == 90
    assert "missing-rows" not in run.codes("WARNING")


class TestFailedStreams:
    """Every selected stream is tried; the run fails after the last one."""

    @pytest.fixture
    def all_feeds(self, hiring: Sandbox, tmp_path: Path) -> Tap:
        streams = ("career_sites", "jobs", "expired_jobs")
        return tap_of(hiring, tmp_path, *streams)

    @pytest.mark.parametrize("status", [402, 403, 503])
    def test_a_feed_that_fails_does_not_stop_the_others(
        self, all_feeds: Tap, hiring: Sandbox, status: int
    ) -> None:
        hiring.world.expire_job(next(iter(hiring.world.jobs())))
        hiring.faults.add(Fault(status=status, times=None), endpoint="career_sites")
        hiring.faults.add(Fault(replace={"jobs": 1}), endpoint="jobs")
        run = all_feeds.run_quickly()
        assert run.returncode == 1
        codes = {402: "balance-too-low", 403: "access-denied", 503: "api-unavailable"}
        assert run.codes("CRITICAL") == [codes[status], "format-changed"]
        first, second = run.lines("CRITICAL")
        assert "career_sites" in first
        assert f" {status} " in first
        assert " of jobs " in second
        assert "`array`" in second
        assert len([m for m in run.messages if m.get("stream") == "expired_jobs"]) > 1
        assert run.state["bookmarks"]["expired_jobs"]["replication_key_value"]

    def test_a_revoked_key_ends_the_run_at_once(self, all_feeds: Tap, hiring: Sandbox) -> None:
        hiring.faults.add(Fault(status=401, times=None), endpoint="career_sites")
        assert "401" in complaint(all_feeds.run())
        assert hiring.requests_to("jobs") == []

    def test_a_host_that_goes_away_ends_the_run_at_once(
        self, all_feeds: Tap, hiring: Sandbox
    ) -> None:
        hold = Hold()
        hiring.faults.add(Fault(hold=hold), endpoint="career_sites")

        def go_away() -> None:
            hold.wait()
            hiring.close()

        with ThreadPoolExecutor() as executor:
            executor.submit(go_away)
            run = all_feeds.run_quickly()
        assert error_code(run) == "api-unavailable"
        assert "Cannot reach" in complaint(run)
        assert "not read" in run.summaries["jobs"]
