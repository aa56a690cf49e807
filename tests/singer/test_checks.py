"""Names that do not exist in the catalog, stream maps, and state, before any request."""

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.errors import ConfigError, TapJoboError
from tap_jobo.settings.reading import read_object
from tap_jobo.tap import TapJobo
from tests.support import COMMAND, Tap, entry_of, execute, kept_signals, state_at

SETTINGS = {
    "api_key": "jbe_test_unused",
    "archive": False,
    "stream_map_config": {"salt": "pepper"},
}
SITES = "career_sites"
MEANT = ": did you mean {}?"


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    with kept_signals():
        yield


@pytest.fixture
def catalog() -> dict[str, Any]:
    return deepcopy(TapJobo(config=SETTINGS).catalog_dict)


def _error(*, maps: dict[str, Any] | None = None, **options: Any) -> str:
    with pytest.raises(TapJoboError) as raised:
        TapJobo(config={**SETTINGS, "stream_maps": maps or {}}, **options)
    (fact,) = raised.value.messages
    return re.sub(r" \[invalid-\w+\]$", "", fact)


class TestCatalog:
    @pytest.mark.parametrize(
        "changes",
        [
            {"tap_stream_id": None},
            {"metadata": {"selected": True}},
            {"metadata": [{"breadcrumb": [], "metadata": None}]},
            {"schema": {"properties": {"id": "string"}}},
            {"tap_stream_id": 5},
            {"metadata": [{"breadcrumb": ["x"], "metadata": {}}]},
        ],
    )
    def test_entry_of_another_shape(self, catalog: dict[str, Any], changes: dict[str, Any]) -> None:
        entry_of(catalog).update(changes)
        assert _error(catalog=catalog).startswith("Invalid catalog: 'streams' ")

    def test_names_that_do_not_exist(self, tap: Tap, catalog: dict[str, Any]) -> None:
        entry_of(catalog, "jobs")["tap_stream_id"] = "job"
        sites = entry_of(catalog)
        sites["metadata"].append({"breadcrumb": ["properties", "nmae"], "metadata": {}})
        sites["schema"]["properties"]["zzz"] = {"type": "string"}
        run = tap.run(catalog=catalog)
        assert run.error_codes == ["invalid-catalog"] * 3
        field, other, stream = sorted(run.complaints)
        assert "career_sites, field 'nmae' " in field
        assert "career_sites, field 'zzz' " in other
        assert "stream 'job' " in stream
        assert stream.endswith(MEANT.format("jobs"))
        assert tap.sandbox.ledger == []

    @pytest.mark.parametrize("key", ["selected", "replication-method"])
    def test_values_that_do_not_exist(self, catalog: dict[str, Any], key: str) -> None:
        (root,) = (item for item in entry_of(catalog, "jobs")["metadata"] if not item["breadcrumb"])
        root["metadata"][key] = "false"  # which is true, for the SDK
        assert _error(catalog=catalog).endswith(f"'false' is no value of '{key}'.")

    @pytest.mark.parametrize("kept", [lambda item: item["breadcrumb"], lambda _: False])
    def test_entry_without_selection_is_as_by_default(
        self, catalog: dict[str, Any], kept: Callable[[dict[str, Any]], bool]
    ) -> None:
        for entry in catalog["streams"]:
            entry["metadata"] = [item for item in entry["metadata"] if kept(item)]
        streams = TapJobo(config=SETTINGS, catalog=catalog).streams
        assert [name for name, stream in streams.items() if stream.selected] == [SITES]

    @pytest.mark.parametrize("key", ["replication-method", "forced-replication-method"])
    def test_metadata_for_the_streams_of_another_plugin(
        self, tap: Tap, catalog: dict[str, Any], key: str
    ) -> None:
        """As of `"*"` in Meltano: what is not selected, or is no feed, has no method."""
        entry_of(catalog)["replication_method"] = "FULL_TABLE"
        del entry_of(catalog, "companies")["replication_method"]
        for stream, method in ((SITES, "replication-method"), ("companies", key)):
            (root,) = (
                each for each in entry_of(catalog, stream)["metadata"] if not each["breadcrumb"]
            )
            root["metadata"] |= {method: "INCREMENTAL", "selected": True}
        entry_of(catalog, "jobs")["replication_method"] = "FULL_TABLE"
        run = tap.succeed(catalog=catalog)
        assert len(run.ids) == 240
        assert run.state["bookmarks"]["companies"].keys() == {"followed"}

    @pytest.mark.parametrize("schema", [{}, {"properties": {"id": {"type": "integer"}}}])
    def test_keys_are_those_of_the_tap(
        self, tap: Tap, catalog: dict[str, Any], schema: dict[str, Any]
    ) -> None:
        sites = entry_of(catalog)
        fields = {*sites["schema"]["properties"]} if not schema else {"id"}
        sites |= {"key_properties": ["name"], "replication_key": "name", "schema": schema}
        for item in sites["metadata"]:
            if item["breadcrumb"][-1:] == ["id"]:
                item["metadata"].update(inclusion="available", selected=False)
        run = tap.run(catalog=catalog)
        assert run.schema_message["key_properties"] == ["id"]
        assert run.schema_message["schema"]["properties"].keys() == fields
        assert run.schema_message["schema"]["properties"]["id"]["format"] == "uuid"
        assert len(run.ids) == 120
        assert run.bookmark["replication_key_value"]


