"""Profiles become records that are valid by the schema, whatever their fields hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobo_sandbox import Fault
from tests.support import Tap
from tests.support.companies import (
    FIELDS,
    Json,
    Plain,
    expected_profile,
    profiles_of,
    validate_profiles,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _record(tap: Tap, change: Callable[[Json], Json]) -> tuple[Json, Json, list[str]]:
    """Spoil one profile; return its record, the record of the profile as it was, and the log."""
    victim = sorted(tap.sandbox.world.rows())[7]
    tap.sandbox.faults.add(Fault(replace=change), company_id=victim)
    run = tap.run()
    assert run.returncode == 0, run.stderr
    validate_profiles(run)
    assert len(profiles_of(run)) == 120
    (record,) = (record for record in profiles_of(run) if record["id"] == victim)
    lines = run.lines("WARNING") + run.lines("ERROR")
    return record, expected_profile(tap.sandbox, victim), lines


def test_records_are_the_profiles_and_valid(plain: Plain) -> None:
    validate_profiles(plain.run)
    records = profiles_of(plain.run)
    assert len(records) == 120
    for record in records:
        assert record == expected_profile(plain.sandbox, record["id"])
    filled = {name for record in records for name in FIELDS if record[name]}
    assert filled == FIELDS.keys() - {"_rescued_data"}
    assert plain.run.lines("WARNING") == plain.run.lines("ERROR") == []


def test_unknown_fields_are_rescued_with_one_warning(tap: Tap) -> None:
    def add(profile: Json) -> Json:
        people = [{**person, "shoe_size": 43} for person in profile["leadership"]]
        return {**profile, "brand_new": {"a": 1}, "leadership": people}

    record, expected, (warning,) = _record(tap, add)
    people = [f"leadership[{number}].shoe_size" for number, _ in enumerate(expected["leadership"])]
    assert json.loads(record["_rescued_data"]) == {
        "brand_new": {"a": 1},
        **dict.fromkeys(people, 43),
    }
    assert record == {**expected, "_rescued_data": record["_rescued_data"]}
    assert "'brand_new', 'leadership[].shoe_size'" in warning


def test_wrong_types_become_null_with_an_error_each(tap: Tap) -> None:
    wrong: Json = {"founding_year": 1999, "is_agency": "yes", "founders": "Ada"}
    ratings = [{"source": "g2", "review_count": "12"}, 7]
    record, expected, errors = _record(tap, lambda was: {**was, **wrong, "ratings": ratings})
    rescued = json.loads(record["_rescued_data"])
    assert rescued == {**wrong, "ratings[0].review_count": "12", "ratings[1]": 7}
    assert record == {
        **expected,
        **dict.fromkeys(wrong),
        "ratings": [{"source": "g2", "rating": None, "url": None, "review_count": None}, None],
        "_rescued_data": record["_rescued_data"],
    }
    assert len(errors) == len(rescued)
    for name in rescued:
        assert any(f"'{name}' of row {record['id']}" in line for line in errors)


def test_profile_with_only_an_id_in_another_form_has_null_fields(tap: Tap) -> None:
    record, expected, lines = _record(tap, lambda was: {"id": was["id"].upper()})
    assert record == {**dict.fromkeys(FIELDS), "id": expected["id"]}
    assert lines == []
