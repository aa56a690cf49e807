from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import md5
from pathlib import Path
from typing import Any

from jobo_sandbox import Fault, Sandbox
from tests.support import Tap, complaint, discover, entry_of, error_code, schema_message
from tests.support.jobs import STREAMS, tap_of

Catalog = dict[str, Any]


def _selecting(selected: Mapping[tuple[str, ...], bool]) -> Catalog:
    catalog = discover()
    for entry in entry_of(catalog)["metadata"]:
        choice = selected.get(tuple(entry["breadcrumb"]))
        if choice is not None:
            entry["metadata"]["selected"] = choice
    return catalog


def test_deselected_field_is_in_neither_schema_nor_records(tap: Tap, sandbox: Sandbox) -> None:
    names = ("summary", "industries", "id", "updated_at")  # of which the keys stay
    run = tap.succeed(catalog=_selecting({("properties", name): False for name in names}))
    fields = list(schema_message(run)["schema"]["properties"])
    assert len(fields) == 11
    assert {*names} & {*fields} == {"id", "updated_at"}
    assert len(run.records) == 120
    assert all(list(record) == fields for record in run.records)
    named = {key: row["name"] for key, row in sandbox.world.rows().items()}
    assert {record["id"]: record["name"] for record in run.records} == named


def test_fields_that_the_schema_of_the_catalog_lacks_are_skipped(tap: Tap) -> None:
    """Its metadata has them, so a user has left them out."""
    catalog = discover()
    for name in ("summary", "_rescued_data"):
        del entry_of(catalog)["schema"]["properties"][name]
    run = tap.succeed(catalog=catalog)
    assert run.lines("WARNING") == []
    fields = list(schema_message(run)["schema"]["properties"])
    assert len(fields) == 11
    assert not {"summary", "_rescued_data"} & {*fields}
    assert all(list(record) == fields for record in run.records)


def test_a_field_that_the_catalog_does_not_mention_is_rescued(tap: Tap, sandbox: Sandbox) -> None:
    """A catalog of an earlier version: Meltano keeps it after an upgrade."""
    catalog = discover()
    entry = entry_of(catalog)
    del entry["schema"]["properties"]["summary"]
    entry["metadata"].remove(
        next(each for each in entry["metadata"] if each["breadcrumb"] == ["properties", "summary"])
    )
    run = tap.succeed(catalog=catalog)
    assert "summary" not in schema_message(run)["schema"]["properties"]
    rescued = {record["id"]: json.loads(record["_rescued_data"]) for record in run.records}
    assert rescued == {
        key: {"summary": row["summary"]} for key, row in sandbox.world.rows().items()
    }
    (warning,) = run.messages_of("WARNING", "new-fields")
    assert "'summary'" in warning


def test_deselected_member_is_in_neither_schema_nor_records(tmp_path: Path) -> None:
    """Its object stays; its value is not rescued either."""

    def spoil(body: dict[str, Any]) -> dict[str, Any]:
        for job in body["jobs"]:
            job["company"]["summary"] = ["private"]
        return body

    with Sandbox(jobs=20, seed=1) as sandbox:
        sandbox.faults.add(Fault(replace=spoil), endpoint="jobs")
        tap = tap_of(sandbox, tmp_path, "jobs")
        for entry in entry_of(tap.catalog, "jobs")["metadata"]:
            if entry["breadcrumb"] == ["properties", "company", "properties", "summary"]:
                entry["metadata"]["selected"] = False
        run = tap.run()
    members = schema_message(run, "jobs")["schema"]["properties"]["company"]["properties"].keys()
    assert "name" in members
    assert "summary" not in members
    assert len(run.records) == 20
    assert all(record["company"].keys() == members for record in run.records)
    assert "private" not in run.stdout + run.stderr


