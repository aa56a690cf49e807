"""Filter values whose form is not Jobo's are a warning, before anything is billed."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.streams import SETTINGS
from tests.support import Tap
from tests.support.jobs import tap_of


@pytest.fixture
def tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with all feeds that are not free."""
    return tap_of(hiring, tmp_path, "career_sites", "jobs", "managed_jobs")


def test_an_unlikely_value_is_a_warning_before_anything_is_billed(
    tap: Tap, hiring: Sandbox
) -> None:
    run = tap.succeed(country_codes=["UK", "DE"])
    assert [code for code in run.codes("WARNING") if code == "no-match"] == ["no-match"]
    assert run.stderr.index("[no-match]") < run.stderr.index("Summary")
    assert not hiring.requests_to("filters")  # nothing is looked up


NAMED = {setting.name: setting for setting in SETTINGS}
COMMON = {
    "country_codes": ["DE", "US", "GB", "GR", "TW", "XK", "AQ"],
    "industries": ["fintech", "real_estate"],
    "jobs_sources": ["Any Thing"],
}


def test_common_forms_raise_no_hint() -> None:
    for name, values in COMMON.items():
        assert NAMED[name].value_hints(values) == NAMED[name].value_hints(None) == []


def test_a_country_by_another_name_is_told_as_its_code() -> None:
    for value, code in {"UK": "GB", "USA": "US", "DEU": "DE", "Germany": "DE", "de": "DE"}.items():
        assert NAMED["country_codes"].find_meant(value) == code
    (hint,) = NAMED["country_codes"].value_hints(["UK"])
    assert "Did you mean GB?" in hint


def test_another_form_is_one_hint_that_names_the_value() -> None:
    setting = NAMED["country_codes"]
    assert setting.type.allows(["XX"])
    (hint,) = {*setting.value_hints(["XX", "XX"])}
    assert hint.startswith("Setting 'country_codes': 'XX' ")
