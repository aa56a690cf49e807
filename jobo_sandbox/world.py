"""The world: companies and their jobs, which change as time passes."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random
from threading import RLock
from typing import Any, Literal

from jobo_sandbox.company_data import Company, Json, make_change, make_company
from jobo_sandbox.instants import DAY, SECOND, from_micros, to_micros, to_text
from jobo_sandbox.job_board import JobBoard

Order = Literal["id", "updated_asc", "updated_desc"]
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
        description_bytes: Size of the jobs' descriptions; 0 for a few hundred characters.
        changes: The `changes` of an earlier world, to be repeated in this one.
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
        description_bytes: int = 0,
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
        rng = Random(seed)  # noqa: S311 - not a secret
        made = (
            make_company(rng, self._created_at - rng.randint(DAY, 365 * DAY)) for _ in range(size)
        )
        self._companies = {company.row["id"]: company for company in made}
        self._ids = list(self._companies)
        self._sorted = Sorted((c.updated_at, key) for key, c in self._companies.items())
        self.board = JobBoard(
            seed,
            jobs,
            companies=self._companies,
            created_at=self._created_at,
            description_bytes=description_bytes,
        )
        for change in changes:
            self._live_until(change["at"])
            self._do(change)

    def __len__(self) -> int:
        with self.still():
            return len(self._ids)

    def rows(self) -> dict[str, Json]:
        """All rows as the feed would return them now, by id."""
        with self.still():
            return {key: self.row(key) for key in self._ids}

    def row(self, key: str) -> Json:
        """One company's row as the feed returns it. A copy.

        Raises:
            KeyError: If there is no such company.
        """
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
        """When a company was last updated, in UTC.

        Raises:
            KeyError: If there is no such company.
        """
        return from_micros(self._companies[key].updated_at)

    def touch(self, key: str, /, *, at: datetime | None = None, **changes: Any) -> None:
        """Update a company.

        Args:
            key: The company's id.
            at: The time of the update. Defaults to now.
            changes: New values for fields of the row, documented or not, and for what the filters
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
        """Add a new company.

        Args:
            changes: Its values, as in `touch`.

        Returns:
            Its id.
        """
        with self.still():
            now = self._clock()
            return self._do({"at": now, "to": now, "id": None, "changes": changes})

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
        """Add a job.

        Args:
            company_id: Its company. Defaults to a random one.
            at: When it was first indexed. Defaults to now.
            changes: Its values, as in `touch_job`.

        Returns:
            Its id.

        Raises:
            KeyError: If there is no such company.
        """
        return self._change_job("add", None, at, changes, company_id)

    def touch_job(self, key: str, /, *, at: datetime | None = None, **changes: Any) -> None:
        """Update a job. An expired job becomes active again.

        Args:
            key: The job's id.
            at: The time of the update. Defaults to now.
            changes: New values for fields of the row, documented or not, and for what the filters
                look at: `work_model`, `employment`, `experience`, in the filters' spelling.

        Raises:
            KeyError: If there is no such job.
        """
        self._change_job("touch", key, at, changes)

    def expire_job(self, key: str, /, *, at: datetime | None = None) -> None:
        """Expire a job.

        Args:
            key: The job's id.
            at: When it expired. Defaults to now.

        Raises:
            KeyError: If there is no such job, or it has expired.
        """
        self._change_job("expire", key, at, {})

    def walk(
        self, order: str, after: Position | None, newer_than: int
    ) -> Iterator[tuple[Position, Company]]:
        """Iterate over companies (see `Sorted.walk`). Only valid within `still`."""
        for position in self._sorted.walk(order, after, newer_than):
            yield position, self._companies[position[1]]

    @contextmanager
    def still(self) -> Iterator[None]:
        """Bring the world up to date and prevent changes within a `with` block."""
        with self._lock:
            self._live_until(self._clock())
            yield

    def _change_job(
        self,
        what: str,
        key: str | None,
        at: datetime | None,
        changes: Json,
        company_id: str | None = None,
    ) -> str:
        with self.still():
            now = self._clock()
            to = now if at is None else to_micros(at)
            change = {"at": now, "to": to, "id": key, "changes": changes}
            return self._do(change | {"job": what, "company_id": company_id})

    def _do(self, change: Json) -> str:
        """Apply a change made by the user, and record it so that it can be repeated."""
        key = self._do_to_job(change) if "job" in change else self._do_to_company(change)
        self.changes.append(change)
        return key

    def _do_to_job(self, change: Json) -> str:
        key, when = change["id"], change["to"]
        if change["job"] == "expire":
            self.board.expire(key, when)
            return str(key)
        if key is None:
            # Not counted as an addition, which would change the companies that are added later.
            seed = f"job-addition:{len(self.changes)}"
            key = self.board.create(seed, change["company_id"], when)
        self.board.update(key, change["changes"], when)
        return str(key)

    def _do_to_company(self, change: Json) -> str:
        key = change["id"]
        if key is None:
            self._additions += 1
            key = self._discover(f"{self.seed}:addition:{self._additions}", change["to"])
        self._update(key, change["changes"], change["to"])
        return str(key)

    def _live_until(self, now: int) -> None:
        """Apply what happens by itself until now."""
        while self._life and self._created_at + (self._ticks + 1) * UPDATE_EVERY <= now:
            self._ticks += 1
            when = self._created_at + self._ticks * UPDATE_EVERY
            if self._ids:
                rng = Random(f"{self.seed}:life:{self._ticks}")  # noqa: S311
                key = rng.choice(self._ids)
                self._update(key, make_change(rng, self._companies[key]), when)
            if self._ticks % UPDATES_PER_DISCOVERY == 0:
                self._discover(f"{self.seed}:discovery:{self._ticks}", when)
            if self.board.lives:
                self.board.tick(self._ticks, when)

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


class Sorted:
    """Companies sorted by id and by update, so that a page can start anywhere."""

    def __init__(self, positions: Iterable[Position]) -> None:
        self._by_time = sorted(positions)
        self._by_id = sorted((key, when) for when, key in self._by_time)

    def add(self, position: Position) -> None:
        """Add a company."""
        when, key = position
        insort(self._by_time, position)
        insort(self._by_id, (key, when))

    def move(self, old: Position, new: Position) -> None:
        """Move a company that was updated."""
        when, key = old
        del self._by_time[bisect_left(self._by_time, old)]
        del self._by_id[bisect_left(self._by_id, (key, when))]
        self.add(new)

    def walk(self, order: str, after: Position | None, newer_than: int) -> Iterator[Position]:
        """Iterate over the companies.

        Args:
            order: By id, least recently updated first, or most recently updated first.
            after: The position of the last company before the start.
            newer_than: Only companies updated after this instant.
        """
        if order == "id":
            start = 0 if after is None else bisect_right(self._by_id, after[1], key=lambda x: x[0])
            for i in range(start, len(self._by_id)):
                key, when = self._by_id[i]
                if when > newer_than:
                    yield when, key
        elif order == "updated_asc":
            # The empty string sorts before every id.
            start = bisect_right(self._by_time, after or (newer_than + 1, ""))
            yield from self._slice(start, len(self._by_time), 1)
        else:
            stop = bisect_left(self._by_time, (newer_than + 1, ""))
            end = len(self._by_time) if after is None else bisect_left(self._by_time, after)
            yield from self._slice(end - 1, stop - 1, -1)

    def _slice(self, start: int, stop: int, step: int) -> Iterator[Position]:
        for i in range(start, stop, step):
            yield self._by_time[i]