def test_no_selected_stream_is_an_error(tap: Tap) -> None:
    """Meltano ignores a misspelled stream in `select`, so nothing would be read for good."""
    nothing: Catalog = {"streams": []}
    by_importance = sorted(STREAMS, key=lambda name: name != "career_sites")
    for catalog in (_selecting({(): False}), nothing):
        for args in ([], ["--test"], ["--test=schema"]):
            run = tap.run(*args, catalog=catalog)
            assert error_code(run) == "no-stream"
            assert f" {', '.join(by_importance)}." in complaint(run)
            assert run.stdout == ""
        assert tap.run("--discover", catalog=catalog).returncode == 0
    assert tap.sandbox.ledger == []


def test_stream_that_maps_remove_is_not_read(tap: Tap, sandbox: Sandbox) -> None:
    run = tap.succeed(stream_maps={"career_sites": None})
    assert run.records == []
    assert sandbox.ledger == []
    assert not any(state["bookmarks"].get("career_sites") for state in run.states)


def test_maps_rename_compute_and_remove(tap: Tap, sandbox: Sandbox) -> None:
    fields = {"company": "name", "name": None, "hash": "md5(config['salt'] + id)"}
    maps = {"career_sites": {**fields, "__alias__": "employers"}}
    run = tap.succeed(stream_maps=maps, stream_map_config={"salt": "pepper"})
    rows = sandbox.world.rows()
    assert len(run.records) == 120
    for record in run.records:
        assert record["company"] == rows[record["id"]]["name"]
        expected = md5(f"pepper{record['id']}".encode(), usedforsecurity=False).hexdigest()
        assert record["hash"] == expected
        assert "name" not in record
    message = schema_message(run, "employers")
    assert message["key_properties"] == ["id"]
    assert {"company", "hash"} <= message["schema"]["properties"].keys()
    assert "name" not in message["schema"]["properties"]
    assert {m["stream"] for m in run.messages if m["type"] == "RECORD"} == {"employers"}
    assert run.bookmark["replication_key_value"]


def test_a_failing_map_is_one_line_and_no_further_request(tap: Tap, sandbox: Sandbox) -> None:
    run = tap.run(stream_maps={"career_sites": {"x": "int(name)"}})
    line = complaint(run)
    assert error_code(run) == "map-failed"
    for part in ("career_sites", "stream_maps", "(ValueError)", "billed $2.50"):
        assert part in line
    assert not any(row["name"] in line for row in sandbox.world.rows().values())
    assert len(sandbox.feed_requests) == 1
    run = tap.run(stream_maps={"career_sites": {"x": "name.no_method()"}})
    assert error_code(run) == "map-failed"
    assert "name.no_method()" in complaint(run)
    for failing in ({"__filter__": "1 / 0"}, {"x": "'\\ud800'"}):
        assert error_code(tap.run(stream_maps={"career_sites": failing})) == "map-failed"
    assert len(sandbox.feed_requests) == 1  # the page is loaded


def test_a_map_that_fails_in_a_test_does_not_promise_that_the_row_is_kept(tap: Tap) -> None:
    run = tap.run("--test", stream_maps={"career_sites": {"x": "int(name)"}})
    assert error_code(run) == "map-failed"
    assert "the archive" not in complaint(run)


def test_maps_and_flattening_can_come_from_variables(tap: Tap, sandbox: Sandbox) -> None:
    maps = {"career_sites": {"id": "id", "company": "name", "industries": "industries"}}
    variables = {
        "TAP_JOBO_STREAM_MAPS": json.dumps(maps),
        "TAP_JOBO_FLATTENING_ENABLED": "on",
        "TAP_JOBO_FLATTENING_MAX_DEPTH": "1",
    }
    run = tap.succeed("--config", "ENV", env=variables)
    rows = sandbox.world.rows()
    assert len(run.records) == 120
    for record in run.records:
        assert json.loads(record["industries"]) == rows[record["id"]]["industries"]
        assert record["company"] == rows[record["id"]]["name"]
    assert "string" in schema_message(run)["schema"]["properties"]["industries"]["type"]
