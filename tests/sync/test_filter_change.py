"""Filters that change between two runs: which change loses rows, and what each way on costs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.streams import FEEDS, SETTINGS
from tap_jobo.streams.jobs import JOBS
from tap_jobo.sync.settings import SyncSettings
from tap_jobo.sync.state import read_state
from tests.archive.helpers import Warehouse, change, damage, pages, refused
from tests.support import Run, Tap, complaint, complaints, error_code
from tests.support.jobs import bookmark_of, rows_of, tap_of

NAMED = {setting.name: setting for setting in SETTINGS}
GERMANY, BERLIN = {"country": "Germany"}, {"country": "Germany", "city": "Berlin"}
CHANGES: list[tuple[str, Any, Any, bool]] = [
    ("country_codes", ["DE", "US"], ["US"], True),
    ("country_codes", ["DE", "US"], ["FR", "US"], False),
    ("country_codes", ["DE"], ["DE", "US"], False),
    ("country_codes", ["DE"], [], False),  # the last value of a list: now all match
    ("country_codes", None, ["DE"], True),
    ("country_codes", ["DE", "DE"], ["DE"], True),
    ("is_agency", None, False, True),
    ("is_agency", False, True, False),
    ("founded_after", 2000, 2001, True),
    ("founded_after", 2000, 1999, False),
    ("jobs_posted_after", "2020-01-01", "2020-01-02T00:00:00Z", True),
    ("jobs_posted_after", "2020-01-01", "2019-12-31T23:59:59Z", False),
    ("jobs_posted_after", "2020-01-01", "2020-01-01T00:00:00Z", True),
    ("jobs_locations", [GERMANY, {"country": "France"}], [GERMANY], True),
    ("jobs_locations", [GERMANY], [BERLIN], True),
    ("jobs_locations", [BERLIN], [GERMANY], False),
    ("jobs_locations", [BERLIN], [{"country": "Germany", "city": "Bonn"}], False),
    ("jobs_locations", [GERMANY], [BERLIN, {"city": "Paris"}], False),
    ("on_filter_change", "error", "keep", False),  # no filter: nothing says how its values relate
    ("founded_after", "1999", 2000, False),  # a state that someone has edited
    ("jobs_locations", [5], [BERLIN], False),
]


@pytest.mark.parametrize(("name", "old", "new", "is_narrower"), CHANGES)
def test_narrowing_matches_nothing_new(name: str, old: Any, new: Any, *, is_narrower: bool) -> None:
    setting = NAMED[name]
    old, new = (setting.type.normalize(value) for value in (old, new))
    assert setting.narrows(old, new) is is_narrower


@pytest.mark.parametrize("filters", [{"jobs_posted_after": "x"}, {"jobs_sources": [{}]}])
def test_state_with_impossible_filters_is_refused(filters: Any) -> None:
    config = {"on_filter_change": "error", "lookback_minutes": 15}
    settings = SyncSettings.of(JOBS, config)
    with pytest.raises(ValueError, match="lists of strings"):
        read_state({"filters": filters}, settings)


def test_a_filter_that_this_version_does_not_know_ends_the_run(tap: Tap) -> None:
    state = tap.succeed().state
    state["bookmarks"]["career_sites"]["filters"]["revenue"] = None
    tap.succeed(state=state)
    billed = tap.sandbox.rows_billed
    state["bookmarks"]["career_sites"]["filters"]["revenue"] = ["1M-10M"]
    run = tap.run(state=state)
    assert error_code(run) == "invalid-state"
    assert re.search(r"\bcareer_sites\b.*\brevenue\b", complaint(run))
    assert run.stdout == ""
    assert tap.sandbox.rows_billed == billed


@pytest.mark.parametrize("spec", FEEDS, ids=lambda spec: str(spec.name))
def test_every_filter_selects_and_none_excludes(spec: Any) -> None:
    """A list that excludes needs a kind of its own: there, fewer values match more."""
    for setting in spec.filters:
        assert setting.description.startswith("Read only ")
        assert setting.narrows(None, "x")


# An added value: only its rows are bought, and then what has changed of all

WIDER: Any = {"country_codes": ["DE", "FR", "US"], "batch_size": 5}
RESYNC: Any = {"on_filter_change": "resync", **WIDER}


def matching(tap: Tap, *countries: str) -> set[str]:
    return {*tap.run(country_codes=[*countries], archive=False).ids}


@pytest.fixture
def german(tap: Tap) -> Run:
    """A complete sync of one country."""
    return tap.succeed(country_codes=["DE"])


def cut_after_page(tap: Tap, state: Any) -> Run:
    """Buy the first page of the added rows; the budget allows no other."""
    return tap.succeed(state=state, max_credits=250, **RESYNC)


def test_filters_and_bookmark_stay_until_the_added_rows_are_complete(tap: Tap, german: Run) -> None:
    """Of the other rows, what changed was not read, so the bookmark must not move."""
    (changed, *_) = german.ids
    part = cut_after_page(tap, german.state)
    tap.sandbox.world.touch(changed, name="Newer")
    rest = tap.succeed(state=part.state, **WIDER)  # the setting was meant for one run
    assert "Newer" in {row["name"] for row in rest.records}
    _, *states = [state["bookmarks"]["career_sites"] for state in (*part.states, *rest.states)]
    during = [state for state in states if state["filters"]["country_codes"] == ["DE"]]
    assert {state["sync"]["kind"] for state in during} == {"added"}
    assert during[-1]["sync"]["reads"]["country_codes"] == ["FR", "US"]
    assert during[-1]["sync"]["filters"]["country_codes"] == ["DE", "FR", "US"]
    after = states[len(during)]
    assert after["filters"]["country_codes"] == ["DE", "FR", "US"]
    old = german.bookmark["replication_key_value"]
    assert {state["replication_key_value"] for state in (*during, after)} == {old}
    assert rest.bookmark["replication_key_value"] > old


def test_what_was_added_is_loaded_by_a_warehouse_that_stored_nothing_of_it(
    tap: Tap, german: Run
) -> None:
    """It needs no setting: the decision was made when the rows were bought."""
    cut_after_page(tap, german.state)
    billed = tap.sandbox.rows_billed
    rest = tap.succeed(state=german.state, **WIDER)
    assert rest.loaded == 5
    assert {*rest.ids} == matching(tap, "FR", "US")
    assert tap.sandbox.rows_billed - billed - len(matching(tap, "FR", "US")) < len(rest.ids)


def test_added_rows_keep_the_start_date(tap: Tap) -> None:
    tap.settings["start_date"] = "2020-01-01"
    run = tap.succeed(state=tap.succeed(country_codes=["DE"]).state, **RESYNC)
    states = [state["bookmarks"]["career_sites"] for state in run.states]
    assert {state["start_date"] for state in states} == {"2020-01-01T00:00:00.000000Z"}


def test_a_sync_of_added_rows_that_begins_over_keeps_its_filters(tap: Tap, german: Run) -> None:
    part = cut_after_page(tap, german.state)
    tap.sandbox.faults.add(Fault(reject_cursor="409"))
    rest = tap.succeed(state=part.state, **WIDER)
    assert {*rest.ids} == matching(tap, "FR", "US")


def test_added_locations_of_jobs_are_bought_alone(hiring: Sandbox, tmp_path: Path) -> None:
    tap = tap_of(hiring, tmp_path, "jobs")
    old: Any = {"jobs_locations": [{"country": "Germany"}]}
    new: Any = {"jobs_locations": [{"country": "Germany"}, {"country": "France"}]}
    state = tap.succeed(**old).state
    run = tap.succeed(state=state, on_filter_change="resync", **new)
    bodies = [entry.body for entry in hiring.requests_to("jobs")]
    first, last = bodies[-2:]
    assert first["locations"] == [{"country": "France"}]
    assert len(last["locations"]) == 2
    assert rows_of(run, "jobs")


def test_a_price_is_at_least_what_the_same_rows_have_cost(tap: Tap) -> None:
    """Two filters are wider, so all rows are bought, and those of before match as well."""
    settings: Any = {"country_codes": ["DE"], "founded_after": 1900}
    run = tap.succeed(**settings)
    tap.sandbox.world.touch(run.ids[0])
    state = tap.succeed(state=run.state, **settings).state  # which costs more, but no other rows
    line = complaint(tap.run(state=state, country_codes=["DE", "FR"], founded_after=1850))
    least = f"${len(run.ids) * 0.05:.2f}"
    assert re.search(rf"=resync .* \(at least \{least}; \$50\.00 per 1,000 rows\)", line)
    line = complaint(tap.run(state=state, country_codes=["FR"], founded_after=1850))
    assert re.search(r"=resync .* \(\$50\.00 per 1,000 rows\)", line)


def test_a_new_warehouse_is_told_of_rows_that_keep_left_unbought(tap: Tap, german: Run) -> None:
    kept = tap.succeed(state=german.state, country_codes=["DE", "FR"], on_filter_change="keep")
    assert kept.codes("WARNING") == ["filters-applied"]
    new = tap.succeed(country_codes=["DE", "FR"])
    (warning,) = new.messages_of("WARNING", "gap")
    assert f"at least ${len(german.ids) * 0.05:.2f}" in warning


# Several streams


@pytest.fixture
def both(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with two feeds, and filters of one of them."""
    tap = tap_of(hiring, tmp_path, "career_sites", "jobs")
    tap.settings |= {"batch_size": 2, "jobs_batch_size": 10, "jobs_work_models": ["remote"]}
    return tap


