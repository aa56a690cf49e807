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
    "company_sizes": ["1-10", "11-50", "51-200", "1001-5000", "10001+"],
    "funding_stages": ["seed", "series_a", "pre_seed", "ipo", "series_10"],
    "country_codes": ["DE", "US", "GB", "GR", "TW", "XK", "AQ"],
    "industries": ["fintech", "real_estate"],
    "jobs_sources": ["Any Thing"],
}
UNCOMMON = [
    ("company_sizes", "11 - 50"),
    ("company_sizes", "large"),
    ("funding_stages", "Series A"),
    ("funding_stages", "pre-seed"),
    ("country_codes", "XX"),
]


def test_common_forms_raise_no_hint() -> None:
    for name, values in COMMON.items():
        assert NAMED[name].value_hints(values) == NAMED[name].value_hints(None) == []


def test_a_country_by_another_name_is_told_as_its_code() -> None:
    for value, code in {"UK": "GB", "USA": "US", "DEU": "DE", "Germany": "DE", "de": "DE"}.items():
        assert NAMED["country_codes"].find_meant(value) == code
    (hint,) = NAMED["country_codes"].value_hints(["UK"])
    assert "Did you mean GB?" in hint


@pytest.mark.parametrize(("name", "value"), UNCOMMON)
def test_another_form_is_one_hint_that_names_the_value(name: str, value: str) -> None:
    assert NAMED[name].type.allows([value])
    (hint,) = {*NAMED[name].value_hints([value, value])}
    assert hint.startswith(f"Setting '{name}': {value!r} ")
