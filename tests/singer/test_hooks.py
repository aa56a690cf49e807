"""The SDK's private methods that the tap overrides or calls: each is what it was taken for."""

from __future__ import annotations

import inspect
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk import Stream, Tap
from singer_sdk.plugin_base import PluginBase

from tap_jobo.singer.companies_stream import CompaniesStream
from tap_jobo.singer.feed_stream import FeedStream
from tap_jobo.tap import TapJobo
from tests.support import Tap as TapProcess
from tests.support import kept_signals, schema_message

if TYPE_CHECKING:
    from collections.abc import Sequence

OVERRIDDEN = [
    (Stream, FeedStream, "_write_record_message"),
    (Stream, CompaniesStream, "_write_record_message"),
    (Stream, CompaniesStream, "_write_schema_message"),
    (PluginBase, TapJobo, "_setup_signal_handlers"),
]


@pytest.mark.parametrize(("theirs", "ours", "name"), OVERRIDDEN, ids=str)
def test_an_overridden_method_has_the_parameters_of_the_sdk(
    theirs: type, ours: type, name: str
) -> None:
    assert getattr(ours, name) is not getattr(theirs, name)
    assert [
        (each.name, each.kind)
        for each in inspect.signature(getattr(ours, name)).parameters.values()
    ] == [
        (each.name, each.kind)
        for each in inspect.signature(getattr(theirs, name)).parameters.values()
    ]


def test_the_sdk_writes_through_the_overridden_methods() -> None:
    calls: list[object] = []

    class Rows(Stream):
        name = "rows"
        schema = {"properties": {"id": {"type": "string"}}}  # noqa: RUF012

        def get_records(self, context: Any) -> Any:  # noqa: ARG002
            yield from ({"id": "1"}, {"id": "2"})

        def _write_schema_message(self) -> None:
            calls.append("SCHEMA")

        def _write_record_message(self, record: dict[str, Any]) -> None:
            calls.append(record["id"])

    class RowsTap(Tap):
        name = "tap-rows"
        config_jsonschema = {"properties": {}}  # noqa: RUF012

        def discover_streams(self) -> Sequence[Stream]:
            return [Rows(self)]

        def _setup_signal_handlers(self) -> None:
            calls.append("signals")

    with kept_signals():
        RowsTap().sync_all()
    assert calls == ["signals", "SCHEMA", "1", "2"]


def test_fast_path_writes_the_same_records_as_the_sdk(tap: TapProcess) -> None:
    quick = tap.run(journal=False)
    # A map that changes nothing, but is one: each record then takes the SDK's way.
    slow = tap.run(journal=False, stream_maps={"career_sites": {"id": "id"}})
    assert slow.records == quick.records
    assert slow.metrics["record_count"] == quick.metrics["record_count"] == len(quick.records)
    assert all(before != after for before, after in pairwise(quick.states))
    assert schema_message(slow)["key_properties"] == schema_message(quick)["key_properties"]
    for run in (slow, quick):
        messages = [json.loads(line) for line in run.stdout.split("\n") if '"RECORD"' in line]
        assert {frozenset(message) for message in messages} == {
            frozenset({"type", "stream", "record", "time_extracted"})
        }
