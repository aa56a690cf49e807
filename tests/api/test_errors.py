"""Answers and connections that end the run, and the key, which no error shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.errors import UnreachableError
from tests.support import Tap, complaint, shows_a_key

if TYPE_CHECKING:
    from jobo_sandbox import Shape
    from tests.support.client import FeedClient

PAGE = "<html><head><title>Oops</title></head><body>\n<h1>Bad\ngateway</h1></body></html>"


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "shape", "advice"),
        [
            (400, "problem", "settings"),
            (401, "message", "api_key"),
            (403, "problem", "plan"),
            (404, "message", "api_url"),
            (409, "problem", "api_url"),
            (418, "message", "api_url"),
        ],
    )
    def test_error_gives_status_message_and_advice_in_one_line(
        self, tap: Tap, sandbox: Sandbox, status: int, shape: Shape, advice: str
    ) -> None:
        sandbox.faults.add(Fault(status=status, shape=shape))
        line = complaint(tap.run())
        assert str(status) in line
        assert "This failure was injected" in line
        assert advice in line
        assert len(sandbox.feed_requests) == 1

    def test_gateway_error_page_is_not_shown(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(status=402, body=PAGE))
        run = tap.run()
        assert "402" in complaint(run)
        assert "gateway" not in run.stderr
        assert len(sandbox.feed_requests) == 1

    def test_body_without_a_message_leaves_the_status(self, tap: Tap, sandbox: Sandbox) -> None:
        body: dict[str, Any] = {"detail": None, "title": ["x"], "message": " ", "error": {}}
        sandbox.faults.add(Fault(status=403, body=body))
        assert "403" in complaint(tap.run())

    def test_multiline_message_becomes_one_line(self, tap: Tap, sandbox: Sandbox) -> None:
        said = "First line\r\nsecond\u2028third\x1b[31m " + "x" * 5_000
        sandbox.faults.add(Fault(status=400, body={"detail": said}))
        line = complaint(tap.run())
        assert "First line second third" in line
        assert "\x1b" not in line
        assert len(line) < 1_000

    def test_empty_balance_names_required_and_available_credits(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        sandbox.error_shape, sandbox.balance = "message", 1_234
        line = complaint(tap.run())
        assert "402" in line
        assert "2,500" in line
        assert "1,234" in line
        assert "top up" in line
        assert len(sandbox.feed_requests) == 1

    def test_empty_balance_in_the_middle_keeps_the_scan(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.balance = 3_000
        run = tap.run()
        assert "402" in complaint(run)
        assert "2,500" in complaint(run)
        assert len(run.ids) == 50
        assert run.bookmark["scan"]["rows"] == 50

    def test_402_names_the_page_size_setting(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.balance = 1_234
        line = complaint(tap.run())
        assert "batch_size" in line
        assert "keeps its page size" in line

    def test_rejected_key_is_reported_once(self, tap: Tap, sandbox: Sandbox) -> None:
        body = {"detail": "The API key is missing, wrong or revoked."}
        sandbox.faults.add(Fault(status=401, body=body))
        line = complaint(tap.run())
        assert line.count("wrong or revoked") == 1
        assert line.count("missing") == 1

    def test_wrong_key_is_rejected_by_the_api(self, tap: Tap, sandbox: Sandbox) -> None:
        line = complaint(tap.run(api_key="jbe_live_wrong"))
        assert "401" in line
        assert "api_key" in line
        (request,) = sandbox.ledger
        assert request.endpoint == "clock"


class TestRedirects:
    def test_redirect_is_an_error_and_is_not_followed(self, tap: Tap, sandbox: Sandbox) -> None:
        with Sandbox(size=1) as other:
            location = f"{other.url}/api/career-sites/feed"
            sandbox.faults.add(Fault(status=307, headers={"Location": location}, times=None))
            line = complaint(tap.run())
            assert other.ledger == []
        assert "307" in line
        assert "api_url" in line
        assert len(sandbox.feed_requests) == 1

    def test_redirect_to_the_same_host_is_an_error_too(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(redirect=f"{sandbox.url}/api/career-sites/feed"))
        assert "302" in complaint(tap.run())
        assert len(sandbox.feed_requests) == 1


class TestKey:
    def test_it_is_in_no_log_and_no_file(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(status=403), on=2)
        run = tap.run(env={"LOGLEVEL": "DEBUG"}, journal_dir=str(tap.folder / "journal"))
        complaint(run)
        assert run.lines("DEBUG")
        journal = [path for path in (tap.folder / "journal").rglob("*") if path.is_file()]
        assert journal
        assert not any(sandbox.api_key.encode() in path.read_bytes() for path in journal)

    @pytest.mark.parametrize(("status", "level"), [(400, "DEBUG"), (401, "INFO")])
    def test_error_that_quotes_it(
        self, tap: Tap, sandbox: Sandbox, level: str, status: int
    ) -> None:
        said = f"No access for {sandbox.api_key}: " + "x" * 250 + sandbox.api_key
        sandbox.faults.add(Fault(status=status, body={"detail": said}))
        run = tap.run(env={"LOGLEVEL": level})
        assert "No access for" in complaint(run)
        assert sandbox.api_key[:20] not in run.stderr

    def test_retried_error_that_quotes_it(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(
            Fault(status=503, headers={"Retry-After": "0.01"}, body={"detail": sandbox.api_key})
        )
        run = tap.run(env={"LOGLEVEL": "DEBUG"})
        assert run.returncode == 0
        assert run.lines("WARNING")
        assert not shows_a_key(run)

    def test_rows_that_quote_it(self, tap: Tap, sandbox: Sandbox) -> None:
        key = sandbox.api_key
        good, bad, *_ = sandbox.world.rows()
        sandbox.world.touch(good, name=f"{key} Inc.", website=[key])
        company = sandbox.world.company(good)
        assert company
        company.row[key] = 1
        sandbox.world.touch(bad, id=key)
        run = tap.run(env={"LOGLEVEL": "DEBUG"})
        assert run.returncode == 0
        assert len(run.lines("ERROR")) == 2
        assert not shows_a_key(run)
        files = [path for path in (tap.folder / "journal").rglob("*") if path.is_file()]
        assert not any(key.encode() in path.read_bytes() for path in files)

    def test_location_that_quotes_it(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(redirect=f"https://example.invalid/?key={sandbox.api_key}"))
        complaint(tap.run(env={"LOGLEVEL": "DEBUG"}))

    def test_headers_that_quote_it(self, tap: Tap, sandbox: Sandbox) -> None:
        names = ("X-Credits-Deducted", "X-Credits-Balance", "X-RateLimit-Reset", "Date")
        headers = dict.fromkeys(names, sandbox.api_key)
        sandbox.faults.add(Fault(headers=headers, times=None))
        run = tap.run(env={"LOGLEVEL": "DEBUG"})
        assert run.returncode == 0
        assert not shows_a_key(run)


class TestConnection:
    def test_host_that_goes_away_ends_the_run_after_five_minutes(
        self, sandbox: Sandbox, feed: FeedClient
    ) -> None:
        sandbox.close()
        with pytest.raises(UnreachableError, match="cannot be reached") as failure:
            feed.page()
        assert 240 < feed.clock.passed <= 300
        assert "\n" not in str(failure.value)

    def test_invalid_certificate_fails_at_once(self, tap: Tap, sandbox: Sandbox) -> None:
        line = complaint(tap.run(api_url=sandbox.url.replace("http:", "https:")))
        assert "api_url" in line
        assert "certificate" in line
        assert sandbox.ledger == []
