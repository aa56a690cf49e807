"""Filters that change between two runs: which change loses rows, and what each way on costs."""

from typing import Any

import pytest

from tap_jobo.streams import SETTINGS

NAMED = {setting.name: setting for setting in SETTINGS}
GERMANY, BERLIN = {"country": "Germany"}, {"country": "Germany", "city": "Berlin"}
CHANGES: list[tuple[str, Any, Any, bool]] = [
    ("country_codes", ["DE", "US"], ["US"], True),
    ("country_codes", ["DE", "US"], ["FR", "US"], False),
    ("country_codes", ["DE"], ["DE", "US"], False),
    ("country_codes", ["DE"], [], False),  # the last value of a list: now all match
    ("country_codes", None, ["DE"], True),
    ("country_codes", ["DE", "EU"], ["DE"], True),  # as an earlier version allowed
    ("country_codes", ["DE", "DE"], ["DE"], True),
    ("is_agency", None, False, True),
    ("is_agency", False, True, False),
    ("founded_after", 2000, 2001, True),
    ("founded_after", 2000, 1999, False),
    ("jobs_posted_after", "2020-01-01", "2020-01-02T00:00:00Z", True),
    ("jobs_posted_after", "2020-01-01", "2019-12-31T23:59:59Z", False),
    ("jobs_posted_after", "2020-01-01", "2020-01-01T00:00:00Z", True),
    ("jobs_locations", [GERMANY, {"country": "France"}], [GERMANY], True),
    ("jobs_locations", [GERMANY], [BERLIN], True),
    ("jobs_locations", [BERLIN], [GERMANY], False),
    ("jobs_locations", [BERLIN], [{"country": "Germany", "city": "Bonn"}], False),
    ("jobs_locations", [GERMANY], [BERLIN, {"city": "Paris"}], False),
    ("on_filter_change", "error", "keep", False),  # no filter: nothing says how its values relate
    ("founded_after", "1999", 2000, False),  # a state that someone has edited
    ("jobs_locations", [5], [BERLIN], False),
]


@pytest.mark.parametrize(("name", "old", "new", "is_narrower"), CHANGES)
def test_narrowing_matches_nothing_new(name: str, old: Any, new: Any, *, is_narrower: bool) -> None:
    setting = NAMED[name]
    old, new = (setting.type.normalize(value) for value in (old, new))
    assert setting.narrows(old, new) is is_narrower
