"""The career sites: a directory of companies and of where their jobs are listed."""

from __future__ import annotations

from typing import Final

from tap_jobo.settings.formats import matches
from tap_jobo.settings.kinds import Boolean, Integer, ListOf
from tap_jobo.settings.setting import Setting

PAGE_CAP: Final = 50
LIST_PRICE: Final = 50
"""Credits per row."""

_FULL_PAGE: Final = PAGE_CAP * LIST_PRICE
BATCH_SIZE: Final = Setting(
    name="batch_size",
    title="Batch size",
    description=(
        f"Rows per page, 1 to {PAGE_CAP}. A full page of {PAGE_CAP} costs {_FULL_PAGE:,} credits "
        f"(${_FULL_PAGE / 1000:.2f})."
    ),
    kind=Integer(1, PAGE_CAP),
    default=PAGE_CAP,
)
FILTERS: Final = (
    Setting(
        name="industries",
        title="Industries",
        description="Read only companies with one of these industry tags, such as fintech.",
        kind=ListOf(example="fintech"),
    ),
    Setting(
        name="company_sizes",
        title="Company sizes",
        description="Read only companies in one of these employee bands, such as 11-50.",
        kind=ListOf(example="11-50"),
    ),
    Setting(
        name="country_codes",
        title="Country codes",
        description="Read only companies in these countries: ISO 3166-1 alpha-2, such as DE.",
        kind=ListOf("country codes of two capital letters", matches(r"[A-Z]{2}"), example="DE"),
    ),
    Setting(
        name="funding_stages",
        title="Funding stages",
        description="Read only companies at one of these stages, such as seed or series_a.",
        kind=ListOf(example="seed"),
    ),
    Setting(
        name="company_types",
        title="Company types",
        description="Read only companies of these types: `for_profit`, `non_profit`.",
        kind=ListOf(allowed=("for_profit", "non_profit")),
    ),
    Setting(
        name="founded_after",
        title="Founded after",
        description="Read only companies founded in or after this calendar year.",
        kind=Integer(meaning="a calendar year"),
    ),
    Setting(
        name="is_agency",
        title="Agencies",
        description="Read only recruiting agencies (`true`) or only other companies (`false`).",
        kind=Boolean(),
    ),
)
"""The settings that select rows, named as in the body of the request."""
