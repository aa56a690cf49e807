import json
from hashlib import md5
from pathlib import Path

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Json, Tap, discover, entry_of, selecting, tap_of


def deselect(catalog: Json, stream: str, *paths: str) -> None:
    for entry in entry_of(catalog, stream)["metadata"]:
        if ".".join(entry["breadcrumb"][1::2]) in paths:
            entry["metadata"]["selected"] = False


def test_deselected_field_is_in_neither_schema_nor_records(tap: Tap, sandbox: Sandbox) -> None:
    """So is one that only the metadata of the catalog has."""
    names = ("summary", "industries", "id", "updated_at")  # of which the keys stay
    catalog = discover()
    deselect(catalog, "career_sites", *names)
    for name in ("website", "_rescued_data"):
        del entry_of(catalog)["schema"]["properties"][name]
    run = tap.succeed(catalog=catalog)
    fields = list(run.schema_message["schema"]["properties"])
    assert len(fields) == 9
    assert {*names, "website", "_rescued_data"} & {*fields} == {"id", "updated_at"}
    assert all(list(record) == fields for record in run.records)
    named = {key: row["name"] for key, row in sandbox.world.rows().items()}
    assert {record["id"]: record["name"] for record in run.records} == named
    assert run.lines("WARNING") == []


def test_a_field_that_the_catalog_does_not_mention_is_rescued(tap: Tap, sandbox: Sandbox) -> None:
    """A catalog of an earlier version: Meltano keeps it after an upgrade."""
    catalog = discover()
    entry = entry_of(catalog)
    del entry["schema"]["properties"]["summary"]
    entry["metadata"].remove(
        next(each for each in entry["metadata"] if each["breadcrumb"] == ["properties", "summary"])
    )
    run = tap.succeed(catalog=catalog)
    assert "summary" not in run.schema_message["schema"]["properties"]
    rescued = {record["id"]: json.loads(record["_rescued_data"]) for record in run.records}
    assert rescued == {
        key: {"summary": row["summary"]} for key, row in sandbox.world.rows().items()
    }
    (warning,) = run.messages_of("WARNING", "new-fields")
    assert "'summary'" in warning


def test_deselected_member_is_in_neither_schema_nor_records(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Its object stays; its value is not rescued either."""

    def spoil(body: Json) -> Json:
        for job in body["jobs"]:
            job["company"]["summary"] = ["private"]
        return body

    sandbox.faults.add(Fault(replace=spoil), endpoint="jobs")
    tap = tap_of(sandbox, tmp_path, "jobs")
    deselect(tap.catalog, "jobs", "company.summary")
    run = tap.run()
    members = run.of("jobs").schema_message["schema"]["properties"]["company"]["properties"].keys()
    assert "name" in members
    assert "summary" not in members
    assert len(run.records) == 40
    assert all(record["company"].keys() == members for record in run.records)
    assert "private" not in run.stdout + run.stderr


@pytest.mark.parametrize("args", [(), ("--test",), ("--test=schema",)])
def test_no_stream_that_can_be_read_is_an_error(tap: Tap, args: tuple[str, ...]) -> None:
    """Meltano ignores a misspelled stream in `select`, so nothing would be read for good."""
    none = selecting(discover(), career_sites=False)
    following = [selecting(none, **{name: True}) for name in ("companies", "billed_pages")]
    for catalog in (none, Json(streams=[]), *following):
        tap.refuse(*args, code="no-stream", catalog=catalog)


def test_maps_from_variables_rename_compute_remove_and_flatten(tap: Tap, sandbox: Sandbox) -> None:
    fields = {"company": "name", "name": None, "hash": "md5(config['salt'] + id)"}
    variables = {
        "TAP_JOBO_STREAM_MAPS": json.dumps({"career_sites": {**fields, "__alias__": "employers"}}),
        "TAP_JOBO_STREAM_MAP_CONFIG": '{"salt": "pepper"}',
        "TAP_JOBO_FLATTENING_ENABLED": "on",
        "TAP_JOBO_FLATTENING_MAX_DEPTH": "1",
    }
    run = tap.succeed("--config", "ENV", env=variables)
    rows = sandbox.world.rows()
    assert len(run.records) == 120
    for record in run.records:
        row = rows[record["id"]]
        assert record["company"] == row["name"]
        assert json.loads(record["industries"]) == row["industries"]
        expected = md5(f"pepper{record['id']}".encode(), usedforsecurity=False).hexdigest()
        assert record["hash"] == expected
    message = run.of("employers").schema_message
    assert message["key_properties"] == ["id"]
    assert {"company", "hash"} <= message["schema"]["properties"].keys()
    assert "name" not in message["schema"]["properties"]
    assert {m["stream"] for m in run.messages if m["type"] == "RECORD"} == {"employers"}
    assert run.bookmark["replication_key_value"]


def test_a_failing_map_shows_no_row_and_requests_no_other_page(tap: Tap, sandbox: Sandbox) -> None:
    for failing in ({"x": "int(name)"}, {"__filter__": "1 / 0"}, {"x": "'\\ud800'"}):
        run = tap.fail(code="map-failed", stream_maps={"career_sites": failing})
        assert not any(row["name"] in run.stderr for row in sandbox.world.rows().values())
        assert run.summaries["career_sites"].startswith("0 rows in 1 page")
        assert len(sandbox.feed_requests) == 1  # then the page is loaded
