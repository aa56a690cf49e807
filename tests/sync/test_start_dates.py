"""Which of two start dates reads more."""

from __future__ import annotations

import pytest

from tap_jobo.sync.start_date import StartDate

ALL, JANUARY, MARCH = map(StartDate.parse, (None, "2026-01-01", "2026-03-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("one", "other", "covers", "earlier", "later"),
    [
        (ALL, ALL, True, ALL, ALL),
        (ALL, JANUARY, True, ALL, JANUARY),
        (JANUARY, ALL, False, ALL, JANUARY),
        (JANUARY, JANUARY, True, JANUARY, JANUARY),
        (JANUARY, MARCH, True, JANUARY, MARCH),
        (MARCH, JANUARY, False, JANUARY, MARCH),
    ],
)
def test_no_start_date_is_the_earliest(
    one: StartDate, other: StartDate, *, covers: bool, earlier: StartDate, later: StartDate
) -> None:
    assert one.covers(other) is covers
    assert one.earlier_of(other) == earlier
    assert one.later_of(other) == later


@pytest.mark.parametrize(
    ("start", "bookmark", "is_after"),
    [(ALL, MARCH, False), (MARCH, ALL, False), (MARCH, MARCH, False), (MARCH, JANUARY, True)],
)
def test_only_a_start_date_after_the_bookmark_leaves_rows_unread(
    start: StartDate, bookmark: StartDate, *, is_after: bool
) -> None:
    assert start.is_after(bookmark.instant) is is_after
