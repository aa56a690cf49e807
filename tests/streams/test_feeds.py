"""Each feed and filter of the tap is one of the sandbox, which serves it as the contract check and
the tap expect.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest
import requests
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.feed import Feed
from jobo_sandbox.feeds import FEEDS as SERVED
from jobo_sandbox.patience import patient
from tap_jobo.clock import parse_timestamp
from tap_jobo.settings.setting import Setting
from tap_jobo.streams import FEEDS, SETTINGS
from tap_jobo.streams.feed_spec import FeedSpec
from tests.archive.helpers import pass_time
from tests.support import tap_of

NEVER_SENT = {"updated_at"}
"""Fields that only some accounts get, of career sites."""
each_feed = pytest.mark.parametrize("spec", FEEDS, ids=lambda spec: str(spec.name))


def items_of(sandbox: Sandbox, spec: FeedSpec, **filters: Any) -> list[Any]:
    """The items of a feed's first page, asked for as any client would."""
    sent: Any = {"params" if spec.method == "GET" else "json": filters}
    headers = {"X-Api-Key": sandbox.api_key}
    response = requests.request(
        spec.method, sandbox.url + spec.path, headers=headers, timeout=patient(5), **sent
    )
    assert response.status_code == 200, response.text
    items: list[Any] = response.json()[spec.item_key]
    return items


def test_each_feed_of_the_sandbox_is_one_of_the_tap() -> None:
    assert {spec.name for spec in FEEDS} == SERVED.keys(), "tap_jobo/streams/__init__.py: FEEDS"


@each_feed
def test_it_is_declared_as_the_sandbox_serves_it(spec: FeedSpec) -> None:
    served = SERVED[spec.name]
    for name in ("method", "path", "item_key", "since_parameter", "since_is_inclusive"):
        what = f"{name}: tap_jobo/streams and jobo_sandbox/feeds/{spec.name}.py differ"
        assert getattr(spec, name) == getattr(served, name), what
    assert spec.page_cap == served.largest_page
    if spec.page_size_setting:
        assert spec.page_size_setting.type.schema["maximum"] == spec.page_cap


def test_no_two_settings_have_the_same_name() -> None:
    for settings in (SETTINGS, *(spec.filters for spec in FEEDS)):
        names = Counter(setting.name for setting in settings)
        assert [name for name, count in names.items() if count > 1] == []


@each_feed
def test_the_sandbox_applies_each_filter(hiring: Sandbox, spec: FeedSpec) -> None:
    filters = SERVED[spec.name].filters
    assert {*filters} == {*spec.filter_parameters.values()}, f"jobo_sandbox/feeds/{spec.name}.py"
    ignored = {
        name
        for name, each in filters.items()
        for probe in each.probes
        if items_of(hiring, spec, **{name: probe}) == items_of(hiring, spec)
    }
    assert not ignored


@each_feed
def test_what_narrows_a_filter_adds_no_row(hiring: Sandbox, spec: FeedSpec) -> None:
    """After such a change, a run goes on from the bookmark, so rows that it adds would be lost."""
    rows = items_of(hiring, spec)

    def ids(name: str, value: Any) -> set[str]:
        selected = items_of(hiring, spec, **({} if value is None else {name: value}))
        return {item["id"] for item in selected}

    for setting in spec.filters:
        name = spec.filter_parameters[setting.name]
        found = {str(value): value for value in _values(setting, SERVED[spec.name], name, rows)}
        for old, new in permutations([None, *found.values()], 2):
            if setting.narrows(old, new):
                more = ids(name, new) - ids(name, old)
                assert not more, f"{setting.name}: {new} narrows {old}, but selects more rows"


def _values(setting: Setting, served: Feed, name: str, rows: list[Any]) -> list[Any]:
    """Values of a filter that select different rows."""
    schema = setting.type.schema
    if "boolean" in schema["type"]:
        return [True, False]
    if "integer" in schema["type"]:
        numbers = (1, 5, 20, 100, 300, 1_000, 1_990, 2_005, 2_015, 10**9)
        return [number for number in numbers if setting.type.allows(number)]
    if schema.get("format") == "date-time":
        return [f"{day}T00:00:00.000000Z" for day in ("2000-01-01", "2026-01-01", "2999-01-01")]
    chosen = [served.filters[name].selecting(row) for row in rows]
    some = list({str(value): value for value in chosen if value}.values())[:3]
    if "array" in schema["type"]:
        some += [[*one, *other] for one, other in combinations(some, 2)]
    return some


def as_instants(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its times as such: a feed may spell them in another way."""

    def as_instant(value: Any) -> Any:
        with suppress(ValueError, TypeError):
            return parse_timestamp(value)
        return value

    return {name: as_instant(value) for name, value in row.items()}


@each_feed
def test_its_rows_arrive_as_they_are_fit_the_schema_and_are_billed_once(
    hiring: Sandbox, tmp_path: Path, spec: FeedSpec
) -> None:
    tap = tap_of(hiring, tmp_path, spec.name)
    run = tap.succeed()
    rows = run.of(spec.name).rows
    assert list(rows) == [key for page in hiring.requests_to(spec.name) for key in page.row_ids]
    validator = DEFAULT_JSONSCHEMA_VALIDATOR(run.of(spec.name).schema_message["schema"])
    for row in rows.values():
        validator.validate(row)
        assert row.get("_rescued_data") is None
    sent = {name for row in rows.values() for name in row if row[name] is not None}
    assert {*spec.field_names} - sent <= NEVER_SENT, (
        f"jobo_sandbox/feeds/{spec.name}.py has no value of these fields"
    )
    assert run.codes("WARNING") == []
    assert hiring.credits_billed == len(rows) * spec.list_price
    assert tap.succeed(state=run.state).of(spec.name).rows == {}
    assert hiring.credits_billed == len(rows) * spec.list_price
    for item in items_of(hiring, spec):
        if isinstance(item, dict):
            row = rows[item["id"]]
            assert as_instants(row) == as_instants({**dict.fromkeys(row), **item})


@each_feed
def test_a_sync_that_fails_goes_on_at_its_page_and_the_next_one_at_the_bookmark(
    hiring: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: FeedSpec
) -> None:
    tap = tap_of(hiring, tmp_path, spec.name)
    count = len(tap.succeed(archive_dir=str(tmp_path / "whole")).of(spec.name).rows)
    half = replace(SERVED[spec.name], usual_page=count // 2)
    monkeypatch.setitem(SERVED, spec.name, half)
    hiring.ignored = {"batch_size"}
    fault = Fault(status=400, body={"detail": "made-up failure"})
    hiring.faults.add(fault, endpoint=spec.name, on=3)
    billed = hiring.credits_billed
    assert "made-up failure" in tap.run().complaint
    # A `Date` has whole seconds, so the clock of a run can be behind that of one just before it.
    pass_time(tap, timedelta(seconds=2))
    run = tap.succeed()  # without a state: the target stored nothing
    assert len(run.of(spec.name).rows) == count
    assert run.loaded == count // 2
    assert hiring.credits_billed == billed + count * spec.list_price
    first, failed, again = (each.body for each in hiring.requests_to(spec.name)[1:])
    assert failed == again == {**first, "cursor": failed["cursor"]}
    if not spec.is_free:  # of which all that the API lists is read again
        tap.succeed(state=run.state)
        since = hiring.requests_to(spec.name)[-1].body[spec.since_parameter]
        bookmark = run.of(spec.name).bookmark["replication_key_value"]
        earlier = timedelta(minutes=15, milliseconds=not spec.since_is_inclusive)
        assert parse_timestamp(bookmark) - parse_timestamp(since) == earlier
