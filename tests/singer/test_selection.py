from __future__ import annotations

import json
from copy import deepcopy
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import Tap, complaint, discover, entry_of, schema_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobo_sandbox import Sandbox

Catalog = dict[str, Any]


@pytest.fixture(scope="module")
def discovered(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return discover(tmp_path_factory.mktemp("catalog"))


def _selecting(discovered: Catalog, selected: Mapping[tuple[str, ...], bool]) -> Catalog:
    catalog = deepcopy(discovered)
    for entry in entry_of(catalog)["metadata"]:
        choice = selected.get(tuple(entry["breadcrumb"]))
        if choice is not None:
            entry["metadata"]["selected"] = choice
    return catalog


def test_discovered_catalog_changes_nothing(
    tap: Tap, sandbox: Sandbox, discovered: Catalog
) -> None:
    run = tap.run(catalog=discovered)
    assert run.returncode == 0
    assert sorted(run.ids) == sorted(sandbox.world.rows())
    assert len(schema_message(run)["schema"]["properties"]) == 13


def test_deselected_field_is_in_neither_schema_nor_records(
    tap: Tap, sandbox: Sandbox, discovered: Catalog
) -> None:
    out: dict[tuple[str, ...], bool] = {
        ("properties", name): False for name in ("summary", "industries")
    }
    run = tap.run(catalog=_selecting(discovered, out))
    assert run.returncode == 0
    fields = list(schema_message(run)["schema"]["properties"])
    assert len(fields) == 11
    assert not {"summary", "industries"} & set(fields)
    assert len(run.records) == 120
    assert all(list(record) == fields for record in run.records)
    names = {key: row["name"] for key, row in sandbox.world.rows().items()}
    assert {record["id"]: record["name"] for record in run.records} == names


def test_field_unknown_to_the_catalog_is_skipped(tap: Tap, discovered: Catalog) -> None:
    catalog = deepcopy(discovered)
    del entry_of(catalog)["schema"]["properties"]["summary"]
    run = tap.run(catalog=catalog)
    assert run.returncode == 0
    assert run.lines("WARNING") == []
    assert "summary" not in schema_message(run)["schema"]["properties"]
    assert not any("summary" in record for record in run.records)


def test_keys_cannot_be_deselected(tap: Tap, discovered: Catalog) -> None:
    out: dict[tuple[str, ...], bool] = {
        ("properties", name): False for name in ("id", "updated_at")
    }
    run = tap.run(catalog=_selecting(discovered, out))
    assert run.returncode == 0
    assert {"id", "updated_at"} <= schema_message(run)["schema"]["properties"].keys()
    assert all({"id", "updated_at"} <= record.keys() for record in run.records)


def test_deselected_stream_sends_no_request(
    tap: Tap, sandbox: Sandbox, discovered: Catalog
) -> None:
    run = tap.run(catalog=_selecting(discovered, {(): False}))
    assert run.returncode == 0
    (warning,) = run.lines("WARNING")
    assert "No stream is selected, so nothing is read." in warning
    assert run.records == []
    assert sandbox.ledger == []
    assert not any(state["bookmarks"].get("career_sites") for state in run.states)


def test_catalog_without_the_stream_sends_no_request(tap: Tap, sandbox: Sandbox) -> None:
    run = tap.run(catalog={"streams": []})
    assert run.returncode == 0
    assert sandbox.ledger == []


class TestStreamMaps:
    def test_field_is_renamed_computed_and_removed(self, tap: Tap, sandbox: Sandbox) -> None:
        fields = {"company": "name", "name": None, "hash": "md5(config['salt'] + id)"}
        run = tap.run(stream_maps={"career_sites": fields}, stream_map_config={"salt": "pepper"})
        assert run.returncode == 0, run.stderr
        rows = sandbox.world.rows()
        assert len(run.records) == 120
        for record in run.records:
            assert record["company"] == rows[record["id"]]["name"]
            expected = md5(f"pepper{record['id']}".encode(), usedforsecurity=False).hexdigest()
            assert record["hash"] == expected
            assert "name" not in record
        properties = schema_message(run)["schema"]["properties"]
        assert {"company", "hash"} <= properties.keys()
        assert "name" not in properties

    def test_stream_is_renamed(self, tap: Tap) -> None:
        run = tap.run(stream_maps={"career_sites": {"__alias__": "employers"}})
        assert schema_message(run, "employers")["key_properties"] == ["id"]
        assert {m["stream"] for m in run.messages if m["type"] == "RECORD"} == {"employers"}
        assert run.bookmark["replication_key_value"]

    def test_rows_are_filtered_and_the_scan_still_completes(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        run = tap.run(stream_maps={"career_sites": {"__filter__": "ats == 'lever'"}})
        assert run.returncode == 0, run.stderr
        lever = {key for key, row in sandbox.world.rows().items() if row["ats"] == "lever"}
        assert 0 < len(lever) < 120
        assert set(run.ids) == lever
        assert run.bookmark["replication_key_value"]

    def test_they_can_come_from_a_variable(self, tap: Tap) -> None:
        maps = {"career_sites": {"id": "id", "company": "name", "__else__": None}}
        run = tap.run("--config", "ENV", env={"TAP_JOBO_STREAM_MAPS": json.dumps(maps)})
        assert run.returncode == 0, run.stderr
        assert [sorted(record) for record in run.records] == [["company", "id"]] * 120

    def test_stream_that_is_mapped_out_sends_no_request(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(stream_maps={"career_sites": None})
        assert run.returncode == 0, run.stderr
        assert run.records == []
        assert sandbox.ledger == []

    def test_failing_map_is_one_line_and_no_further_request(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        line = complaint(tap.run(stream_maps={"career_sites": {"x": "int(name)"}}))
        assert line.startswith("Setting 'stream_maps' does not fit a row of career_sites: ValueErr")
        assert len(sandbox.feed_requests) == 1
        line = complaint(tap.run(stream_maps={"career_sites": {"x": "name.no_method()"}}))
        assert line.startswith("Setting 'stream_maps' does not fit a row of career_sites: ")
        assert "name.no_method()" in line
        assert len(sandbox.feed_requests) == 1  # the page is replayed


class TestFlattening:
    def test_it_works_as_in_every_sdk_tap(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(flattening_enabled=True, flattening_max_depth=1)
        assert run.returncode == 0, run.stderr
        rows = sandbox.world.rows()
        assert len(run.records) == 120
        for record in run.records:
            assert json.loads(record["industries"]) == rows[record["id"]]["industries"]
            assert record["name"] == rows[record["id"]]["name"]
        assert "string" in schema_message(run)["schema"]["properties"]["industries"]["type"]

    def test_it_can_be_switched_on_by_variables(self, tap: Tap) -> None:
        variables = {"TAP_JOBO_FLATTENING_ENABLED": "on", "TAP_JOBO_FLATTENING_MAX_DEPTH": "1"}
        run = tap.run("--config", "ENV", env=variables)
        assert run.returncode == 0, run.stderr
        assert isinstance(run.records[0]["industries"], str)