class TestStreamMaps:
    @pytest.mark.parametrize(
        ("maps", "what", "then"),
        [
            ({"career_site": {"name": "md5(name)"}}, "stream 'career_site'", MEANT.format(SITES)),
            ({"x": {"__source__": "company"}}, "stream 'company'", MEANT.format("companies")),
            ({"job*x": "__NULL__"}, "stream 'job*x'", MEANT.format("jobs")),
            ({SITES: {"sumary": None}}, "in career_sites, field 'sumary'", "."),
            ({"*": {"phone_numbr": "__NULL__"}}, "in *, field 'phone_numbr'", "."),
            ({SITES: {"__fliter__": "ats == 'lever'"}}, "option '__fliter__'", "."),
        ],
    )
    def test_name_that_does_not_exist(self, maps: dict[str, Any], what: str, then: str) -> None:
        line = _error(maps=maps)
        assert line.startswith("Setting 'stream_maps': ")
        assert line.endswith(f"{what} does not exist{then}")

    @pytest.mark.parametrize(
        "maps",
        [
            {"__else__": None, SITES: {}},
            {"*": {"_rescued_data": None}},  # which expired_jobs does not have
            {"jobs": None, "managed_*": "__NULL__"},
            {"sites": {"__source__": SITES, "id": "id", "__else__": None}},
            {SITES: {"__alias__": "employers", "__filter__": "ats in ['lever', _['name']]"}},
            {SITES: {"names": "name", "name": None}},  # renamed
            {SITES: {"nmae": "md5(name)"}},  # a new column, of whatever name
            {SITES: {"hash": "md5(config['salt'] + record['id'])", "stream": "__stream_name__"}},
            {SITES: {"__key_properties__": ["listing_url"]}},
            {"companies": {"name": "md5(name)"}},  # not selected
        ],
    )
    def test_map_as_the_sdk_documents_it(
        self, caplog: pytest.LogCaptureFixture, maps: dict[str, Any]
    ) -> None:
        TapJobo(config={**SETTINGS, "stream_maps": deepcopy(maps)})
        assert [each for each in caplog.records if each.levelname == "WARNING"] == []

    @pytest.mark.parametrize(
        "maps",
        [{SITES: 5}, {SITES: {"x": "no such("}}, {SITES: {"id": None}}, {"__else__": 5}],
    )
    def test_map_that_the_sdk_refuses(self, maps: dict[str, Any]) -> None:
        line = _error(maps=maps)
        assert line.startswith("Setting 'stream_maps")
        assert "is not valid" in line
        assert "\n" not in line


class TestState:
    @pytest.mark.parametrize(
        ("state", "words"),
        [
            ([], "state"),
            ({"type": "STATE", "value": state_at("2026-01-31T08:00:00Z")}, "'bookmarks'"),
            ({"bookmarks": []}, "'bookmarks'"),
            ({"bookmarks": {SITES: 5}}, "'bookmarks'"),
            ({"bookmarks": {SITES: {"bookmark": "2026-01-31T08:00:00Z"}}}, "career_sites` lacks"),
        ],
    )
    def test_state_that_is_not_one_of_this_tap(self, tap: Tap, state: object, words: str) -> None:
        assert words in tap.refuse(code="invalid-state" if state else "invalid-file", state=state)

    def test_the_price_is_that_of_the_last_page(self, tap: Tap) -> None:
        tap.sandbox.faults.add(Fault(headers={"X-Credits-Deducted": "5000"}), on=1)
        tap.succeed(max_credits=5_000)
        run = tap.fail(code="invalid-state", state={"bookmarks": {SITES: {"x": 1}}})
        assert "$100.00 per 1,000 rows" in run.complaint

    def test_other_streams_are_ignored_and_stay(self, tap: Tap) -> None:
        """Meltano never removes one from a state, and prints it with a wrapper."""
        other = {"replication_key": "x", "replication_key_value": "y"}
        run = tap.run(state={"bookmarks": {"people": other, SITES: {}, "jobs": {}}})
        assert run.lines("WARNING") == []
        assert run.state["bookmarks"]["people"] == other
        assert len(run.ids) == 120  # an empty state of the stream is none
        again = tap.succeed(state={"singer_state": run.state})
        assert (again.ids, again.state) == ([], run.state)


def test_errors_of_settings_come_first() -> None:
    with pytest.raises(ConfigError, match="'batch_size'"):
        TapJobo(config={**SETTINGS, "batch_size": 51}, catalog={"streams": "x"})


# The files of `--config`, `--state`, and `--catalog`, read as a process does


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not JSON ("),
        (b'{\n "key": "jbe_test_secret\n}', "is not JSON ("),
        (b"[" * 100_000, "is not JSON ("),
        ("{}".encode("utf-16"), "is not JSON ('utf-8' "),
        (b'"jbe_test_secret"', "must be a JSON object"),
        (b'{"a": NaN}', "is not JSON (Out of range"),
        (b'{"a": "\\ud800"}', "is not JSON ('utf-8' "),
    ],
)
def test_file_without_an_object(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "given.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        read_object(str(path), "--config")
    assert str(raised.value).startswith(f"--config {path} {why}")
    assert str(raised.value).endswith("[invalid-file]")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
def test_path_that_is_no_file(tap: Tap, sandbox: Sandbox, option: str) -> None:
    for path in ("missing.json", ""):
        run = execute([*tap.command(), option, path], tap.environment(), tap.folder)
        assert run.error_code == "invalid-file"
        assert run.complaint.startswith(f"{option} {path} ")
    assert sandbox.ledger == []


def test_settings_or_the_key_in_place_of_a_path_are_not_shown(tap: Tap, sandbox: Sandbox) -> None:
    inline = json.dumps({"api_key": "secret"})
    for args in ([inline], [sandbox.api_key], ["ENV", "--catalog", sandbox.api_key]):
        run = execute([str(COMMAND), "--config", *args], tap.environment())
        assert run.error_code == "invalid-file"
        assert "secret" not in run.stdout + run.stderr
