"""Rows of the feed of career sites that are not as documented, and what the tap makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from jobo_sandbox import Fault, Sandbox
from tests.support import Run, Tap, schema_message

_NAMES = """
    id name website logo_url summary industries linkedin_url crunchbase_url ats listing_url
    details_url updated_at _rescued_data
"""
FIELDS = _NAMES.split()
COMPANY = "2bd806c9-7b0e-4a6e-8a0b-0d5b1f1a6a11"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=5, seed=1) as sandbox:
        yield sandbox


def _run_on(tap: Tap, fault: Fault) -> Run:
    """Run it to its good end on an answer that is spoiled; what comes out must be valid."""
    tap.sandbox.faults.add(fault)
    run = tap.succeed()
    assert run.bookmark["replication_key_value"]
    _validate(run)
    return run


def _validate(run: Run) -> None:
    validator = DEFAULT_JSONSCHEMA_VALIDATOR(schema_message(run)["schema"])
    for record in run.records:
        validator.validate(record)
        assert list(record) == FIELDS


class TestFields:
    def test_unknown_field_is_rescued_with_one_warning_per_run(self, tap: Tap) -> None:
        for key in tap.sandbox.world.rows():
            tap.sandbox.world.touch(key, tags=["x"], score=7)
        run = tap.run(batch_size=2)
        assert len(tap.sandbox.feed_requests) == 3
        assert run.returncode == 0
        _validate(run)
        assert len(run.ids) == 5
        (warning,) = run.lines("WARNING")
        assert run.codes("WARNING") == ["new-fields"]
        assert "'score', 'tags'" in warning
        assert {record["_rescued_data"] for record in run.records} == {'{"score":7,"tags":["x"]}'}


class TestRows:
    def test_row_without_a_uuid_is_skipped_with_an_error_and_counted(self, tap: Tap) -> None:
        bad = [None, "row", ["row"], {"name": "Nameless"}, {"id": 5}, {"id": COMPANY[:-1]}]
        shown = [None, "row", ["row"], None, 5, COMPANY[:-1]]
        fault = Fault(replace=lambda body: {**body, "career_sites": [*bad, *body["career_sites"]]})
        run = _run_on(tap, fault)
        assert len(run.records) == 5
        errors = run.lines("ERROR")
        assert len(errors) == len(bad)
        assert all(repr(id_) in error for id_, error in zip(shown, errors, strict=True))
        assert "Nameless" not in run.stderr
        assert "5 rows in 1 page, 6 skipped" in run.stderr
        tap.run(state=run.state)
        assert tap.sandbox.rows_billed == 5
