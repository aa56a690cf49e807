"""The sandbox's world: companies that are discovered and updated as time passes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random
from threading import RLock
from typing import Any

from jobo_sandbox.companies import Company, Json, make_change, make_company
from jobo_sandbox.instants import DAY, SECOND, from_micros, to_micros, to_text
from jobo_sandbox.order import Order, Position, Sorted

UPDATE_EVERY = 20 * SECOND
UPDATES_A_DISCOVERY = 3


class World:
    """Companies, the same for the same seed, size and time of creation.

    Safe to use from several threads.

    Args:
        seed: Decides everything that looks like chance.
        size: How many companies there are at the creation. All were updated within the year
            before it, none within the last day before it.
        created_at: When the world was created.
        clock: Tells the sandbox's time, in microseconds since 1970.
        life: Whether, as time passes, a company is updated every 20 seconds and another one
            discovered every 60.
        rows_with_updated_at: Whether rows carry `updated_at`.
        changes: What `changes` of an earlier world was, to be done again in this one.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of the world
        self,
        seed: int,
        size: int,
        *,
        created_at: datetime,
        clock: Callable[[], int],
        life: bool = False,
        rows_with_updated_at: bool = False,
        changes: Iterable[Json] = (),
    ) -> None:
        self.seed = seed
        self.rows_with_updated_at = rows_with_updated_at
        self.changes: list[Json] = []
        self._clock = clock
        self._life = life
        self._created_at = to_micros(created_at)
        self._ticks = 0
        self._additions = 0
        self._lock = RLock()
        rng = Random(seed)  # noqa: S311 - nothing here is secret
        made = (
            make_company(rng, self._created_at - rng.randint(DAY, 365 * DAY)) for _ in range(size)
        )
        self._companies = {company.row["id"]: company for company in made}
        self._ids = list(self._companies)
        self._sorted = Sorted((c.updated_at, key) for key, c in self._companies.items())
        for deed in changes:
            self._live_until(deed["at"])
            self._do(deed)

    def __len__(self) -> int:
        with self.still():
            return len(self._ids)

    def rows(self) -> dict[str, Json]:
        """All rows as the feed would show them now, by the company's id."""
        with self.still():
            return {key: self.row(key) for key in self._ids}

    def row(self, key: str) -> Json:
        """The row of one company, as the feed shows it. A copy.

        Raises:
            KeyError: If there is no such company.
        """
        company = self._companies[key]
        if self.rows_with_updated_at:
            # An explicit value, be it nonsense, wins: tests set it.
            return {"updated_at": to_text(company.updated_at)} | company.row
        return dict(company.row)

    def company(self, key: str) -> Company | None:
        """The company with this id, if there is one now."""
        with self.still():
            return self._companies.get(key)

    def updated_at(self, key: str) -> datetime:
        """When a company was last updated, in UTC, to the microsecond.

        Raises:
            KeyError: If there is no such company.
        """
        return from_micros(self._companies[key].updated_at)

    def touch(self, key: str, /, *, at: datetime | None = None, **changes: Any) -> None:
        """Update a company.

        Args:
            key: The company's id.
            at: When it is updated; the sandbox's now unless given.
            changes: New values for fields of the row, documented or not, and for what filters
                look at: `company_size`, `company_type`, `country_code`, `founded_year`,
                `funding_stage`, `industries`, `is_agency`.

        Raises:
            KeyError: If there is no such company.
        """
        with self.still():
            now = self._clock()
            to = now if at is None else to_micros(at)
            self._do({"at": now, "to": to, "id": key, "changes": changes})

    def add(self, **changes: Any) -> str:
        """Let a new company be discovered now.

        Args:
            changes: Values that it shall have, as for `touch`.

        Returns:
            Its id.
        """
        with self.still():
            now = self._clock()
            return self._do({"at": now, "to": now, "id": None, "changes": changes})

    def walk(
        self, order: Order, after: Position | None, newer_than: int
    ) -> Iterator[tuple[Position, Company]]:
        """Walk companies in an order (see `Sorted.walk`). Only within `still`."""
        for position in self._sorted.walk(order, after, newer_than):
            yield position, self._companies[position[1]]

    @contextmanager
    def still(self) -> Iterator[None]:
        """Bring the world up to date, and keep it still within a `with` block."""
        with self._lock:
            self._live_until(self._clock())
            yield

    def _do(self, deed: Json) -> str:
        """Do what was asked for from outside, and note it, so that it can be done again."""
        key = deed["id"]
        if key is None:
            self._additions += 1
            key = self._discover(f"{self.seed}:addition:{self._additions}", deed["to"])
        self._update(key, deed["changes"], deed["to"])
        self.changes.append(deed)
        return str(key)

    def _live_until(self, now: int) -> None:
        """Let happen what happens by itself until now."""
        while self._life and self._created_at + (self._ticks + 1) * UPDATE_EVERY <= now:
            self._ticks += 1
            when = self._created_at + self._ticks * UPDATE_EVERY
            if self._ids:
                rng = Random(f"{self.seed}:life:{self._ticks}")  # noqa: S311
                key = rng.choice(self._ids)
                self._update(key, make_change(rng, self._companies[key]), when)
            if self._ticks % UPDATES_A_DISCOVERY == 0:
                self._discover(f"{self.seed}:discovery:{self._ticks}", when)

    def _discover(self, seed: str, when: int) -> str:
        company = make_company(Random(seed), when)  # noqa: S311
        key = str(company.row["id"])
        self._companies[key] = company
        self._ids.append(key)
        self._sorted.add((when, key))
        return key

    def _update(self, key: str, changes: Json, when: int) -> None:
        company = self._companies[key]
        old = company.updated_at
        company.change(changes, when)
        self._sorted.move((old, key), (when, key))
