"""Everything that the sandbox knows and can be asked about, without any HTTP."""

import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from string import ascii_letters, digits

from jobo_sandbox.companies import Json
from jobo_sandbox.instants import SECOND, from_micros
from jobo_sandbox.ledger import Entry, Ledger
from jobo_sandbox.limits import Meter
from jobo_sandbox.plan import Faults
from jobo_sandbox.switches import Switches
from jobo_sandbox.world import World


def make_api_key(seed: int) -> str:
    """A key of the documented look, the same for the same seed."""
    rng = Random(f"{seed}:key")  # noqa: S311 - it opens nothing but the sandbox
    characters = rng.choices(ascii_letters + digits, k=21 + 43)
    return f"jbe_test_{''.join(characters[:21])}_{''.join(characters[21:])}"


@dataclass(kw_only=True, eq=False)
class Core(Switches):
    """The world, the ledger, the faults to come; all `Switches` besides.

    Attributes:
        size: How many companies there are at first.
        seed: Decides everything that looks like chance, the API key too.
        life: Whether companies are discovered and updated as time passes.
        rows_with_updated_at: Whether rows carry `updated_at`.
        created_at: When the world was created; now unless given.
        changes: The `world.changes` of an earlier sandbox of the same seed, size and creation.
        secret: Signs cursors; by chance unless given.
        api_key: The only key that is let in; made from the seed unless given.
    """

    size: int = 300
    seed: int = 1
    life: bool = False
    rows_with_updated_at: bool = False
    created_at: datetime | None = None
    changes: Iterable[Json] = ()
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    api_key: str = ""

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
            changes=self.changes,
        )

    def micros(self) -> int:
        """The sandbox's time in microseconds since 1970."""
        return round((self.clock() + self.clock_offset) * SECOND)

    def now(self) -> datetime:
        """The sandbox's time, in UTC."""
        return from_micros(self.micros())

    def expire_cursors(self) -> None:
        """Reject from now on every cursor issued before."""
        self.secret = secrets.token_bytes(32)

    def company_gone(self, key: str) -> None:
        """Let the profile of a company be gone."""
        self.gone.add(key)

    @property
    def ledger(self) -> list[Entry]:
        """All requests to the API so far, in the order of their arrival."""
        return self.book.entries()

    @property
    def feed_requests(self) -> list[Entry]:
        """Those for pages of the feed."""
        return self.book.entries("feed")

    @property
    def profile_requests(self) -> list[Entry]:
        """Those for profiles."""
        return self.book.entries("profile")

    @property
    def rows_billed(self) -> int:
        """How many rows were billed, a row that was billed twice counted twice."""
        return sum(len(entry.row_ids) for entry in self.ledger)

    @property
    def credits_billed(self) -> int:
        """What was billed in all."""
        return sum(entry.credits for entry in self.ledger)

    def billed_ids(self) -> Counter[str]:
        """How often each company's row was billed."""
        return Counter(key for entry in self.ledger for key in entry.row_ids)

    @property
    def open_requests(self) -> int:
        """How many requests are being answered now."""
        return self.book.open_requests

    @property
    def max_open_requests(self) -> int:
        """The most requests that were ever being answered at a time."""
        return self.book.max_open_requests
