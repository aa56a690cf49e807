"""Filters that change between two runs: which change loses rows, and what each way on costs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.streams import FEEDS, SETTINGS
from tests.archive.helpers import change
from tests.support import Tap
from tests.support.archives import files_of
from tests.support.jobs import tap_of

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


@pytest.mark.parametrize("spec", FEEDS, ids=lambda spec: str(spec.name))
def test_every_filter_selects_and_none_excludes(spec: Any) -> None:
    """A list that excludes needs a kind of its own: there, fewer values match more."""
    for setting in spec.filters:
        assert setting.description.startswith("Read only ")
        assert setting.narrows(None, "x")


def test_a_price_is_at_least_what_the_same_rows_have_cost(tap: Tap) -> None:
    """Two filters are wider, so all rows are bought, and those of before match as well."""
    settings: Any = {"country_codes": ["DE"], "founded_after": 1900}
    run = tap.succeed(**settings)
    tap.sandbox.world.touch(run.ids[0])
    state = tap.succeed(state=run.state, **settings).state  # which costs more, but no other rows
    line = tap.run(state=state, country_codes=["DE", "FR"], founded_after=1850).complaint
    least = f"${len(run.ids) * 0.05:.2f}"
    assert f"(at least {least}; $50.00 per 1,000 rows)" in line
    line = tap.run(state=state, country_codes=["FR"], founded_after=1850).complaint
    assert "($50.00 per 1,000 rows)" in line


# Several streams


@pytest.fixture
def both(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with two feeds, and filters of one of them."""
    tap = tap_of(hiring, tmp_path, "career_sites", "jobs")
    tap.settings |= {"batch_size": 2, "jobs_batch_size": 10, "jobs_work_models": ["remote"]}
    return tap


def test_the_questions_of_all_streams_are_asked_before_any_is_billed(
    both: Tap, hiring: Sandbox
) -> None:
    state = both.succeed(country_codes=["US"]).state
    hiring.world.touch(next(iter(hiring.world.rows())))
    jobs: Any = {"jobs_work_models": ["onsite", "remote"]}
    requests = len(hiring.feed_requests)
    run = both.run(state=state, country_codes=["DE"], **jobs)
    ours, theirs = run.complaints
    assert re.search(r"\bcareer_sites\b.*\bcountry_codes\b.*\bUS\b.*\bDE\b", ours)
    assert "$50.00 per 1,000" in ours
    assert re.search(r"\bjobs\b.*\bjobs_work_models\b.*\bremote\b.*\bonsite, remote\b", theirs)
    assert "jobs_work_models=onsite ($3.00 per 1,000 rows)" in theirs
    assert run.codes("CRITICAL") == ["filters-changed"] * 2
    run = both.fail(code="filters-changed", state=state, country_codes=["US"], **jobs)
    assert run.summaries["career_sites"].startswith("not read ")
    assert run.records == []
    asked = both.run("--plan", state=state, country_codes=["US"], **jobs).stdout
    assert asked.count("[filters-changed]") == 1
    answered = both.run("--plan", state=state, on_filter_change="resync", **jobs).stdout
    assert "[filters-changed]" not in answered
    assert re.search(r"added values \(.*\), and then", answered)
    assert len(hiring.feed_requests) == requests


def test_a_damaged_page_stops_only_its_own_stream(both: Tap) -> None:
    both.settings["country_codes"] = ["US"]
    first = both.succeed()
    change(both, next(iter(first.of("career_sites").rows)))
    both.succeed(state=first.state)
    files = files_of(both)
    files.damage([page for page in files.pages if "career_sites" in page][-1])
    plan = both.run("--plan", state=first.state).stdout
    assert plan.count("[archive-damaged]") == plan.count("  ask: ") == 1
    run = both.fail(code="archive-damaged", state=first.state)
    assert "; sync complete." in run.summaries["jobs"]


def test_the_limits_of_all_streams_are_checked_at_once(both: Tap) -> None:
    both.settings |= {"batch_size": 50, "jobs_batch_size": 1_000}
    said = both.run(max_credits=2_400).complaints
    assert [line.split()[0] for line in said] == ["career_sites", "jobs"]


def test_one_decision_is_for_all_streams(both: Tap, hiring: Sandbox) -> None:
    """For one of them, it leaves no row missing, so only the other one warns."""
    state = both.succeed().state
    change: Any = {"country_codes": ["DE"], "jobs_work_models": ["onsite", "remote"]}
    run = both.succeed(state=state, on_filter_change="keep", **change)
    (warning,) = run.messages_of("WARNING", "filters-applied")
    assert warning.startswith("jobs: ")
    assert run.of("jobs").rows.keys() < hiring.world.jobs().keys()
    assert [warned.split()[2] for warned in run.messages_of("WARNING", "gap")] == ["jobs"]
