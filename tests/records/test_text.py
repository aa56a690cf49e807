from __future__ import annotations

import math

import pytest

from tap_jobo.records.text import sanitize_json, sanitize_text


@pytest.mark.parametrize(
    ("text", "sanitized"),
    [
        ("A\0B\0", "AB"),
        ("A\ud83dB\ude00", "A\ufffdB\ufffd"),
        ("\ud83d\0\ude00", "\ufffd\ufffd"),
        ("Zürich 😀\n", "Zürich 😀\n"),
        ("", ""),
    ],
)
def test_text_loses_what_databases_refuse(text: str, sanitized: str) -> None:
    assert sanitize_text(text) == sanitized


def test_json_is_sanitized_at_every_level() -> None:
    value = {"a\0": ["\ud800", {"b": "\0"}, None, 5, True], "c": 1.5}
    assert sanitize_json(value) == {"a": ["\ufffd", {"b": ""}, None, 5, True], "c": 1.5}


def test_numbers_that_json_does_not_have_become_text() -> None:
    assert sanitize_json([math.inf, -math.inf, math.nan]) == ["inf", "-inf", "nan"]
