"""What the rows of a page become, checked in bulk and one by one."""

import json
import logging
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from singer_sdk import typing as th

from tap_jobo.records.converter import (
    Conversion,
    RecordConverter,
    most_missing,
)
from tap_jobo.streams import career_sites, companies, jobs
from tap_jobo.streams.fields import RESCUED_DATA, boolean, instant, integer, number, object_of, text
from tests.records.strategies import (
    ANY_JSON,
    PLAIN_JSON,
    documented_object,
    odd_rows,
    rows_of,
)

pytestmark = pytest.mark.slow

Json = dict[str, Any]

LOGGER = logging.getLogger("tests.records")
COMPANY = "2bd806c9-7b0e-4a6e-8a0b-0d5b1f1a6a11"
NESTED: Json = th.PropertiesList(
    th.Property("id", th.UUIDType, required=True),
    th.Property("owner", object_of(th.Property("id", th.UUIDType(nullable=True)))),
    *(text("text", ""), instant("at", ""), integer("count", "")),
    *(number("ratio", ""), boolean("flag", "")),
    th.Property("lists", th.ArrayType(th.ArrayType(th.IntegerType(nullable=True), nullable=True))),
    RESCUED_DATA,
).to_dict()
SCHEMAS: dict[str, Json] = {
    "career_sites": career_sites.SCHEMA.to_dict(),
    "companies": companies.SCHEMA.to_dict(),
    "jobs": jobs.SCHEMA.to_dict(),
    "nested": NESTED,
}
NEVER_NULL: dict[str, Json] = {
    "career_sites": {"name": "", "ats": "", "listing_url": ""},
    "jobs": {"company": {}, "locations": []},
}
"""The fields that are never null in these tests, each with a value."""
FIELDS = {
    name: {key: kind for key, kind in schema["properties"].items() if key != "_rescued_data"}
    for name, schema in SCHEMAS.items()
}
REQUIRED = {name: {"id": COMPANY, **NEVER_NULL.get(name, {})} for name in FIELDS}


def pages_of(stream: str, junk: SearchStrategy[Any]) -> SearchStrategy[list[Any]]:
    """Pages of a few rows."""
    return st.lists(rows_of(FIELDS[stream], junk, REQUIRED[stream]), max_size=3)


EACH_KIND = pytest.mark.parametrize("stream", ["jobs", "nested"])
SLOW = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _converter(stream: str) -> RecordConverter:
    return RecordConverter(SCHEMAS[stream], LOGGER, [*NEVER_NULL.get(stream, ())])


CONVERTERS = {name: _converter(name) for name in SCHEMAS}


def _convert(stream: str, *rows: object) -> Conversion:
    return _converter(stream).convert(rows)


def _record(stream: str, **fields: Any) -> Json:
    (record,) = _convert(stream, {"id": COMPANY, **fields}).records
    return record


def _rescued(stream: str, **fields: Any) -> Any:
    text = _record(stream, **fields)["_rescued_data"]
    return None if text is None else json.loads(text)


def _in_bulk(converter: RecordConverter, rows: Sequence[object]) -> list[Json] | None:
    """Check a page while it is parsed, as the feed does; None if it is refused."""
    body = json.dumps(rows).encode()
    if b"\\u0000" in body:
        return None
    try:
        parsed = msgspec.json.decode(body, type=list[converter.row_type])  # type: ignore[name-defined]
    except msgspec.DecodeError:
        return None
    return converter.complete(msgspec.to_builtins(parsed))


def _deep() -> Any:
    """A value nested more deeply than Python can follow."""
    value: Any = []
    for _ in range(10_000):
        value = [value]
    return value


def _assert_same_both_ways(stream: str, rows: Sequence[object]) -> None:
    records = _in_bulk(CONVERTERS[stream], rows)
    if records is not None:
        careful = CONVERTERS[stream].convert(rows)
        # As text: 1 and 1.0 differ, and so do the orders of two objects.
        assert [*map(json.dumps, records)] == [*map(json.dumps, careful.records)]
        assert careful.skipped == {}
        assert not rows or CONVERTERS[stream].unusable(rows) == []


class TestBothWays:
    @EACH_KIND
    @SLOW
    @given(data=st.data())
    def test_a_page_checked_in_bulk_is_the_same(self, stream: str, data: st.DataObject) -> None:
        _assert_same_both_ways(stream, data.draw(pages_of(stream, ANY_JSON)))

    @settings(SLOW, max_examples=200)
    @given(row=odd_rows(FIELDS["nested"], ANY_JSON, REQUIRED["nested"]))
    def test_a_value_of_any_kind_is_the_same(self, row: Json) -> None:
        _assert_same_both_ways("nested", [row])

    @pytest.mark.parametrize("stream", ["companies", "jobs"])
    @SLOW
    @given(data=st.data())
    def test_documented_rows_pass_the_bulk_check(self, stream: str, data: st.DataObject) -> None:
        fields = {
            name: kind for name, kind in FIELDS[stream].items() if kind.get("format") != "date-time"
        }
        row = data.draw(documented_object(fields))
        row |= {name: row.get(name) or kind for name, kind in NEVER_NULL.get(stream, {}).items()}
        assert _in_bulk(_converter(stream), [row])

    @pytest.mark.parametrize("month", range(1, 13))
    def test_the_bulk_check_knows_the_days_of_each_month(self, month: int) -> None:
        converter = _converter("jobs")
        days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
        for day in range(33):
            time = f"2026-{month:02}-{day:02}T08:00:00Z"
            row = {"id": COMPANY, **NEVER_NULL["jobs"], "updated_at": time}
            assert (_in_bulk(converter, [row]) is not None) == (1 <= day <= days)


