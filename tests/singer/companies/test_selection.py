"""Whether and for which career sites profiles are asked for."""

from __future__ import annotations

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap, entry_of, schema_message
from tests.support.companies import (
    asked_for,
    ids_of,
    profiles_of,
)

pytestmark = pytest.mark.slow


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
    assert {*ids_of(run, "career_sites")} == names.keys()
    assert sorted(map(str, asked_for(sandbox))) == sorted(names)
    assert {record["id"]: record["label"] for record in profiles_of(run)} == names
    assert schema_message(run, "companies")["schema"]["properties"].keys() == {"id", "label"}


def test_profiles_of_sites_that_were_read_without_them_are_told_to_be_missing(
    tap: Tap, sandbox: Sandbox
) -> None:
    both, entry = tap.catalog, entry_of(tap.catalog, "companies")
    (root,) = (each["metadata"] for each in entry["metadata"] if each["breadcrumb"] == [])
    root["selected"] = False
    state = tap.succeed(max_credits=2_500).state
    root["selected"] = True
    run = tap.succeed(state=state, max_credits=2_500)
    assert "missing-profiles" in run.codes("WARNING")
    assert len(profiles_of(run)) == 50
    rest = tap.succeed(state=run.state)
    assert "missing-profiles" not in rest.codes("WARNING")
    assert rest.summaries["companies"].endswith("; sync complete.")
    sandbox.world.touch(next(iter(sandbox.world.rows())))
    assert tap.succeed(state=rest.state, catalog=both).codes("WARNING") == []
