"""Each filter of the tap is one of the sandbox, which applies it."""

from __future__ import annotations

from typing import Any

import pytest

from jobo_sandbox import Sandbox, feeds
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tests.sandbox.helpers import page


@pytest.mark.parametrize("spec", FEEDS, ids=lambda spec: str(spec.name))
def test_the_sandbox_applies_each_filter(hiring: Sandbox, spec: FeedSpec) -> None:
    def items(**filters: Any) -> list[Any]:
        return list(page(hiring, path=spec.path, **filters)[spec.item_key])

    filters = feeds.FEEDS[spec.name].filters
    assert {*filters} == {*spec.filter_parameters.values()}, (
        "a filter needs a line in the sandbox's feed"
    )
    ignored = {
        name
        for name, each in filters.items()
        for probe in each.probes
        if items(**{name: probe}) == items()
    }
    assert not ignored
