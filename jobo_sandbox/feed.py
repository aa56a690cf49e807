"""What a feed of the API is: where it is, which rows it has, and what they cost."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobo_sandbox.company_data import Json
from jobo_sandbox.filters import Filter, instant, typed
from jobo_sandbox.instants import DAY
from jobo_sandbox.pricing import Account, Price
from jobo_sandbox.queries import ALWAYS, Cursor, Query
from jobo_sandbox.world import Position, World


@dataclass(frozen=True, kw_only=True)
class Feed:
    """An endpoint with pages. To add a feed, make one in a module of `jobo_sandbox.feeds`.

    Attributes:
        path: Of the endpoint.
        method: Of the requests. The parameters of a GET are in its query.
        item_key: The member of the response that holds the page's items.
        walk: Yields the rows after a cursor that changed within its window, in the order of the
            feed: their positions, and what the filters look at. Called while the world is still.
        row: Returns the item with an id.
        filters: What a request can select by, by the names of the parameters.
        largest_page: Maximum of `batch_size`.
        usual_page: Rows of a page without a `batch_size`. By default, the largest page.
        since_parameter: The parameter that names the start of the window.
        since_is_inclusive: Whether rows that changed exactly then are returned.
        usual_window: Microseconds that the window has by default. None for all.
        longest_window: Microseconds that the window may have. None for any.
        price: Returns what its rows cost an account now. None if they are free.
        refusal: Returns why an account may not use it; empty if it may.
        estimates: Whether a first page has an `estimated_total`.
        order: The field in whose order the rows come, as far as that is known.
    """

    path: str
    method: str = "POST"
    item_key: str
    walk: Callable[[World, Cursor], Iterator[tuple[Position, Any]]]
    row: Callable[[World, str], Any]
    filters: Mapping[str, Filter] = field(default_factory=dict)
    largest_page: int
    usual_page: int | None = None
    since_parameter: str = "updated_after"
    since_is_inclusive: bool = False
    usual_window: int | None = None
    longest_window: int | None = None
    price: Callable[[Account], Price] | None = None
    refusal: Callable[[Account, World], str] = lambda *_: ""
    estimates: bool = False
    order: str = ""

    def price_now(self, account: Account) -> Price:
        """Return what its rows cost an account now."""
        return self.price(account) if self.price else Price(0, plan="no_headers")

    def read(self, body: Json, now: int) -> Query:
        """Read a request.

        Raises:
            ValueError: If the API would reject it. The message is meant for the user.
        """
        if self.method == "GET":
            size = body.get("batch_size", "")
            body = body | ({"batch_size": int(size)} if size.isdecimal() else {})
        filters = {name: each.read(body, name) for name, each in self.filters.items()}
        given = {name: value for name, value in filters.items() if value not in (None, [])}
        size = typed(body, "batch_size", int, "an integer")
        size = (self.usual_page or self.largest_page) if size is None else size
        if not 1 <= size <= self.largest_page:
            raise ValueError(f"batch_size must be between 1 and {self.largest_page}.")
        return Query(given, self._newer_than(body, now), size)

    def _newer_than(self, body: Json, now: int) -> int:
        since = instant(body, self.since_parameter)
        if since is None:
            if self.usual_window is None:
                return ALWAYS
            since = now - self.usual_window
        if self.longest_window is not None and since < now - self.longest_window:
            days = self.longest_window // DAY
            raise ValueError(f"{self.since_parameter} must not be more than {days} days ago.")
        return since - self.since_is_inclusive

    def positions(self, world: World, cursor: Cursor) -> Iterator[Position]:
        """Iterate over the rows after a cursor that pass its filters. Only in `world.still`."""
        wanted = [(self.filters[name], value) for name, value in cursor.query.filters.items()]
        for position, row in self.walk(world, cursor):
            if all(each.passes(value, row) for each, value in wanted):
                yield position
