"""What the checks of a page see, where the whole tap would show it only in part."""

from contextlib import nullcontext
from typing import Any
from uuid import UUID

import pytest

from tap_jobo.api.pages import ParsedPage
from tap_jobo.errors import FormatError
from tap_jobo.model import Charge, Receipt
from tap_jobo.records.converter import RecordConverter
from tap_jobo.records.values import ERASED
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.checks import PageChecks
from tests.archive.helpers import new_header
from tests.support.loggers import LOGGER
from tests.sync.test_rules import sync

NOON = "2026-11-01T12:00:00.000000Z"
CHARGE = Charge(requested=50, price=0, deducted=None, fall=0)
RECEIPT = Receipt(charge=CHARGE, balance=None, received_at=NOON, has_more=None, encoding="")


class Judge:
    """Checks pages of career sites."""

    def __init__(self) -> None:
        self.codes: list[str] = []  #: those of the warnings
        schema, never_null = CAREER_SITES.schema.to_dict(), CAREER_SITES.never_null
        self._converter = RecordConverter(schema, LOGGER, never_null)
        self._checks = PageChecks(
            CAREER_SITES, self._converter, lambda code, _fact, **_known: self.codes.append(code)
        )

    def see(self, items: list[Any], batch_size: int = 50, **more: Any) -> int:
        """Return the number of records of a last page. Raises FormatError if it stops."""
        page = ParsedPage(
            rows=items,
            next_cursor=None,
            has_more=False,
            estimated_total=None,
            are_rows_checked=False,
            has_error=False,
        )
        header = new_header(sync=sync(batch_size=batch_size), receipt=RECEIPT)
        self._checks.check(header, page, **more)
        return len(self._converter.convert(items).records)


def ids(count: int) -> list[Any]:
    """Rows without most of their fields, but with those that are never null."""
    needed = dict.fromkeys(CAREER_SITES.never_null, "x")
    return [{"id": str(UUID(int=number)), **needed} for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("rows", "bad", "size", "is_another"),
    [
        (1, 0, 50, False),
        (4, 0, 50, False),
        (5, 0, 50, True),
        (3, 1, 50, False),
        (4, 1, 50, True),
        (0, 5, 50, True),
        (2, 0, 2, True),
    ],
)
def test_without_most_fields_five_rows_or_a_full_page_show_another_format(
    rows: int, bad: int, size: int, *, is_another: bool
) -> None:
    items = [*ids(rows), *[{"id": 7}] * bad]
    with pytest.raises(FormatError) if is_another else nullcontext():
        Judge().see(items, batch_size=size)


def test_an_erased_row_shows_no_format() -> None:
    assert Judge().see([*[ERASED] * 5, *ids(4)]) == 4


@pytest.mark.parametrize(("estimate", "codes"), [(1_000, ["missing-rows"]), (0, [])])
def test_a_sync_that_ends_is_judged_once(estimate: int, codes: list[str]) -> None:
    """A load of its last page does not know how many rows were estimated."""
    judge = Judge()
    for _ in range(2):
        judge.see(ids(1), estimate=estimate)
    assert judge.codes == codes
