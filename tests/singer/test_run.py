"""What the streams of a run share: questions, one budget, figures, and the locks of all feeds."""

import re
from pathlib import Path
from typing import Any

import pytest
import requests

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api.session import ApiSession
from tests.archive.helpers import change
from tests.support import Run, Tap, discover, selecting, tap_of
from tests.support.archives import files_of
from tests.support.crash import cut_in_request, run_meanwhile

pytestmark = pytest.mark.slow


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap with two feeds that cost something."""
    catalog = selecting(discover(), jobs=True)
    return Tap(sandbox, tmp_path, {"jobs_batch_size": 10}, catalog=catalog)


@pytest.fixture
def filtered(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with two feeds, and filters of one of them."""
    tap = tap_of(hiring, tmp_path, "career_sites", "jobs")
    tap.settings |= {"batch_size": 2, "jobs_batch_size": 10, "jobs_work_models": ["remote"]}
    return tap


def complete_by_stream(run: Run) -> dict[str, float]:
    points = [each for each in run.points if each["metric"] == "jobo_sync_complete"]
    return {each["tags"]["stream"]: each["value"] for each in points}


def ends(run: Run) -> dict[str, str]:
    """How each stream ended that the run had come to."""
    points = [each for each in run.points if each["metric"] == "sync_duration"]
    return {each["tags"]["stream"]: each["tags"]["status"] for each in points}


def incomplete(run: Run) -> set[str]:
    """The streams whose summaries say that their sync is not complete."""
    return {name for name, text in run.summaries.items() if "sync not complete" in text}


def test_passwords_for_other_programs_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    url = "https://api.example"
    prepared = ApiSession(url, "key").prepare_request(requests.Request("POST", url))
    assert "Authorization" not in prepared.headers


class TestQuestions:
    """What all streams ask comes before a page is billed, and one answer is for all of them."""

    def test_the_filters_of_two_streams_changed(self, filtered: Tap, hiring: Sandbox) -> None:
        state = filtered.succeed(country_codes=["US"]).state
        hiring.world.touch(next(iter(hiring.world.rows())))
        jobs: Any = {"jobs_work_models": ["onsite", "remote"]}
        requests = len(hiring.feed_requests)
        run = filtered.run(state=state, country_codes=["DE"], **jobs)
        ours, theirs = run.complaints
        assert re.search(r"\bcareer_sites\b.*\bcountry_codes=DE\b", ours)
        assert re.search(r"\bjobs\b.*\bjobs_work_models=onsite\b", theirs)
        assert run.codes("CRITICAL") == ["filters-changed"] * 2
        run = filtered.fail(code="filters-changed", state=state, country_codes=["US"], **jobs)
        assert run.summaries["career_sites"] == "0 credits ($0.00); sync not complete."
        assert run.records == []
        asked = filtered.run("--plan", state=state, country_codes=["US"], **jobs).stdout
        assert asked.count("[filters-changed]") == 1
        answered = filtered.run("--plan", state=state, on_filter_change="resync", **jobs).stdout
        assert "[filters-changed]" not in answered
        assert re.search(r"added values \(.*\), and then", answered)
        assert len(hiring.feed_requests) == requests

    def test_one_decision_is_for_all_streams(self, filtered: Tap, hiring: Sandbox) -> None:
        """For one of them, it leaves no row missing, so only the other one warns."""
        state = filtered.succeed().state
        changed: Any = {"country_codes": ["DE"], "jobs_work_models": ["onsite", "remote"]}
        run = filtered.succeed(state=state, on_filter_change="keep", **changed)
        (warning,) = run.messages_of("WARNING", "filters-applied")
        assert warning.startswith("jobs: ")
        assert run.of("jobs").rows.keys() < hiring.world.jobs().keys()
        assert [warned.split()[2] for warned in run.messages_of("WARNING", "gap")] == ["jobs"]

    @pytest.mark.parametrize(
        ("settings", "code"),
        [({"country_codes": ["FR"]}, "filters-changed"), ({"max_credits": 2_499}, "limit-too-low")],
    )
    def test_free_streams_are_read(
        self, tap: Tap, sandbox: Sandbox, settings: Any, code: str
    ) -> None:
        tap.settings["country_codes"] = ["DE"]
        tap.catalog = selecting(tap.catalog, jobs=False, expired_jobs=True, billed_pages=True)
        state = tap.succeed().state
        sent, billed = len(sandbox.feed_requests), sandbox.credits_billed
        run = tap.fail(code=code, state=state, **settings)
        assert incomplete(run) == {"billed_pages", "career_sites"}
        assert complete_by_stream(run) == {"billed_pages": 0, "career_sites": 0, "expired_jobs": 1}
        assert len(sandbox.feed_requests) == sent
        assert sandbox.credits_billed == billed