def test_the_questions_of_all_streams_are_asked_at_once(both: Tap, hiring: Sandbox) -> None:
    state = both.succeed(country_codes=["US"]).state
    change: Any = {"country_codes": ["DE"], "jobs_work_models": ["onsite", "remote"]}
    requests = len(hiring.feed_requests)
    run = both.run(state=state, **change)
    ours, theirs = complaints(run)
    assert re.search(r"^career_sites .*\bcountry_codes\b.*\bUS\b.*\bDE\b", ours)
    assert "$50.00 per 1,000" in ours
    assert re.search(r"^jobs .*\bjobs_work_models\b.*\bremote\b.*\bonsite, remote\b", theirs)
    assert "jobs_work_models=onsite ($3.00 per 1,000 rows)" in theirs
    assert run.codes("CRITICAL") == ["filters-changed"] * 2
    assert len(hiring.feed_requests) == requests


def test_a_question_of_one_stream_is_asked_before_the_others_are_billed(
    both: Tap, hiring: Sandbox
) -> None:
    state = both.succeed().state
    hiring.world.touch(next(iter(hiring.world.rows())))
    requests = len(hiring.feed_requests)
    run = both.run(state=state, jobs_work_models=["onsite", "remote"])
    assert error_code(run) == "filters-changed"
    assert run.summaries["career_sites"].startswith("not read ")
    assert run.records == []
    assert len(hiring.feed_requests) == requests


