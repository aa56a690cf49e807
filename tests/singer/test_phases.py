"""The three phases of a run: loading without Jobo, and buying without a warehouse."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.archive.helpers import Warehouse
from tests.support import Tap
from tests.support.archives import files_of
from tests.support.catalog import tap_of
from tests.support.clock import with_clock
from tests.support.process import Run

STREAMS = ("career_sites", "expired_jobs", "jobs")
DAY = 24 * 3600.0


@pytest.fixture
def tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with an archive that has all."""
    made = tap_of(hiring, tmp_path, *STREAMS)
    made.settings["lookback_minutes"] = 0
    made.succeed()
    return made


def tables(run: Run) -> dict[str, int]:
    """Return how many rows each table gets."""
    return {name: len(run.of(name).records) for name in STREAMS}


def touch(sandbox: Sandbox, count: int) -> None:
    for key in [*sandbox.world.rows()][:count]:
        sandbox.world.touch(key)


class TestWithoutJobo:
    def test_nobody_is_there(self, tap: Tap) -> None:
        tap.sandbox.close()
        run = tap.quick.fail(code="api-unavailable")
        assert all(tables(run).values())
        assert all(name in run.complaint for name in STREAMS)

    @pytest.mark.parametrize("offset", [-1.1 * DAY, 1.1 * DAY])
    def test_its_clock_is_off_by_more_than_a_day(self, tap: Tap, offset: float) -> None:
        tap.sandbox.clock_offset = offset
        billed = tap.sandbox.rows_billed
        assert all(tables(tap.fail(code="clock-wrong")).values())
        assert tap.sandbox.rows_billed == billed

    @pytest.mark.parametrize("hours", [-23, 23])
    def test_a_local_clock_that_is_off_loses_and_bills_nothing(
        self, tap: Tap, hours: float
    ) -> None:
        billed = tap.sandbox.rows_billed
        rows = tables(tap.succeed())
        run = with_clock(tap, timedelta(hours=hours)).succeed()
        assert tables(run) == rows
        assert run.codes("WARNING") == ["clock-wrong"]
        assert tap.sandbox.rows_billed == billed

    def test_a_proxy_fails(self, tap: Tap) -> None:
        bad, requests = Fault(status=502, times=None), tap.sandbox.feed_requests
        for endpoint in ("clock", *STREAMS):
            tap.sandbox.faults.add(bad, endpoint=endpoint)
        run = tap.quick.fail(code="api-unavailable")
        assert tap.sandbox.feed_requests == requests  # a page may be billed behind a 502
        assert all(tables(run).values())
        assert all(name in run.complaint for name in STREAMS)

    def test_it_never_responds(self, tap: Tap) -> None:
        tap.sandbox.faults.add(Fault(hang=True, times=None), endpoint="clock")
        with tap.start() as process:
            assert process.stdout
            states = (json.loads(line) for line in process.stdout if '"STATE"' in line)
            assert any(len(each["value"]["bookmarks"]) == len(STREAMS) for each in states)
            process.kill()

    def test_companies_stop_only_career_sites(self, hiring: Sandbox, tmp_path: Path) -> None:
        tap = tap_of(hiring, tmp_path, *STREAMS)
        tap.succeed()
        everything = tap_of(hiring, tmp_path, *STREAMS, "companies")
        hiring.close()
        run = everything.quick.fail(code="api-unavailable")
        rows = tables(run)
        assert rows.pop("career_sites") <= 50
        assert all(rows.values())
        assert not run.of("companies").records

    def test_the_key_is_wrong(self, tap: Tap) -> None:
        tap.sandbox.faults.add(Fault(status=401, times=None))
        run = tap.run()
        assert {*run.error_codes} == {"access-denied"}
        assert all(tables(run).values())

    def test_the_next_run_goes_on_and_nothing_is_billed_again(self, tap: Tap) -> None:
        billed = tap.sandbox.rows_billed
        tap.sandbox.faults.add(Fault(status=503, times=None), endpoint="clock")
        tap.sandbox.faults.add(Fault(status=503, times=None), endpoint="career_sites")
        run = tap.quick.run()
        tap.sandbox.faults.clear()
        tap.succeed(state=run.state)
        assert tap.sandbox.rows_billed == billed

    def test_without_credits_no_connection_is_attempted(self, tap: Tap) -> None:
        paid = tap_of(tap.sandbox, tap.folder, "career_sites", "jobs")
        sent = len(tap.sandbox.ledger)
        run = paid.succeed(max_credits=0)
        assert tables(run)["career_sites"]
        assert len(tap.sandbox.ledger) == sent

    def test_a_plan_sends_no_request(self, tap: Tap) -> None:
        sent = len(tap.sandbox.ledger)
        assert "buy: changes since" in tap.succeed("--plan").stdout
        assert len(tap.sandbox.ledger) == sent

    def test_a_question_about_one_stream_leaves_only_that_one_unloaded(
        self, hiring: Sandbox, tmp_path: Path
    ) -> None:
        tap = tap_of(hiring, tmp_path, *STREAMS)
        tap.succeed(country_codes=["DE"])
        billed = hiring.rows_billed
        rows = tables(tap.fail(code="filters-changed"))
        assert rows.pop("career_sites") == 0
        assert all(rows.values())
        assert hiring.rows_billed == billed