class TestBudget:
    @pytest.mark.parametrize(("most", "read"), [(2_400, []), (2_999, ["career_sites"])])
    def test_one_that_covers_no_page_of_a_feed_is_refused_before_that_page(
        self, tap: Tap, sandbox: Sandbox, most: int, read: list[str]
    ) -> None:
        run = tap.run(max_credits=most, jobs_batch_size=1_000)
        assert run.returncode == 1
        assert {*run.error_codes} == {"limit-too-low"}
        asked = [entry.endpoint for entry in sandbox.ledger if entry.endpoint != "clock"]
        assert asked == read

    def test_one_covers_all_streams(self, hiring: Sandbox, tmp_path: Path) -> None:
        """20 career sites are 1,000 credits, a page of jobs is 90: the third does not fit."""
        names = ("career_sites", "companies", "expired_jobs", "jobs", "managed_jobs")
        tap, world = tap_of(hiring, tmp_path, *names), hiring.world
        tap.settings |= {"jobs_batch_size": 30, "batch_size": 20}
        first = tap.succeed(max_credits=1_250)
        assert hiring.credits_billed == 1_180
        assert first.codes("WARNING").count("limit-reached") == 2
        assert first.of("expired_jobs").rows
        complete = {"career_sites": 1, "companies": 1, "expired_jobs": 1}
        assert complete_by_stream(first) == {**complete, "jobs": 0, "managed_jobs": 0}
        second = tap.succeed(state=first.state, max_credits=2_500)
        assert first.of("jobs").rows.keys() | second.of("jobs").rows.keys() == world.jobs().keys()
        assert second.of("managed_jobs").rows.keys() == world.managed_jobs().keys()
        twice = dict.fromkeys(world.managed_jobs(), 2)
        assert hiring.billed_ids() == {**dict.fromkeys([*world.rows(), *world.jobs()], 1), **twice}


