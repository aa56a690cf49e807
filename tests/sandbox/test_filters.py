"""Each filter of the tap is known to the contract check and to the documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from jobo_sandbox.contract.feed_checks import OF_NO_ROW, OPPOSITES
from tap_jobo.streams import FEEDS
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.jobs import MANAGED_JOBS
from tests.sandbox.helpers import page
from tests.support.docs import block

FILTERED = [feed for feed in FEEDS if feed.filters and feed is not MANAGED_JOBS]
"""Managed jobs have some of the filters of jobs."""


@pytest.mark.parametrize("spec", FILTERED, ids=lambda spec: str(spec.name))
def test_each_filter_is_checked_against_the_api(spec: FeedSpec) -> None:
    unchecked = {*spec.filter_parameters.values()} - {*OF_NO_ROW, *OPPOSITES}
    assert not unchecked, "feed_checks.py needs a value that no row has, or two opposite ones"


@pytest.mark.parametrize("spec", FILTERED, ids=lambda spec: str(spec.name))
def test_the_sandbox_applies_each_filter(hiring: Sandbox, spec: FeedSpec) -> None:
    def items(**filters: Any) -> list[Any]:
        return list(page(hiring, path=spec.path, **filters)[spec.item_key])

    ignored = {
        name
        for name in spec.filter_parameters.values()
        for value in OPPOSITES.get(name) or [OF_NO_ROW[name]]
        if items(**{name: value}) == items()
    }
    assert not ignored, "jobo_sandbox/queries.py does not apply them"


def test_the_state_of_the_documents_has_each_filter() -> None:
    state = json.loads(block("state"))["bookmarks"]["career_sites"]
    names = [setting.name for setting in CAREER_SITES.filters]
    for filters in (state["filters"], state["sync"]["filters"]):
        assert [*filters] == names, "docs/reference/state.md"
