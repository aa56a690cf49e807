"""Filter values whose form is not Jobo's are a warning, before anything is billed."""

from __future__ import annotations

from tap_jobo.streams import SETTINGS

NAMED = {setting.name: setting for setting in SETTINGS}


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
