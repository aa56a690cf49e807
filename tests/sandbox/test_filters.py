"""Each filter of the tap is one of the sandbox, which applies it."""

from __future__ import annotations

from typing import Any

import pytest

from jobo_sandbox import Sandbox
from jobo_sandbox.filters import FILTERS
from jobo_sandbox.ledger import Endpoint
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tests.sandbox.helpers import page

ENDPOINTS: dict[str, Endpoint] = {
    "career_sites": "feed",
    "jobs": "jobs",
    "managed_jobs": "managed_jobs",
    "expired_jobs": "expired_jobs",
}


@pytest.mark.parametrize("spec", FEEDS, ids=lambda spec: str(spec.name))
def test_the_sandbox_applies_each_filter(hiring: Sandbox, spec: FeedSpec) -> None:
    def items(**filters: Any) -> list[Any]:
        return list(page(hiring, path=spec.path, **filters)[spec.item_key])

    filters = FILTERS[ENDPOINTS[spec.name]]
    assert {*filters} == {*spec.filter_parameters.values()}, "a filter needs a line in FILTERS"
    ignored = {
        name
        for name, each in filters.items()
        for probe in each.probes
        if items(**{name: probe}) == items()
    }
    assert not ignored