def test_a_plan_asks_what_a_run_would_ask(both: Tap, hiring: Sandbox) -> None:
    state = both.succeed().state
    requests = len(hiring.feed_requests)
    plan = both.run("--plan", state=state, jobs_work_models=["onsite", "remote"]).stdout
    assert plan.count("[filters-changed]") == 1
    added = both.run(
        "--plan", state=state, jobs_work_models=["onsite", "remote"], on_filter_change="resync"
    ).stdout
    assert "[filters-changed]" not in added
    assert re.search(r"added values \(.*\), and then", added)
    assert len(hiring.feed_requests) == requests


def test_a_plan_does_not_stop_other_streams_where_a_run_does_not(both: Tap) -> None:
    """A damaged page, and a question that comes after a load, concern their own stream."""
    first = both.succeed(country_codes=["US"])
    both.sandbox.world.touch(next(iter(rows_of(first, "career_sites"))))
    both.succeed(state=first.state, country_codes=["US"])
    asked: Any = {"state": first.state, "country_codes": ["DE"]}
    for damaged in (False, True):
        if damaged:
            sites = [page for page in pages(both.folder / "archive") if "career_sites" in str(page)]
            damage(sites[-1])
        plan = both.run("--plan", **asked).stdout
        assert "  ask: " in plan
        assert "nothing is read" not in plan
        assert "; sync complete." in both.run(**asked).summaries["jobs"]


def test_the_limits_of_all_streams_are_checked_at_once(both: Tap) -> None:
    both.settings |= {"batch_size": 50, "jobs_batch_size": 1_000}
    said = complaints(both.run(max_credits=2_400))
    assert [line.split()[0] for line in said] == ["career_sites", "jobs"]


def test_a_damaged_stream_has_its_ways_out_beside_a_question_of_another(both: Tap) -> None:
    state = both.succeed().state
    sites = [page for page in pages(both.folder / "archive") if "career_sites" in str(page)]
    damage(sites[-1])
    run = both.run(state=state, jobs_work_models=["onsite", "remote"])
    assert run.codes("CRITICAL") == ["filters-changed", "archive-damaged"]
    assert "drop career_sites" in run.stderr


