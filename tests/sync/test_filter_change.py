"""Filters that change between two runs: which change loses rows, and what each way on costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.errors import StateError
from tap_jobo.streams import FEEDS, SETTINGS
from tap_jobo.streams.jobs import JOBS
from tap_jobo.sync.state import read_state
from tests.support import Run, Tap, complaint, complaints
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


@pytest.mark.parametrize("filters", [{"jobs_posted_after": "x"}, {"jobs_sources": [{}]}])
def test_state_with_impossible_filters_is_refused(filters: Any) -> None:
    with pytest.raises(StateError, match="must hold strings and lists of strings"):
        read_state({"filters": filters}, JOBS)


def test_a_filter_that_this_version_does_not_know_ends_the_run(tap: Tap) -> None:
    state = tap.run().state
    state["bookmarks"]["career_sites"]["filters"]["revenue"] = None
    assert tap.run(state=state).returncode == 0
    state["bookmarks"]["career_sites"]["filters"]["revenue"] = ["1M-10M"]
    requests = len(tap.sandbox.feed_requests)
    line = complaint(tap.run(state=state))
    assert "career_sites was written with the filter revenue" in line
    assert "Use the version that wrote the state, or start without a state" in line
    assert len(tap.sandbox.feed_requests) == requests


@pytest.mark.parametrize("spec", FEEDS, ids=lambda spec: str(spec.name))
def test_every_filter_selects_and_none_excludes(spec: Any) -> None:
    """A list that excludes needs a kind of its own: there, fewer values match more."""
    for setting in spec.filters:
        assert setting.description.startswith("Read only ")
        assert setting.narrows(None, "x")


@pytest.fixture
def two(tap: Tap) -> Run:
    """A complete run for two countries."""
    return tap.run(country_codes=["DE", "US"])


def test_lost_pages_without_a_row_are_no_reason_to_refuse(tap: Tap, two: Run) -> None:
    tap.run(state=two.state, country_codes=["DE"])  # whose state the target loses
    tap.succeed(state=two.state, country_codes=["US"])


def test_a_decision_for_all_streams_is_made_with_what_it_means_for_each(
    hiring: Sandbox, tmp_path: Path
) -> None:
    """For one of them, 'keep' leaves no row missing; for the other one it does."""
    tap = tap_of(hiring, tmp_path, "career_sites", "jobs")
    given: Any = {"jobs_work_models": ["remote"], "batch_size": 2, "jobs_batch_size": 10}
    first = tap.run(**given)
    for key in hiring.world.rows():
        hiring.world.touch(key)
    cut = tap.succeed(state=first.state, max_credits=100, **given)
    requests = len(hiring.feed_requests)
    more: Any = {"country_codes": ["DE"], "jobs_work_models": ["onsite", "remote"]}
    ours, theirs = complaints(tap.run(state=cut.state, **given | more))
    assert "The filters of career_sites have changed" in ours
    assert "no row is missing" in ours
    assert "The filters of jobs have changed" in theirs
    assert "only the new filters match stay missing" in theirs
    assert len(hiring.feed_requests) == requests
