"""Profiles become records that are valid by the schema, whatever their fields hold."""

from __future__ import annotations

import json

import pytest

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

pytestmark = pytest.mark.slow


def test_records_are_the_profiles_and_valid(plain: Plain) -> None:
    validate_profiles(plain.run)
    records = profiles_of(plain.run)
    assert len(records) == 120
    for record in records:
        assert record == expected_profile(plain.sandbox, record["id"])
    filled = {name for record in records for name in FIELDS if record[name]}
    assert filled == FIELDS.keys() - {"_rescued_data"}
    assert plain.run.lines("WARNING") == plain.run.lines("ERROR") == []


def test_what_is_not_as_documented_is_rescued(tap: Tap) -> None:
    def spoil(profile: Json) -> Json:
        people = [{**person, "shoe_size": 43} for person in profile["leadership"]]
        return {**profile, **wrong, "brand_new": {"a": 1}, "leadership": people, "ratings": ratings}

    wrong: Json = {"founding_year": 1999, "is_agency": "yes", "founders": "Ada"}
    ratings = [{"source": "g2", "review_count": "12"}, 7]
    spoiled, bare = sorted(tap.sandbox.world.rows())[7:9]
    tap.sandbox.faults.add(Fault(replace=spoil), company_id=spoiled)
    tap.sandbox.faults.add(
        Fault(replace=lambda profile: {"id": profile["id"].upper()}), company_id=bare
    )
    run = tap.succeed()
    validate_profiles(run)
    records = {record["id"]: record for record in profiles_of(run)}
    assert len(records) == 120
    assert records[bare] == {**dict.fromkeys(FIELDS), "id": bare}
    expected = expected_profile(tap.sandbox, spoiled)
    people = [f"leadership[{number}].shoe_size" for number, _ in enumerate(expected["leadership"])]
    wrong_values = {**wrong, "ratings[0].review_count": "12", "ratings[1]": 7}
    rescued = {**wrong_values, "brand_new": {"a": 1}, **dict.fromkeys(people, 43)}
    assert json.loads(records[spoiled]["_rescued_data"]) == rescued
    assert records[spoiled] == {
        **expected,
        **dict.fromkeys(wrong),
        "ratings": [{"source": "g2", "rating": None, "url": None, "review_count": None}, None],
        "_rescued_data": records[spoiled]["_rescued_data"],
    }
    (warning,) = run.messages_of("WARNING", "new-fields")
    assert "'brand_new', 'leadership[].shoe_size'" in warning
    assert len(run.lines("ERROR")) == len(wrong_values)
    for name in wrong_values:
        assert any(f"'{name}' of row {spoiled}" in line for line in run.lines("ERROR"))
