"""Profiles of career sites: page by page, by the schema, and for which sites they are requested."""

import json
from datetime import timedelta
from itertools import groupby

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.archive.helpers import pass_time
from tests.support import Json, Tap, selecting
from tests.support.companies import (
    FIELDS,
    asked_for,
    expected_profile,
    validate_profiles,
)

pytestmark = pytest.mark.slow


def test_profiles_follow_their_page_in_order_before_the_state(tap: Tap, sandbox: Sandbox) -> None:
    run = tap.succeed()
    rows = (m for m in run.messages if m["type"] != "SCHEMA")
    kinds = groupby(rows, lambda message: message.get("stream", "STATE"))
    sites, companies = "career_sites", "companies"
    assert [kind for kind, _ in kinds] == [sites, companies, "STATE"] * 3
    assert run.of(companies).ids == run.of(sites).ids
    assert sorted(map(str, asked_for(sandbox))) == sorted(sandbox.world.rows())
    for state in run.states:
        assert state["bookmarks"][companies].keys() == {"followed"}
    validate_profiles(run)
    records = run.of(companies).rows
    assert records == {key: expected_profile(sandbox, key) for key in sandbox.world.rows()}
    filled = {name for record in records.values() for name in FIELDS if record[name]}
    assert filled == FIELDS - {"_rescued_data"}
    assert run.lines("WARNING") == run.lines("ERROR") == []


def test_profiles_follow_the_pages_of_a_load_too(tap: Tap, sandbox: Sandbox) -> None:
    """They are not in the archive. An older version of a site that comes later asks for none."""
    first = tap.succeed()
    changed = first.ids[:10]
    for key in changed:
        sandbox.world.touch(key, name="Changed")
    pass_time(tap, timedelta(minutes=20))
    tap.succeed(state=first.state)
    asked = len(asked_for(sandbox))
    run = tap.succeed()
    assert sorted(map(str, asked_for(sandbox)[asked:])) == sorted(sandbox.world.rows())
    assert sorted(row["id"] for row in run.of("companies").records) == sorted(sandbox.world.rows())
    assert sandbox.rows_billed == 130
    assert run.state["bookmarks"]["companies"]["followed"]


def test_what_is_not_as_documented_is_rescued(tap: Tap) -> None:
    def spoil(profile: Json) -> Json:
        people = [{**person, "shoe_size": 43} for person in profile["leadership"]]
        return {**profile, **odd, "leadership": people}

    odd: Json = {"founding_year": 1999, "brand_new": {"a": 1}}
    spoiled, bare = sorted(tap.sandbox.world.rows())[7:9]
    tap.sandbox.faults.add(Fault(replace=spoil), company_id=spoiled)
    without_fields = Fault(replace=lambda profile: {"id": profile["id"].upper()})
    tap.sandbox.faults.add(without_fields, company_id=bare)
    run = tap.succeed()
    validate_profiles(run)
    records = run.of("companies").rows
    assert len(records) == 120
    assert records[bare] == {**dict.fromkeys(FIELDS), "id": bare}
    expected = expected_profile(tap.sandbox, spoiled) | {"founding_year": None}
    rescued = records[spoiled]["_rescued_data"]
    people = [f"leadership[{number}].shoe_size" for number, _ in enumerate(expected["leadership"])]
    assert json.loads(rescued) == {**odd, **dict.fromkeys(people, 43)}
    assert records[spoiled] == {**expected, "_rescued_data": rescued}
    (warning,) = run.messages_of("WARNING", "new-fields")
    assert "'brand_new', 'leadership[].shoe_size'" in warning
    (error,) = run.lines("ERROR")
    assert f"'founding_year' of row {spoiled}" in error


def test_stream_map_that_drops_career_sites_drops_their_profiles(
    tap: Tap, sandbox: Sandbox
) -> None:
    own = {"id": "id", "label": "name + '!'", "__else__": None}
    maps = {"career_sites": {"__filter__": "ats == 'lever'"}, "companies": own}
    run = tap.succeed(stream_maps=maps)
    assert run.bookmark["replication_key_value"]
    names = {
        key: f"{row['name']}!" for key, row in sandbox.world.rows().items() if row["ats"] == "lever"
    }
    assert 0 < len(names) < 120
    assert {*run.of("career_sites").ids} == names.keys()
    assert sorted(map(str, asked_for(sandbox))) == sorted(names)
    assert {record["id"]: record["label"] for record in run.of("companies").records} == names
    assert run.of("companies").schema_message["schema"]["properties"].keys() == {"id", "label"}


def test_profiles_of_sites_that_were_read_without_them_are_told_to_be_missing(
    tap: Tap, sandbox: Sandbox
) -> None:
    sites = selecting(tap.catalog, companies=False)
    state = tap.succeed(max_credits=2_500, catalog=sites).state
    assert len(tap.succeed(max_credits=0, catalog=sites).ids) == 50  # loaded
    assert asked_for(sandbox) == []
    run = tap.succeed(state=state, max_credits=2_500)
    assert "missing-profiles" in run.codes("WARNING")
    assert len(run.of("companies").records) == 50
    rest = tap.succeed(state=run.state)
    assert "missing-profiles" not in rest.codes("WARNING")
    assert rest.summaries["companies"].endswith("; sync complete.")
    sandbox.world.touch(next(iter(sandbox.world.rows())))
    assert tap.succeed(state=rest.state).codes("WARNING") == []
