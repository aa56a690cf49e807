"""Filter values are compared with those that Jobo lists, before anything is billed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.streams import SETTINGS
from tests.support import Run, Tap
from tests.support.jobs import tap_of


@pytest.fixture
def tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with all feeds that are not free."""
    return tap_of(hiring, tmp_path, "career_sites", "jobs", "managed_jobs")


def unknown_values(run: Run) -> list[str]:
    assert run.returncode == 0, run.stderr
    return [line for line in run.lines("WARNING") if "Jobo does not list" in line]


def test_unknown_values_are_a_warning_before_anything_is_billed(tap: Tap, hiring: Sandbox) -> None:
    known = next(job["source"] for job in hiring.world.jobs().values())
    run = tap.run(
        jobs_sources=["lever", known],
        country_codes=["UK", "DE"],
        jobs_locations=[{"country": "Germny"}],
    )
    lines = unknown_values(run)  # each once, though two feeds have a filter of sources
    assert [line.split(" ", 2)[1] for line in lines] == [
        f"'{name}':" for name in ("jobs_locations", "jobs_sources")
    ]
    assert "Jobo does not list 'lever', so it matches no rows. Did you mean 'lever_co'?" in lines[1]
    assert run.stderr.index("'UK' probably matches no rows") < run.stderr.index("Summary")
    first = [entry.endpoint for entry in hiring.ledger[:3]]
    assert sorted({*first}) == ["clock", "filters", "locations"]


def test_without_such_a_filter_the_list_is_not_requested(tap: Tap, hiring: Sandbox) -> None:
    tap.succeed(jobs_posted_after="2020-01-01", country_codes=["XX"])
    assert not hiring.requests_to("filters") + hiring.requests_to("locations")


def test_values_are_looked_up_until_a_sync_is_complete_and_when_they_change(
    jobs_tap: Tap, hiring: Sandbox
) -> None:
    run: Run | None = None

    def lookups(**settings: Any) -> int:
        nonlocal run
        before = len(hiring.requests_to("filters"))
        run = jobs_tap.succeed(state=run and run.state, **settings)
        return len(hiring.requests_to("filters")) - before

    sources = {"jobs_sources": [*{job["source"] for job in hiring.world.jobs().values()}]}
    assert lookups(max_credits=120, **sources) == 1
    assert lookups(**sources) == 1  # the first sync is not complete
    assert lookups(**sources) == 0
    assert lookups(jobs_sources=sources["jobs_sources"][:1]) == 1


NAMED = {setting.name: setting for setting in SETTINGS}
COMMON = {
    "company_sizes": ["1-10", "11-50", "51-200", "1001-5000", "10001+"],
    "funding_stages": ["seed", "series_a", "pre_seed", "ipo", "series_10"],
    "country_codes": ["DE", "US", "GB", "GR", "TW", "XK", "AQ"],
    "industries": ["fintech", "real_estate"],
    "jobs_sources": ["Any Thing"],
}
UNCOMMON = [
    ("company_sizes", "11 - 50", "ranges, such as 11-50"),
    ("company_sizes", "large", "ranges, such as 11-50"),
    ("funding_stages", "Series A", "texts in lower case, such as seed or series_a"),
    ("funding_stages", "pre-seed", "texts in lower case, such as seed or series_a"),
    ("country_codes", "XX", "ISO 3166-1 codes in capitals, such as GB"),
]


def test_common_forms_raise_no_hint() -> None:
    for name, values in COMMON.items():
        assert NAMED[name].value_hints(values) == NAMED[name].value_hints(None) == []


def test_a_country_by_another_name_is_told_as_its_code() -> None:
    for value, code in {"UK": "GB", "USA": "US", "DEU": "DE", "Germany": "DE", "de": "DE"}.items():
        assert NAMED["country_codes"].meant(value) == code
    (hint,) = NAMED["country_codes"].value_hints(["UK"])
    assert "Did you mean GB?" in hint


@pytest.mark.parametrize(("name", "value", "expected"), UNCOMMON)
def test_other_form_is_one_line_with_what_is_meant(name: str, value: str, expected: str) -> None:
    assert NAMED[name].type.allows([value])
    hint = f"Setting '{name}': {value!r} probably matches no rows. Use a list of {expected}."
    assert {*NAMED[name].value_hints([value, value])} == {f"{hint} [no-match]"}
