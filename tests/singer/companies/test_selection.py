"""Whether and for which career sites profiles are asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from tests.support import Tap, complaint, entry_of, schema_message
from tests.support.companies import (
    FIELDS,
    CompaniesTap,
    Json,
    asked_for,
    ids_of,
    profiles_of,
    records_of,
)
from tests.support.repository import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from jobo_sandbox import Sandbox


class TestSelection:
    def test_it_is_off_by_default(self, sandbox: Sandbox, tmp_path: Path, discovered: Json) -> None:
        (stream,) = (
            entry["metadata"]
            for entry in entry_of(discovered, "companies")["metadata"]
            if entry["breadcrumb"] == []
        )
        assert stream["selected-by-default"] is False
        assert stream["table-key-properties"] == ["id"]
        run = Tap(sandbox, tmp_path).run()
        assert run.returncode == 0, run.stderr
        assert {message.get("stream") for message in run.messages} == {None, "career_sites"}
        assert "profiles" not in run.stderr
        assert sandbox.profile_requests == []

    def test_meltano_yml_has_a_line_that_selects_it(self) -> None:
        text = (REPOSITORY / "meltano.yml").read_text()
        taken_in = re.sub(r"(?m)^(\s+)# ?(- companies\.\*)", r"\1\2", text)
        selections = [
            yaml.safe_load(version)["plugins"]["extractors"][0]["select"]
            for version in (text, taken_in)
        ]
        assert selections == [["career_sites.*"], ["career_sites.*", "companies.*"]]

    def test_alone_it_is_refused(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        run = alone.run()
        line = complaint(run)
        assert "career_sites" in line
        assert "company_ids" in line
        assert sandbox.ledger == []
        assert run.records == []

    def test_deselected_fields_are_in_neither_schema_nor_records(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        out = {"funding_rounds", "summary", "investors"}
        for entry in entry_of(tap.catalog, "companies")["metadata"]:
            if entry["breadcrumb"] and entry["breadcrumb"][-1] in out:
                entry["metadata"]["selected"] = False
        run = tap.run()
        assert run.returncode == 0, run.stderr
        fields = FIELDS.keys() - out
        assert schema_message(run, "companies")["schema"]["properties"].keys() == fields
        assert len(profiles_of(run)) == 120
        assert all(record.keys() == fields for record in profiles_of(run))
        assert run.lines("WARNING") == []
        assert all("summary" in record for record in records_of(run.messages, "career_sites"))
        assert len(sandbox.profile_requests) == 120

    def test_stream_map_that_drops_career_sites_drops_their_profiles(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        run = tap.run(stream_maps={"career_sites": {"__filter__": "ats == 'lever'"}})
        assert run.returncode == 0, run.stderr
        lever = [key for key, row in sandbox.world.rows().items() if row["ats"] == "lever"]
        assert 0 < len(lever) < 120
        assert sorted(ids_of(run)) == sorted(lever)
        assert sorted(map(str, asked_for(sandbox))) == sorted(lever)

    def test_stream_maps_of_its_own_apply(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        maps = {"companies": {"id": "id", "label": "name + '!'", "__else__": None}}
        run = tap.run(stream_maps=maps, batch_size=20)
        assert run.returncode == 0, run.stderr
        names = {key: f"{row['name']}!" for key, row in sandbox.world.rows().items()}
        assert {record["id"]: record["label"] for record in profiles_of(run)} == names
        assert schema_message(run, "companies")["schema"]["properties"].keys() == {"id", "label"}

    def test_stream_map_that_copies_career_sites_fetches_profiles(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        maps = {
            "career_sites": {"__filter__": "ats == 'lever'"},
            "employers": {"__source__": "career_sites"},
        }
        run = tap.run(stream_maps=maps)
        assert run.returncode == 0, run.stderr
        assert len(ids_of(run, "employers")) == 120
        assert sorted(ids_of(run)) == sorted(sandbox.world.rows())

    def test_stream_map_that_removes_it_requests_no_profile(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        run = tap.run(stream_maps={"companies": None})
        assert run.returncode == 0, run.stderr
        assert len(run.ids) == 120
        assert ids_of(run) == []
        assert sandbox.profile_requests == []
