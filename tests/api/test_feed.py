"""The envelope of a page: JSON, its members, and cursors that lead in circles."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from jobo_sandbox import Fault
from tap_jobo.api.pages import PageParser, parse_json
from tap_jobo.errors import ApiError
from tap_jobo.records.converter import RecordConverter
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.jobs import EXPIRED_JOBS, JOBS
from tests.support import Tap
from tests.support.loggers import LOGGER

Body = dict[str, Any]
SITES = PageParser(CAREER_SITES)


def _without(name: str) -> Callable[[Body], Body]:
    return lambda body: {key: value for key, value in body.items() if key != name}


def _with(**members: object) -> Callable[[Body], Body]:
    return lambda body: {**body, **members}


BROKEN: dict[str, Callable[[Body], object]] = {
    "no has_more": _without("has_more"),
    "has_more null": _with(has_more=None),
    "has_more text": _with(has_more="false"),
    "has_more number": _with(has_more=0),
    "next_cursor number": _with(next_cursor=7),
    "next_cursor with NUL": _with(next_cursor="a\0"),
    "next_cursor with half a character": _with(next_cursor="a\ud800"),
    "no career_sites": _without("career_sites"),
    "career_sites null": _with(career_sites=None),
    "career_sites object": _with(career_sites={}),
    "a list": lambda body: [body],
    "a text": lambda _: "rows",
    "null": lambda _: None,
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_broken_envelope_is_rejected(broken: Callable[[Body], object]) -> None:
    body = {"career_sites": [], "next_cursor": "next", "has_more": True}
    assert SITES.parse(json.dumps(body).encode()).next_cursor == "next"
    with pytest.raises(ApiError, match=r"has_more|next_cursor|career_sites|Expected `object`"):
        SITES.parse(json.dumps(broken(body)).encode())


@pytest.mark.parametrize(
    "end",
    [
        {"has_more": False},
        {"has_more": False, "career_sites": None},
        {"has_more": False, "career_sites": None, "next_cursor": "", "estimated_total": 0},
    ],
)
def test_only_an_empty_last_page_may_have_no_list(end: Body) -> None:
    assert SITES.parse(json.dumps(end).encode()).rows == []
    assert SITES.parse(json.dumps({**end, "career_sites": [7]}).encode()).rows == [7]
    for change in (_with(has_more=True), _with(next_cursor="next"), _with(rows=[])):
        with pytest.raises(ApiError):
            SITES.parse(json.dumps(change(end)).encode())
    with pytest.raises(ApiError):
        SITES.parse(json.dumps(end).encode(), is_billed=True)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"career_sites": [', b"[" * 100_000])
def test_body_that_is_not_json_is_rejected(body: bytes) -> None:
    with pytest.raises(ApiError, match="not JSON"):
        SITES.parse(body)


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [(0, 0), (10**12 - 1, 10**12 - 1), (10**12, None), (-1, None), (1.0, None), ("7", None)],
)
def test_estimate_is_a_plausible_number_of_rows_or_none(
    estimate: object, expected: int | None
) -> None:
    body = {"career_sites": [], "has_more": False, "estimated_total": estimate}
    assert SITES.parse(json.dumps(body).encode()).estimated_total == expected


def test_a_member_with_half_a_character_in_its_name_is_ignored() -> None:
    body = b'{"career_sites": [], "has_more": false, "x\\ud800": 1}'
    assert SITES.parse(body).rows == []


def test_json_with_invalid_utf_8_is_read() -> None:
    assert parse_json(b'{"detail": "Caf\xe9"}') == {"detail": "Caf\ufffd"}


ROW = b'{"id": "11111111-2222-3333-4444-555555555555", "title": "a"'
TEMPLATES = {
    "number": b'{"jobs": [%b, "compensation": {"min": %%b}}], "has_more": false}' % ROW,
    "text": b'{"jobs": [%b, "summary": %%b}], "has_more": false}' % ROW,
    "twice": b'{"jobs": [%b, "title": %%b}], "has_more": false}' % ROW,
    "unknown": b'{"jobs": [%b, "new": %%b}], "has_more": false}' % ROW,
    "key": b'{"jobs": [%b, %%b: 1}], "has_more": false}' % ROW,
    "row": b'{"jobs": [%b}, %%b], "has_more": false}' % ROW,
    "list twice": b'{"jobs": %%b, "jobs": [%b}], "has_more": false}' % ROW,
    "envelope": b'{"jobs": [%b}], "has_more": false, "new": %%b}' % ROW,
    "cursor": b'{"jobs": [%b}], "has_more": true, "next_cursor": %%b}' % ROW,
    "estimate": b'{"estimated_total": %%b, "jobs": [%b}], "has_more": false}' % ROW,
    "has_more": b'{"jobs": [%b}], "has_more": %%b}' % ROW,
    "member": b'{"jobs": [%b}], "has_more": false, %%b: 1}' % ROW,
    "end": b'{"jobs": [%b}], "has_more": false}%%b' % ROW,
}
VALUES = [
    *(b"0", b"-0", b"-0.0", b"1e2", b"01", b"1.", b"+1", b"1e400", b"-1e-400", b"NaN"),
    *(b"18446744073709551616", b"12345678901234567890.0", b"9" * 400),
    *(b'""', b'"a\\u0000"', b'"a\\\\u0000"', b'"a\0"', b'"a\n"', b'"\x7f"', b'"\\x"', b'"\\u00"'),
    *(b'"\\ud800"', b'"\\udc00a"', b'"\\ud83d\\ude00"', b'"\xff"', b'"\xed\xa0\x80"', b'"\\ufeff"'),
    *(b"null", b"true", b"[]", b"{}", b"[null]", b'{"a": 1, "a": [2]}', b"[" * 900 + b"]" * 900),
    *(b"", b" ", b"\xef\xbb\xbf", b"x", b"// no", b"'a'"),
]


def _outcome(body: bytes, converter: RecordConverter, parser: PageParser) -> object:
    """What becomes of a page, its rows checked at once by the parser, or bit by bit."""
    try:
        page = parser.parse(body)
    except ApiError as error:
        return str(error)
    records, bad = page.rows, "[]"
    if page.are_rows_checked:
        converter.complete(records)
    else:
        found = converter.convert(page.rows)
        records, bad = [*found.records], repr([*found.skipped.values()])
    written = [json.dumps(record) for record in records]  # as 1 and 1.0 differ
    return written, bad, page.next_cursor, page.has_more, page.estimated_total


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_a_page_parsed_at_once_is_read_the_same(template: bytes) -> None:
    converter = RecordConverter(JOBS.schema.to_dict(), LOGGER)
    bit_by_bit, at_once = PageParser(JOBS), PageParser(JOBS, converter.row_type)
    for value in VALUES:
        for body in (template % value, b"\xef\xbb\xbf" + template % value):
            expected = _outcome(body, converter, bit_by_bit)
            assert _outcome(body, converter, at_once) == expected, body


def test_a_page_of_documented_rows_is_parsed_at_once() -> None:
    parser = PageParser(JOBS, RecordConverter(JOBS.schema.to_dict(), LOGGER).row_type)
    names = JOBS.field_names - {"id"}
    texts = ("title", "normalized_title", "description", "summary", "listing_url", "apply_url")
    kinds = ("employment_type", "workplace_type", "experience_level", "source")
    lists = ("locations", "responsibilities", "benefits")
    row: dict[str, Any] = {
        "id": str(UUID(int=1)),
        **dict.fromkeys(names),
        **dict.fromkeys((*texts, *kinds), "a"),
        **{name: [] for name in lists},
    }
    body = json.dumps({"jobs": [row], "has_more": True, "next_cursor": "a"}).encode()
    assert parser.parse(body).are_rows_checked
    renamed = body.replace(b'"source"', b'"origin"')
    assert not parser.parse(renamed).are_rows_checked  # or it would look null
    assert not parser.parse(TEMPLATES["text"] % b'"a"').are_rows_checked  # sparse


def test_rows_are_checked_one_by_one_if_the_items_are_none_yet() -> None:
    parser = PageParser(
        EXPIRED_JOBS, RecordConverter(EXPIRED_JOBS.schema.to_dict(), LOGGER).row_type
    )
    ids = b'{"job_ids": [{"id": "11111111-2222-3333-4444-555555555555"}], "has_more": false}'
    assert not parser.parse(ids).are_rows_checked


NO_CURSORS: dict[str, Callable[[Body], Body]] = {
    "none": lambda body: _without("next_cursor")({**body, "has_more": True}),
    "null": _with(next_cursor=None, has_more=True),
    "empty": _with(next_cursor="", has_more=True),
}


@pytest.mark.parametrize("no_cursor", NO_CURSORS.values(), ids=NO_CURSORS.keys())
def test_a_short_page_without_a_cursor_is_the_end_and_a_full_one_is_broken(
    tap: Tap, no_cursor: Callable[[Body], Body]
) -> None:
    tap.sandbox.faults.add(Fault(replace=no_cursor), on=3, endpoint="career_sites")
    run = tap.succeed()
    assert run.codes("WARNING") == ["missing-rows"]
    assert sorted(run.ids) == sorted(tap.sandbox.world.rows())
    assert run.bookmark["replication_key_value"]

    tap.sandbox.faults.add(Fault(replace=no_cursor), on=4, endpoint="career_sites")
    other = str(tap.folder / "another")
    run = tap.fail(code="format-changed", archive_dir=other, industries=["fintech"], batch_size=1)
    assert "without a 'next_cursor'" in run.complaint
    assert run.records == []