class TestRescue:
    @EACH_KIND
    @SLOW
    @given(data=st.data())
    def test_no_value_is_lost(self, stream: str, data: st.DataObject) -> None:
        rows = data.draw(pages_of(stream, PLAIN_JSON))
        page = _convert(stream, *rows)
        taken = [row for number, row in enumerate(rows, 1) if number not in page.skipped]
        for row, record in zip(taken, page.records, strict=True):
            rescued = json.loads(record["_rescued_data"] or "{}")
            for name, value in row.items():
                if name not in FIELDS[stream] or (record[name] is None and value is not None):
                    assert rescued[name] == value

    def test_what_databases_refuse_is_replaced(self) -> None:
        odd = ["A\0", {"\ud800\0": float("inf")}, True, 0.5]
        record = _record("nested", **{"x\0": odd, "text": "A\0\ud800"})
        assert record["text"] == "A\ufffd"
        assert json.loads(record["_rescued_data"]) == {"x": ["A", {"\ufffd": "inf"}, True, 0.5]}

    def test_nested_values_have_their_path(self) -> None:
        assert _rescued(
            "jobs",
            company={"size": 7, "name": ["ACME"]},
            qualifications={"must_have": {"skills": [{"name": "SQL"}, {"level": 3}]}},
            compensation=50_000,
        ) == {
            "company.size": 7,
            "company.name": ["ACME"],
            "qualifications.must_have.skills[1].level": 3,
            "compensation": 50_000,
        }
        assert _rescued("nested", lists=[[1, "a"], 5]) == {"lists[0][1]": "a", "lists[1]": 5}

    def test_what_is_nested_too_deeply_is_named(self) -> None:
        page = _convert("career_sites", _deep(), {"id": COMPANY, "name": _deep(), "more": 1})
        (record,) = page.records
        assert record["_rescued_data"] == '{"more":1,"name":"nested too deeply"}'
        assert len(page.skipped) == 1


def test_a_field_is_unusable_if_no_row_has_it() -> None:
    good = {"id": COMPANY, "name": "ACME", "ats": "lever", "listing_url": "https://x.example"}
    converter = CONVERTERS["career_sites"]
    bad: list[object] = [
        {**good, "id": "x", "name": 5},
        {"id": 7, "name": {}, "ats": ["lever"]},
        "no object",
    ]
    assert converter.unusable(bad) == ["id", "name"]
    assert converter.unusable(bad[1:]) == ["id", "name", "ats", "listing_url"]
    assert converter.unusable([*bad, {**good, "name": None}]) == []


class TestFormat:
    @pytest.mark.parametrize(("present", "is_another"), [(4, True), (5, False)])
    def test_most_fields_are_more_than_half(self, present: int, *, is_another: bool) -> None:
        fields = [*map(str, range(10))]
        rows: list[object] = [dict.fromkeys(fields[:present]), {"0": 1}]
        missing = fields[present:]
        assert most_missing(rows, fields) == (missing if is_another else [])

    def test_a_row_without_an_id_shows_the_format_only_if_none_has_one(self) -> None:
        whole, bare = {"name": "a", "ats": "b"}, {"id": COMPANY}
        assert most_missing([whole, bare], ["id", "name", "ats"]) == ["name", "ats"]
        assert most_missing([whole, 7], ["id", "name", "ats"]) == []
        assert most_missing([], ["id"]) == []


class TestLog:
    def test_bad_ids_and_values_are_shown_in_part(self, caplog: pytest.LogCaptureFixture) -> None:
        rows = [{"id": COMPANY.upper(), "name": ["x" * 1_000]}, {"id": "y" * 1_000, "name": "Z"}]
        converter = _converter("career_sites")
        converter.log_skipped(converter.convert(rows).skipped)
        errors = [each for each in caplog.records if each.levelname == "ERROR"]
        (field, row) = (each.getMessage() for each in errors)
        assert re.search(rf"'name' .*\b{COMPANY}\b.*\['xxx", field)
        assert "'yyy" in row
        assert "Z" not in row  # the rest of a row may be about a person
        assert "... [new-fields]\n" in field
        assert row.endswith("... [rows-skipped]")
        assert max(len(field), len(row)) < 750

    def test_twenty_of_a_kind_are_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        converter = _converter("career_sites")
        for _ in range(3):
            page = converter.convert([{"id": COMPANY, "name": 5}, {"id": 5}] * 10)
            converter.log_skipped(page.skipped)
        errors = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
        assert len(errors) == 2 * 21
        assert len(set(errors)) == 10 + 1 + 1