class TestBuy:
    def test_it_buys_into_the_archive_and_a_pipeline_loads_it_free(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        tap = Tap(sandbox, tmp_path, {"lookback_minutes": 0})
        run = tap.succeed("--buy")
        assert run.stdout == ""
        assert "120 rows in 3 pages" in run.summaries["career_sites"]
        assert run.metrics["jobo_credits"] == sandbox.credits_billed > 0
        loaded = tap.succeed(max_credits=0)
        assert {*loaded.ids} == sandbox.world.rows().keys()
        assert tap.succeed("--buy").metrics["jobo_credits"] == 0
        assert sandbox.rows_billed == 120

    def test_it_stops_at_its_limit_and_goes_on(self, sandbox: Sandbox, tmp_path: Path) -> None:
        tap = Tap(sandbox, tmp_path)
        assert tap.succeed("--buy", max_credits=2500).codes("WARNING") == ["limit-reached"]
        assert "after 50 rows" in tap.succeed("--buy", "--plan").stdout
        tap.succeed("--buy")
        assert Warehouse(tap).rows_billed() == 0
        assert sandbox.rows_billed == 120

    def test_it_goes_on_where_a_pipeline_was(self, sandbox: Sandbox, tmp_path: Path) -> None:
        tap = Tap(sandbox, tmp_path, {"lookback_minutes": 0})
        state = tap.succeed().state
        touch(sandbox, 3)
        tap.succeed("--buy")
        assert tap.succeed(state=state, max_credits=0).loaded == 3
        assert sandbox.rows_billed == 123

    def test_wider_filters_are_a_question(self, sandbox: Sandbox, tmp_path: Path) -> None:
        tap = Tap(sandbox, tmp_path)
        tap.succeed("--buy", country_codes=["DE"])
        billed = sandbox.rows_billed
        tap.fail("--buy", code="filters-changed")
        assert sandbox.rows_billed == billed

    def test_it_has_no_state_and_needs_an_archive(self, sandbox: Sandbox, tmp_path: Path) -> None:
        tap = Tap(sandbox, tmp_path)
        state: dict[str, Any] = {}
        assert "--state" in tap.refuse("--buy", state=state, code="invalid-setting")
        assert "'archive'" in tap.refuse("--buy", archive=False, code="invalid-setting")

    def test_other_streams_have_nothing_to_buy(self, hiring: Sandbox, tmp_path: Path) -> None:
        tap = tap_of(hiring, tmp_path, "billed_pages", "career_sites", "companies")
        run = tap.succeed("--buy")
        assert run.stdout == ""
        assert any("billed_pages and companies" in line for line in run.lines("INFO"))
        assert hiring.requests_to("profile") == []

    def test_a_damaged_page_at_the_head_ends_it(self, sandbox: Sandbox, tmp_path: Path) -> None:
        tap = Tap(sandbox, tmp_path)
        tap.succeed("--buy")
        files = files_of(tap)
        files.damage(files.pages[-1])
        tap.fail("--buy", code="archive-damaged")
        assert sandbox.rows_billed == 120


class TestStateOfAnotherTap:
    def state(self, **bookmark: Any) -> dict[str, Any]:
        own = {"replication_key": "updated_at", "replication_key_signpost": None} | bookmark
        return {"bookmarks": {"career_sites": own}}

    def test_it_is_taken_at_its_word(self, sandbox: Sandbox, tmp_path: Path) -> None:
        tap = Tap(sandbox, tmp_path, {"lookback_minutes": 0})
        now = sandbox.now().isoformat()
        run = tap.succeed(state=self.state(replication_key_value=now))
        assert run.codes("WARNING") == ["adopted"]
        assert (run.ids, run.bookmark["offset"]) == ([], 1)  # from now on, it is one of this tap
        touch(sandbox, 2)
        again = tap.succeed(state=run.state)
        assert (len(again.ids), again.codes("WARNING")) == (2, [])
        assert sandbox.rows_billed == 2
        tap.fail(code="archive-lacks-rows")
        assert sandbox.rows_billed == 2

    def test_pages_from_before_do_not_replace_its_rows(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        tap = Tap(sandbox, tmp_path, {"lookback_minutes": 0})
        tap.succeed()
        state = self.state(replication_key_value=sandbox.now().isoformat())
        assert tap.succeed(state=state, max_credits=0).ids == []

    def test_one_in_the_future_is_found_before_a_purchase(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        tap = Tap(sandbox, tmp_path)
        state = self.state(replication_key_value="9999-01-01")
        for most in (None, 0):  # a run that only loads would deliver no page until then
            run = tap.fail(code="future-bookmark", state=state, max_credits=most)
            assert "replication_key_value" in run.stderr
            assert run.codes("WARNING") == []
        assert sandbox.ledger == []
        soon = (sandbox.now() + timedelta(hours=1)).isoformat()
        tap.fail(code="future-bookmark", state=self.state(replication_key_value=soon))
        assert sandbox.feed_requests == []

    def test_what_an_older_archive_lacks_is_bought_with_a_warning(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        tap = Tap(sandbox, tmp_path, {"lookback_minutes": 0})
        tap.succeed()
        touch(sandbox, 2)
        sandbox.clock_offset += 60
        state = self.state(replication_key_value=sandbox.now().isoformat())
        run = tap.succeed(state=state)
        assert run.codes("WARNING") == ["adopted", "archive-behind"]
        assert (len(run.ids), sandbox.rows_billed) == (2, 122)

    @pytest.mark.parametrize(
        "bookmark",
        [
            {},
            {"replication_key_value": None},
            {"replication_key_value": 7},
            {"replication_key_value": "yesterday"},
            {"replication_key_value": "2026-01-01", "replication_key": "id"},
            {"replication_key_value": "2026-01-01", "offset": 1},
        ],
    )
    def test_anything_else_is_refused(
        self, sandbox: Sandbox, tmp_path: Path, bookmark: dict[str, Any]
    ) -> None:
        tap = Tap(sandbox, tmp_path)
        tap.refuse(state=self.state(**bookmark), code="invalid-state")
