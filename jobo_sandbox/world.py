"""The world: companies and their jobs, which change as time passes."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from random import Random
from threading import RLock
from typing import Any, Literal

from jobo_sandbox.company_data import Company, Json, make_change, make_company
from jobo_sandbox.instants import DAY, SECOND, from_micros, to_micros, to_text
from jobo_sandbox.job_board import JobBoard

Order = Literal["id", "updated_asc"]
# A row's place in a scan: when it was updated (microseconds since 1970), and its id.
Position = tuple[int, str]

UPDATE_EVERY = 20 * SECOND
UPDATES_PER_DISCOVERY = 3


class World:
    """Companies and jobs. Equal arguments make an equal world. Thread-safe.

    Args:
        seed: Determines everything that looks random.
        size: Number of companies at creation. They were last updated between one day and one
            year before it.
        created_at: When the world was created.
        clock: Returns the server's time in microseconds since 1970.
        life: Whether, as time passes, a company is updated every 20 seconds and a new one is
            discovered every 60. Likewise a job, and one expires every 60 seconds; this takes
            `jobs`.
        rows_with_updated_at: Whether rows have an `updated_at` field.
        jobs: Number of active jobs at creation.
    """

    def __init__(  # noqa: PLR0913 - each is a property of the world
        self,
        seed: int,
        size: int,
        *,
        created_at: datetime,
        clock: Callable[[], int],
        life: bool = False,
        rows_with_updated_at: bool = False,
        jobs: int = 0,
    ) -> None:
        self.seed = seed
        self.rows_with_updated_at = rows_with_updated_at
        self._clock = clock
        self._life = life
        self._created_at = to_micros(created_at)
        self._ticks = 0
        self._additions = self._added_jobs = 0
        self._lock = RLock()
        self._companies = {
            row["id"]: Company(row, traits, self._created_at - age)
            for row, traits, age in _first_companies(seed, size)
        }
        # The companies' positions by order, until one changes.
        self._sorted: dict[str, list[Position]] = {}
        self.board: JobBoard = JobBoard(
            seed,
            jobs,
            companies=self._companies,
            created_at=self._created_at,
        )

    def __len__(self) -> int:
        with self.still():
            return len(self._companies)

    def rows(self) -> dict[str, Json]:
        """All rows as the feed would return them now, by id."""
        with self.still():
            return {key: self.row(key) for key in self._companies}

    def row(self, key: str) -> Json:
        """One company's row as the feed returns it. A copy."""
        company = self._companies[key]
        if self.rows_with_updated_at:
            # A value set by a test takes precedence, even an invalid one.
            return {"updated_at": to_text(company.updated_at)} | company.row
        return dict(company.row)

    def company(self, key: str) -> Company | None:
        """The company with this id, if it exists."""
        with self.still():
            return self._companies.get(key)

    def updated_at(self, key: str) -> datetime:
        """When a company was last updated, in UTC."""
        return from_micros(self._companies[key].updated_at)

    def touch(self, key: str, /, *, at: datetime | None = None, **changes: Any) -> None:
        """Update a company, by default now.

        Args:
            key: The company's id.
            at: The time of the update.
            changes: New values for fields of the row, documented or not, and for what the filters
                look at: `company_size`, `company_type`, `country_code`, `founded_year`,
                `funding_stage`, `industries`, `is_agency`.
        """
        with self.still():
            self._companies[key].change(changes, self._instant(at))
            self._sorted.clear()

    def add(self, **changes: Any) -> str:
        """Add a new company with these values, as in `touch`, and return its id."""
        with self.still():
            self._additions += 1
            now = self._clock()
            key = self._discover(f"{self.seed}:addition:{self._additions}", now)
            self._companies[key].change(changes, now)
            return key

    def jobs(self) -> dict[str, Json]:
        """The rows of all active jobs as the feed would return them now, by id."""
        with self.still():
            return {key: self.board.row(key) for key, _ in self.board.active()}

    def managed_jobs(self) -> dict[str, Json]:
        """Those of the jobs that the managed feed returns: jobs of about every third company."""
        with self.still():
            managed = (key for key, job in self.board.active() if self.board.is_managed(job))
            return {key: self.board.row(key) for key in managed}

    def expired_jobs(self) -> dict[str, datetime]:
        """When each expired job expired, by id."""
        with self.still():
            return {key: from_micros(when) for when, key in self.board.expired()}

    def add_job(
        self, *, company_id: str | None = None, at: datetime | None = None, **changes: Any
    ) -> str:
        """Add a job, by default of a random company and indexed now, and return its id."""
        with self.still():
            # Not counted as an addition, which would change the companies that are added later.
            self._added_jobs += 1
            when = self._instant(at)
            key = self.board.create(f"job-addition:{self._added_jobs}", company_id, when)
            self.board.update(key, changes, when)
            return key

    def touch_job(self, key: str, /, *, at: datetime | None = None, **changes: Any) -> None:
        """Update a job. An expired job becomes active again.

        Args:
            key: The job's id.
            at: The time of the update. Defaults to now.
            changes: New values for fields of the row, documented or not, and for what the filters
                look at: `work_model`, `employment`, `experience`, in the filters' spelling.
        """
        with self.still():
            self.board.update(key, changes, self._instant(at))

    def expire_job(self, key: str, /, *, at: datetime | None = None) -> None:
        """Expire a job, by default now."""
        with self.still():
            self.board.expire(key, self._instant(at))

    def walk(
        self, order: str, after: Position | None, newer_than: int
    ) -> Iterator[tuple[Position, Company]]:
        """Iterate over the companies after a position that are updated later. Only in `still`."""

        def rank(position: Position) -> Any:
            return position[1] if order == "id" else position

        if order not in self._sorted:
            positions = ((c.updated_at, key) for key, c in self._companies.items())
            self._sorted[order] = sorted(positions, key=rank)
        line = self._sorted[order]
        start = 0 if after is None else bisect_right(line, rank(after), key=rank)
        for place in line[start:]:
            if place[0] > newer_than:
                yield place, self._companies[place[1]]

    @contextmanager
    def still(self) -> Iterator[None]:
        """Bring the world up to date and prevent changes within a `with` block."""
        with self._lock:
            self._live_until(self._clock())
            yield

    def _instant(self, at: datetime | None) -> int:
        return self._clock() if at is None else to_micros(at)

    def _live_until(self, now: int) -> None:
        """Apply what happens by itself until now."""
        while self._life and self._created_at + (self._ticks + 1) * UPDATE_EVERY <= now:
            self._ticks += 1
            when = self._created_at + self._ticks * UPDATE_EVERY
            if self._companies:
                rng = Random(f"{self.seed}:life:{self._ticks}")  # noqa: S311
                company = self._companies[rng.choice(list(self._companies))]
                company.change(make_change(rng, company), when)
                self._sorted.clear()
            if self._ticks % UPDATES_PER_DISCOVERY == 0:
                self._discover(f"{self.seed}:discovery:{self._ticks}", when)
            if self.board.lives:
                self.board.tick(self._ticks, when)

    def _discover(self, seed: str, when: int) -> str:
        company = make_company(Random(seed), when)  # noqa: S311
        key = str(company.row["id"])
        self._companies[key] = company
        self._sorted.clear()
        return key


@lru_cache(maxsize=8)  # each test makes a world, and most make the same one
def _first_companies(seed: int, size: int) -> list[tuple[Json, Json, int]]:
    """Return the companies of a new world: rows, traits, and microseconds since their update."""
    rng = Random(seed)  # noqa: S311 - not a secret
    ages = (rng.randint(DAY, 365 * DAY) for _ in range(size))
    return [
        (made.row, made.traits, -made.updated_at)
        for made in (make_company(rng, -age) for age in ages)
    ]