def test_one_decision_is_for_all_streams(both: Tap, hiring: Sandbox) -> None:
    """For one of them, it leaves no row missing, so only the other one warns."""
    state = both.succeed().state
    change: Any = {"country_codes": ["DE"], "jobs_work_models": ["onsite", "remote"]}
    run = both.succeed(state=state, on_filter_change="keep", **change)
    (warning,) = run.messages_of("WARNING", "filters-applied")
    assert warning.startswith("jobs: ")
    assert rows_of(run, "jobs").keys() < hiring.world.jobs().keys()
    assert bookmark_of(run, "jobs")["gap"] is True
    assert bookmark_of(run, "career_sites")["gap"] is False


# Two pipelines in one archive


def test_a_pipeline_that_is_asked_goes_on_in_an_archive_of_its_own_free(tap: Tap) -> None:
    """With a standing `resync`, both would otherwise buy everything in turn, every night."""
    tap.settings |= {"on_filter_change": "resync", "lookback_minutes": 0}
    ours = Warehouse(tap)
    german = replace(tap, settings={**tap.settings, "country_codes": ["DE"]})
    theirs = Warehouse(german)
    ours.run()
    theirs.run()  # without a state, so it has answered
    keys = sorted(matching(tap, "DE"))[:3]
    billed = tap.sandbox.rows_billed
    for _ in range(2):
        run = tap.run(state=ours.state)
        assert error_code(run) == "other-filters"
        assert run.ids == []
        assert "archive_dir" in complaint(run)
        assert "=resync " not in complaint(run)  # which would not help
    tap.settings["archive_dir"] = str(tap.folder / "own")
    ours.run()
    assert tap.sandbox.rows_billed == billed
    for number, key in enumerate(keys, 1):
        change(tap, key, name=f"Changed {number}")
        german.oddities = tap.oddities
        for warehouse in (ours, theirs):
            assert warehouse.run().codes("WARNING") == []
        assert ours.is_current
    assert tap.sandbox.rows_billed == billed + 3 * 2


def test_a_pipeline_that_is_asked_may_take_the_archive_over(tap: Tap) -> None:
    """It loads what the archive has, and buys what that lacks. Then the other one is asked."""
    resync: Any = {"on_filter_change": "resync"}
    wider: Any = {"country_codes": ["DE", "FR"]}
    german: Any = {"country_codes": ["DE"]}
    ours = tap.succeed(**wider).state
    theirs = tap.succeed(**german, **resync).state
    assert refused(tap, ours, **wider, **resync) == "other-filters"
    billed = tap.sandbox.rows_billed
    run = tap.succeed(**wider, **resync)
    assert run.loaded == billed
    assert tap.sandbox.rows_billed - billed == len(matching(tap, "FR"))
    assert {*run.ids} == matching(tap, "DE", "FR")
    for state in (theirs, None):
        assert refused(tap, state, **german) == "other-filters"


def test_a_run_that_closes_a_gap_does_not_warn_of_it(tap: Tap) -> None:
    state = tap.succeed(country_codes=["DE"]).state
    tap.succeed(state=state, country_codes=["FR"], on_filter_change="keep")
    new = tap.succeed(country_codes=["US"], on_filter_change="resync")
    assert new.codes("WARNING") == ["filters-applied"]
    assert tap.succeed(state=new.state, country_codes=["US"]).lines("WARNING") == []
    assert tap.succeed(country_codes=["US"]).messages_of("WARNING", "gap") == []


@pytest.mark.parametrize("is_complete", [True, False])
def test_an_archive_is_offered_to_a_pipeline_of_another_one_if_it_has_all_rows(
    tap: Tap, *, is_complete: bool
) -> None:
    """Otherwise, a run without a state would ask the next question."""
    state = tap.succeed().state
    tap.settings["archive_dir"] = str(tap.folder / "another")
    tap.succeed(state=None if is_complete else state)
    tap.settings["archive_dir"] = str(tap.folder / "third")
    state = tap.succeed().state
    tap.settings["archive_dir"] = str(tap.folder / "another")
    assert refused(tap, state) == "other-archive"
    assert ("without a state" in complaint(tap.run(state=state)).lower()) is is_complete
    fresh = tap.run()
    assert fresh.codes("CRITICAL") == ([] if is_complete else ["archive-incomplete"])
