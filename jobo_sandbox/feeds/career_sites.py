"""Career sites: the companies of the world."""

from collections.abc import Iterator

from jobo_sandbox.company_data import Company
from jobo_sandbox.feed import Feed
from jobo_sandbox.filters import any_of, at_least, either, trait
from jobo_sandbox.pricing import Price
from jobo_sandbox.queries import Cursor
from jobo_sandbox.world import Position, World


def _walk(world: World, cursor: Cursor) -> Iterator[tuple[Position, Company]]:
    return world.walk(cursor.order, cursor.after, cursor.query.newer_than)


FEED = Feed(
    path="/api/career-sites/feed",
    item_key="career_sites",
    walk=_walk,
    row=lambda world, key: world.row(key),
    filters={
        "industries": any_of(trait("industries"), field="industries"),
        "company_sizes": any_of(trait("company_size"), probes=(["0-0"],)),
        "country_codes": any_of(trait("country_code"), "[A-Z]{2}", probes=(["ZZ"],)),
        "funding_stages": any_of(trait("funding_stage")),
        "company_types": any_of(
            trait("company_type"), "for_profit|non_profit", (["non_profit"], ["for_profit"])
        ),
        "founded_after": at_least(trait("founded_year"), probe=9999),
        "is_agency": either(trait("is_agency")),
    },
    largest_page=50,
    price=lambda account: Price(account.price),
)