class TestOneStreamThatFails:
    """The others are read; what a state shows ends the run before a billed request."""

    def test_damaged_page(self, filtered: Tap) -> None:
        filtered.settings["country_codes"] = ["US"]
        first = filtered.succeed()
        change(filtered, next(iter(first.of("career_sites").rows)))
        filtered.succeed(state=first.state)
        files = files_of(filtered)
        files.damage([page for page in files.pages if "career_sites" in page][-1])
        plan = filtered.run("--plan", state=first.state).stdout
        assert plan.count("[archive-damaged]") == plan.count("  ask: ") == 1
        run = filtered.fail(code="archive-damaged", state=first.state)
        assert "; sync complete." in run.summaries["jobs"]

    def test_it_is_reported_at_once_and_at_the_end(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(status=403, times=2), endpoint="career_sites")
        (error,) = cut_in_request(tap, 2, billed=False).lines("ERROR")  # the one for jobs
        assert error.startswith("career_sites failed")
        run = tap.run()
        assert (run.error_code, len(run.lines("ERROR"))) == ("access-denied", 1)
        assert len(run.of("jobs").ids) == 40

    def test_each_one_that_fails_has_an_error(self, tap: Tap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(tap.catalog, expired_jobs=True)
        sandbox.faults.add(Fault(status=503, times=None), endpoint="career_sites")
        sandbox.faults.add(Fault(replace={"jobs": 1}), endpoint="jobs")
        run = tap.quick.run()
        assert run.codes("CRITICAL") == ["api-unavailable", "format-changed"]
        assert run.returncode == 1
        assert run.state["bookmarks"]["expired_jobs"]["replication_key_value"]
        assert ends(run) == {
            "career_sites": "failed",
            "expired_jobs": "succeeded",
            "jobs": "failed",
        }

    def test_every_stream_of_a_run_that_ends_early_has_a_summary(
        self, hiring: Sandbox, tmp_path: Path
    ) -> None:
        """A key that is revoked ends the run, which has written some rows, and a bill."""
        names = ("billed_pages", "career_sites", "companies", "jobs")
        tap = tap_of(hiring, tmp_path, *names)
        hiring.faults.add(Fault(status=401, times=None), endpoint="career_sites", on=2)
        run = tap.fail(code="access-denied", batch_size=5)
        assert complete_by_stream(run) == dict.fromkeys(run.summaries, 0)
        assert run.summaries.keys() == incomplete(run) == {*names}
        assert ends(run)["career_sites"] == "failed"
        assert "5 rows in 1 page" in run.summaries["career_sites"]
        assert run.summaries["billed_pages"].startswith("1 row,")
        again = tap.run(batch_size=5)  # which fails at once
        assert again.summaries["billed_pages"].startswith("1 row,")


def test_a_state_of_another_environment_of_meltano_ends_the_run(tap: Tap) -> None:
    """Two runs of one project overwrite its file for each other. A test needs no state."""
    prod = {"MELTANO_ENVIRONMENT": "prod"}
    state = tap.succeed(env={"MELTANO_ENVIRONMENT": "dev"}).state
    tap.refuse(state=state, env=prod, code="other-environment")
    tap.succeed("--test", state=state, env=prod)
    for name in ("dev", ""):
        tap.succeed(state=state, env={"MELTANO_ENVIRONMENT": name})
    tap.succeed(state={**state, "environment": None}, env=prod)


class TestFirstSync:
    """The WARNING before a first sync that buys every row."""

    def test_it_is_one_for_each_feed_without_limits(self, tap: Tap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(tap.catalog, expired_jobs=True)  # which is free
        run = tap.succeed(max_credits=None)
        assert run.codes("WARNING") == ["no-limit", "no-limit"]
        assert run.stderr.index("[no-limit]") < run.stderr.index("Summary")
        assert {entry.headers["accept-encoding"] for entry in sandbox.ledger} == {"gzip"}
        assert tap.run(max_credits=None, state=run.state).codes("WARNING") == []

    @pytest.mark.parametrize(
        "limit",
        [
            {"max_credits": 2_500},
            {"max_credits": None, "start_date": "2020-01-01"},
            {"max_credits": None, "is_agency": False},
            {"max_credits": None, "stream_maps": {"career_sites": None}},
        ],
    )
    def test_a_limit_is_enough(self, tap: Tap, limit: dict[str, Any]) -> None:
        tap.catalog = selecting(tap.catalog, jobs=False)
        run = tap.succeed(**limit)
        assert "no-limit" not in run.codes("WARNING")


def test_a_stream_that_another_run_buys_is_loaded_and_the_others_are_read(
    tap: Tap, sandbox: Sandbox
) -> None:
    both, others = tap.catalog, []
    tap.catalog = selecting(both, career_sites=False)

    def run_another(_: object) -> None:
        others.append(tap.quick.run(catalog=both))

    run = run_meanwhile(tap, run_another, endpoint="jobs", when=lambda e: bool(e.cursor))
    assert run.returncode == 0, run.stderr
    (other,) = others
    assert other.error_code == "run-in-progress"
    assert len(other.of("career_sites").ids) == 120
    assert other.of("jobs").ids == run.of("jobs").ids[:10]
    billed = sandbox.credits_billed
    later = tap.succeed(catalog=both, state=other.state)
    assert later.of("jobs").ids == run.of("jobs").ids[10:]
    assert sandbox.credits_billed == billed
