"""Single values: UUIDs, date-times, and text that databases accept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_jobo.clock import parse_timestamp
from tap_jobo.records.values import PARSERS, parse_uuid, sanitize_text
from tests.records.strategies import TIMES

COMPANY = "2bd806c9-7b0e-4a6e-8a0b-0d5b1f1a6a11"
parse_date_time = PARSERS["date-time"]


@given(st.uuids().map(str))
def test_uuid_is_emitted_in_lowercase_and_with_dashes(canonical: str) -> None:
    assert parse_uuid(canonical.upper()) == parse_uuid(canonical) == canonical
    assert parse_uuid(canonical.upper().replace("-", "")) == canonical


@pytest.mark.parametrize(
    "value",
    [
        None,
        int(COMPANY.replace("-", ""), 16),
        COMPANY[:-1],
        COMPANY + "\n",
        "g" + COMPANY[1:],
        COMPANY.replace("-", "", 1),
        f"{{{COMPANY}}}",
        "\N{ARABIC-INDIC DIGIT TWO}" + COMPANY[1:],
    ],
)
def test_anything_else_is_not_a_uuid(value: object) -> None:
    assert parse_uuid(value) is None


@pytest.mark.parametrize(
    ("value", "emitted"),
    [
        ("2026-01-31T08:00:00.1234567Z", "2026-01-31T08:00:00.1234567Z"),
        ("2026-01-31T08:00:00+00:00", "2026-01-31T08:00:00.000000Z"),
        ("2026-01-31T10:00:00.1234567+02:00", "2026-01-31T08:00:00.123456Z"),
        ("2026-01-31T08:00:00", "2026-01-31T08:00:00.000000Z"),
        ("2026-01-31 08:00:00.5z", "2026-01-31T08:00:00.500000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
    ],
)
def test_date_time_is_emitted_in_utc(value: str, emitted: str) -> None:
    assert parse_date_time(value) == emitted


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        True,
        "2026-01",
        "2026-02-30",
        "2026-02-29T08:00:00Z",
        "2026-02-11T08:00:00+24:00",
        "2026-02-11T08:00:00Z\n",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-05:00",
        "2024-08-16T11:12:44.5427830\N{ARABIC-INDIC DIGIT ONE}Z",
    ],
)
def test_anything_else_is_not_a_date_time(value: object) -> None:
    assert parse_date_time(value) is None


@given(TIMES)
def test_date_time_stays_the_same_instant(text: str) -> None:
    emitted = parse_date_time(text)
    if emitted is not None:
        assert emitted.endswith("Z")
        assert parse_timestamp(emitted) == parse_timestamp(text)
        assert parse_date_time(emitted) is not None


@pytest.mark.parametrize(
    ("text", "sanitized"),
    [
        ("A\0B\0", "AB"),
        ("A\ud83dB\ude00", "A\ufffdB\ufffd"),
        ("\ud83d\0\ude00", "\ufffd\ufffd"),
        ("Zürich 😀\n", "Zürich 😀\n"),
    ],
)
def test_text_loses_what_databases_refuse(text: str, sanitized: str) -> None:
    assert sanitize_text(text) == sanitized
