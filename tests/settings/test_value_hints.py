"""Filter values of an uncommon form are a WARNING, and never an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_jobo.streams.registry import SETTINGS

if TYPE_CHECKING:
    from jobo_sandbox import Sandbox
    from tests.support import Tap

NAMED = {setting.name: setting for setting in SETTINGS}
COMMON = {
    "company_sizes": ["1-10", "11-50", "51-200", "1001-5000", "10001+"],
    "funding_stages": ["seed", "series_a", "pre_seed", "ipo", "series_10"],
    "country_codes": ["DE", "US", "GB", "GR", "TW", "XK", "AQ"],
    "industries": ["fintech", "real_estate"],
    "jobs_sources": ["Any Thing"],
}
UNCOMMON = [
    ("company_sizes", "11 - 50", "a size range such as 11-50 or 10001+."),
    ("company_sizes", "large", "a size range such as 11-50 or 10001+."),
    ("funding_stages", "Series A", "in lower case with underscores, such as series_a."),
    ("funding_stages", "pre-seed", "in lower case with underscores, such as pre_seed."),
    ("industries", "_fintech", "in lower case with underscores, such as fintech."),
    ("country_codes", "UK", "an ISO 3166-1 country code. Did you mean GB?"),
    ("country_codes", "XX", "an ISO 3166-1 country code."),
]


def test_common_forms_raise_no_hint() -> None:
    for name, values in COMMON.items():
        assert NAMED[name].value_hints(values) == NAMED[name].value_hints(None) == []


@pytest.mark.parametrize(("name", "value", "expected"), UNCOMMON)
def test_other_form_is_one_line_with_what_is_meant(name: str, value: str, expected: str) -> None:
    assert NAMED[name].type.allows([value])
    assert NAMED[name].value_hints([value, value]) == [
        f"Setting '{name}': {value!r} is not {expected} Unknown values match no rows."
    ]


def test_run_warns_before_it_is_billed_and_goes_on(tap: Tap, sandbox: Sandbox) -> None:
    filters: dict[str, Any] = {
        "country_codes": ["UK", "DE"],
        "company_sizes": ["11 to 50"],
        "funding_stages": ["Seed"],
        "founded_after": 1900,
    }
    run = tap.run(**filters)
    assert run.returncode == 0, run.stderr
    starts = [line.split(". ")[0] for line in run.lines("WARNING")[:3]]
    assert starts == [
        "Setting 'company_sizes': '11 to 50' is not a size range such as 11-50 or 10001+",
        "Setting 'country_codes': 'UK' is not an ISO 3166-1 country code",
        "Setting 'funding_stages': 'Seed' is not in lower case with underscores, such as seed",
    ]
    assert run.stderr.index("'UK'") < run.stderr.index("Summary")
    assert sandbox.feed_requests[0].body["country_codes"] == ["DE", "UK"]  # as they are written
