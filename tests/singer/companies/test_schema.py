"""The schema of profiles, and records that are valid by it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobo_sandbox import Fault, Sandbox
from tests.support import entry_of
from tests.support.companies import (
    FIELDS,
    LISTS,
    OBJECTS,
    CompaniesTap,
    Json,
    Plain,
    expected_profile,
    ids_of,
    profiles_of,
    validate_profiles,
)
from tests.support.jobs import metrics_of

if TYPE_CHECKING:
    from collections.abc import Callable


def spoil_profiles(sandbox: Sandbox, change: Callable[[Json], object]) -> None:
    """Let all profiles be what the callable makes of them: it changes one in place."""

    def changed(profile: Json) -> Json:
        change(profile)
        return profile

    sandbox.faults.add(Fault(replace=changed, times=None), endpoint="profile")


class TestSchema:
    def test_it_has_every_documented_field_nested_and_described(self, discovered: Json) -> None:
        entry = entry_of(discovered, "companies")
        properties = entry["schema"]["properties"]
        assert entry["key_properties"] == ["id"]
        assert {name: _kind(definition) for name, definition in properties.items()} == FIELDS
        assert properties["id"]["format"] == "uuid"
        assert "null" not in properties["id"]["type"]
        assert all(
            "null" in definition["type"] for key, definition in properties.items() if key != "id"
        )
        for name in LISTS.split():
            assert _kind(properties[name]["items"]) == "string"
        for name, members in OBJECTS.items():
            items = properties[name]["items"]
            assert _kind(items) == "object"
            kinds = (f"{member}:string".split(":")[:2] for member in members.split())
            assert {key: _kind(member) for key, member in items["properties"].items()} == dict(
                kinds
            )
        assert _kind(properties["tech_stack"]["items"]["properties"]["categories"]["items"]) == (
            "string"
        )
        described = [*properties.values()]
        for name in OBJECTS:
            described += properties[name]["items"]["properties"].values()
        assert all(len(definition["description"]) >= 5 for definition in described)

    def test_records_are_the_profiles_and_valid(self, plain: Plain) -> None:
        validate_profiles(plain.run)
        records = profiles_of(plain.run)
        assert len(records) == 120
        for record in records:
            assert record == expected_profile(plain.sandbox, record["id"])
        filled = {name for record in records for name in FIELDS if record[name]}
        assert filled == FIELDS.keys() - {"_rescued_data"}
        assert plain.run.lines("WARNING") == plain.run.lines("ERROR") == []

    def test_unknown_fields_are_rescued_with_one_warning(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        def add(profile: Json) -> None:
            profile["brand_new"] = {"a": 1}
            for person in profile["leadership"]:
                person["shoe_size"] = 43

        spoil_profiles(sandbox, add)
        run = tap.run()
        assert run.returncode == 0, run.stderr
        (warning,) = run.lines("WARNING")
        assert "'brand_new'" in warning
        validate_profiles(run)
        for record, key in zip(profiles_of(run), ids_of(run, "career_sites"), strict=True):
            expected = expected_profile(sandbox, key)
            rescued = {"brand_new": {"a": 1}} | {
                f"leadership[{number}].shoe_size": 43
                for number, _ in enumerate(expected["leadership"])
            }
            assert json.loads(record.pop("_rescued_data")) == rescued
            assert record == {k: v for k, v in expected.items() if k != "_rescued_data"}

    def test_wrong_types_become_null_with_an_error_each(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        wrong: Json = {
            "founding_year": 1999,
            "is_agency": "yes",
            "page_rank": "high",
            "industries": "fintech",
            "founders": ["Ada", 5],
            "leadership": "Ada",
        }
        victim = list(sandbox.world.rows())[7]
        spoiled = {**wrong, "ratings": [{"source": "g2", "review_count": "12"}, 7]}
        sandbox.faults.add(
            Fault(replace=lambda profile: profile | spoiled),
            endpoint="profile",
            company_id=victim,
        )
        run = tap.run()
        assert run.returncode == 0, run.stderr
        validate_profiles(run)
        errors = run.lines("ERROR")
        assert len(errors) == 8
        assert all(victim in line for line in errors)
        for name in wrong:
            assert any(f"'{name}'" in line for line in errors)
        (record,) = (record for record in profiles_of(run) if record["id"] == victim)
        rescued = json.loads(record["_rescued_data"])
        assert rescued == wrong | {
            "ratings[0].review_count": "12",
            "ratings[1]": 7,
        }
        assert record == expected_profile(sandbox, victim) | dict.fromkeys(wrong) | {
            "ratings": [{"source": "g2", "rating": None, "url": None, "review_count": None}, None],
            "_rescued_data": record["_rescued_data"],
        }

    def test_profile_with_only_an_id_has_null_fields(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        victim = next(iter(sandbox.world.rows()))
        sandbox.faults.add(Fault(replace={"id": victim.upper()}), company_id=victim)
        run = tap.run()
        (record,) = (record for record in profiles_of(run) if record["id"].lower() == victim)
        assert {name for name, value in record.items() if value is not None} == {"id"}
        assert run.lines("ERROR") == []
        assert len(profiles_of(run)) == 120

    def test_profile_id_may_have_another_form(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        asked = next(iter(sandbox.world.rows()))
        bare = asked.replace("-", "").upper()
        sandbox.faults.add(Fault(replace=lambda p: {**p, "id": bare}), company_id=asked)
        run = tap.run()
        assert sorted(ids_of(run)) == sorted(sandbox.world.rows())
        assert run.lines("ERROR") == []

    def test_profile_with_another_id_is_skipped(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        asked, other, nobody, *_ = sandbox.world.rows()
        sandbox.faults.add(Fault(replace=lambda p: {**p, "id": other}), company_id=asked)
        sandbox.faults.add(Fault(replace=lambda p: {**p, "id": None}), company_id=nobody)
        run = tap.run()
        assert run.returncode == 0, run.stderr
        assert sorted(ids_of(run)) == sorted(set(sandbox.world.rows()) - {asked, nobody})
        errors = run.lines("ERROR")
        assert len(errors) == 2
        assert {key for key in (asked, nobody) for line in errors if key in line} == {asked, nobody}
        assert run.metrics["jobo_profiles_skipped"] == 2
        assert metrics_of(run, "companies")["record_count"] == 118


def _kind(definition: Json) -> str:
    (kind,) = (
        {*definition["type"]} - {"null"}
        if isinstance(definition["type"], list)
        else [definition["type"]]
    )
    return str(kind)
