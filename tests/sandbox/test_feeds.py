"""Each feed and filter of the tap is one of the sandbox, which serves it as the contract check and
the tap expect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from jobo_sandbox import Sandbox
from jobo_sandbox.contract import command
from jobo_sandbox.contract.api import LIMIT, Api, most_requests
from jobo_sandbox.feeds import FEEDS as SERVED
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tests.sandbox.helpers import page
from tests.support import schema_message
from tests.support.jobs import rows_of, tap_of

each_feed = pytest.mark.parametrize("spec", FEEDS, ids=lambda spec: str(spec.name))


def test_the_feeds_are_those_of_the_sandbox() -> None:
    assert {
        spec.name: (spec.method, spec.path, spec.item_key, spec.since_parameter) for spec in FEEDS
    } == {
        name: (feed.method, feed.path, feed.item_key, feed.since_parameter)
        for name, feed in SERVED.items()
    }


@each_feed
def test_the_sandbox_applies_each_filter(hiring: Sandbox, spec: FeedSpec) -> None:
    def items(**filters: Any) -> list[Any]:
        return list(page(hiring, path=spec.path, **filters)[spec.item_key])

    filters = SERVED[spec.name].filters
    assert {*filters} == {*spec.filter_parameters.values()}, f"jobo_sandbox/feeds/{spec.name}.py"
    ignored = {
        name
        for name, each in filters.items()
        for probe in each.probes
        if items(**{name: probe}) == items()
    }
    assert not ignored


@each_feed
def test_its_rows_fit_the_schema_and_are_billed_once(
    hiring: Sandbox, tmp_path: Path, spec: FeedSpec
) -> None:
    tap = tap_of(hiring, tmp_path, spec.name)
    run = tap.succeed()
    rows = rows_of(run, spec.name)
    assert list(rows) == [key for page in hiring.requests_to(spec.name) for key in page.row_ids]
    validator = DEFAULT_JSONSCHEMA_VALIDATOR(schema_message(run, spec.name)["schema"])
    for row in rows.values():
        validator.validate(row)
        assert row.get("_rescued_data") is None
    assert run.lines("WARNING") == []
    assert hiring.credits_billed == len(rows) * spec.list_price
    assert rows_of(tap.succeed(state=run.state), spec.name) == {}
    assert hiring.credits_billed == len(rows) * spec.list_price


def test_the_sandbox_passes_the_contract_check() -> None:
    with command.sandbox() as sandbox:
        results = command.run(Api(sandbox.url, sandbox.api_key))
    found = {each["name"]: each["detail"] for each in results if each["outcome"] != "as documented"}
    assert found.keys() == {"cursor_lifetime", "jobs_cursor_alone"}, found
    assert sandbox.credits_billed <= LIMIT
    assert len(sandbox.ledger) <= most_requests()
