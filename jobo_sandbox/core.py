"""The state of the mock API server: its options, world, ledger and faults. No HTTP."""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from string import ascii_letters, digits

from jobo_sandbox.faults import Faults
from jobo_sandbox.feeds import FEEDS, known
from jobo_sandbox.instants import SECOND, from_micros
from jobo_sandbox.ledger import Entry, Ledger
from jobo_sandbox.limits import Limits, Meter
from jobo_sandbox.pricing import Account
from jobo_sandbox.quirks import Quirks
from jobo_sandbox.world import Order, World


def make_api_key(seed: int) -> str:
    """Make an API key in the documented format. The same seed makes the same key."""
    rng = Random(f"{seed}:key")  # noqa: S311 - it opens nothing but the sandbox
    characters = rng.choices(ascii_letters + digits, k=21 + 43)
    return f"jbe_test_{''.join(characters[:21])}_{''.join(characters[21:])}"


@dataclass(kw_only=True, eq=False)
class Core(Account, Quirks):
    """Everything the mock API server knows. Options can be changed while it runs.

    Accepts all options of `Account` and `Quirks`.

    Attributes:
        size: Number of companies at the start. Fixed once created, like all options up to
            `secret`.
        seed: Determines everything that looks random, including the API key.
        life: Whether companies are added and updated as time passes.
        rows_with_updated_at: Whether rows have an `updated_at` field.
        jobs: Number of active jobs at the start.
        created_at: When the world was created. Defaults to now.
        secret: The key that signs cursors. Random by default.
        api_key: The only accepted API key. Derived from the seed by default.
        clock: Returns the time in Unix seconds.
        clock_offset: Seconds by which the server's clock is ahead of `clock`.
        order: The order of career sites in new scans.
        rate_limits: Limits of the feeds together, including the ids of expired jobs. None means no
            limits and no rate limit headers.
        profile_rate_limits: Limits of the other endpoints.
        empty_every: Every n-th page of a scan is empty although there are more; 0 for none.
        wraps_after: After so many pages, a scan starts again with new cursors; 0 for never.
        omit_credit_headers: Leave out the credit headers.
        omit_rate_headers: Leave out the rate limit headers.
        omit_date_header: Leave out the `Date` header.
        before_page: Called with the ledger entry before a page is built, in the server's thread.
            May change the world.
    """

    size: int = 300
    seed: int = 1
    life: bool = False
    rows_with_updated_at: bool = False
    jobs: int = 0
    created_at: datetime | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    api_key: str = ""
    clock: Callable[[], float] = time.time
    clock_offset: float = 0
    order: Order = "id"
    rate_limits: Limits | None = None
    profile_rate_limits: Limits | None = None
    empty_every: int = 0
    wraps_after: int = 0
    omit_credit_headers: bool = False
    omit_rate_headers: bool = False
    omit_date_header: bool = False
    before_page: Callable[[Entry], None] | None = None

    def __post_init__(self) -> None:
        self.api_key = self.api_key or make_api_key(self.seed)
        self.faults = Faults()
        self.book = Ledger()
        self.gone: set[str] = set()
        self.feed_meter = Meter("feed", self.clock)
        self.profile_meter = Meter("general", self.clock)
        self.world = World(
            self.seed,
            self.size,
            created_at=self.created_at or self.now(),
            clock=self.micros,
            life=self.life,
            rows_with_updated_at=self.rows_with_updated_at,
            jobs=self.jobs,
        )

    def micros(self) -> int:
        """The server's time in microseconds since 1970."""
        return round((self.clock() + self.clock_offset) * SECOND)

    def now(self) -> datetime:
        """The server's time in UTC."""
        return from_micros(self.micros())

    def expire_cursors(self) -> None:
        """Invalidate every cursor issued so far."""
        self.secret = secrets.token_bytes(32)

    def company_gone(self, key: str) -> None:
        """Make a company's profile respond with 404."""
        self.gone.add(key)

    @property
    def ledger(self) -> list[Entry]:
        """All API requests so far, in order of arrival."""
        return self.book.entries()

    def requests_to(self, endpoint: str) -> list[Entry]:
        """The requests to one endpoint so far."""
        return self.book.entries(known(endpoint))

    @property
    def feed_requests(self) -> list[Entry]:
        """The requests for pages of career sites so far."""
        return self.requests_to("career_sites")

    @property
    def profile_requests(self) -> list[Entry]:
        """The requests for company profiles so far."""
        return self.requests_to("profile")

    @property
    def rows_billed(self) -> int:
        """Number of rows delivered by the feeds that have a price, with repetitions."""
        return self.billed_ids().total()

    @property
    def credits_billed(self) -> int:
        """Total credits billed."""
        return sum(entry.credits for entry in self.ledger)

    def billed_ids(self) -> Counter[str]:
        """How often the feeds that have a price delivered the row with each id."""
        priced = (entry for name in FEEDS if FEEDS[name].price for entry in self.requests_to(name))
        return Counter(key for entry in priced for key in entry.row_ids)

    @property
    def open_requests(self) -> int:
        """Number of requests in progress."""
        return self.book.open_requests
