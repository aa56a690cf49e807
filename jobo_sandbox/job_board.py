"""The jobs of the world's companies: created, updated and expired as time passes."""

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from random import Random

from jobo_sandbox.company_data import Company, Json, categories_of
from jobo_sandbox.instants import DAY, to_text
from jobo_sandbox.job_data import Job, company_of_job, make_job, make_job_change

_OLDEST = 60 * DAY
_EXPIRED_SHARE = 20
_EXPIRED_DAYS = 7
_TICKS_PER_CHANGE = 3
_MANAGED_SHARE = 3


class JobBoard:
    """Jobs, from sources of randomness of their own: companies are the same with and without.

    Not thread-safe; the world locks it.

    Args:
        seed: Determines everything that looks random.
        number: Number of active jobs at creation. They were created within the 60 days before it
            and last updated at least one day before it. One in twenty more expired within the
            last seven days before it.
        companies: The world's companies by id, as they change.
        created_at: When the world was created, in microseconds since 1970.
    """

    def __init__(
        self,
        seed: int,
        number: int,
        *,
        companies: Mapping[str, Company],
        created_at: int,
    ) -> None:
        self._seed = seed
        self._companies = companies
        self._categories: dict[str, list[str]] = {}
        self._jobs: dict[str, Job] = {}
        self._by_creation: list[tuple[int, str]] = []
        self._by_expiry: list[tuple[int, str]] = []
        rng = Random(f"{seed}:jobs")  # noqa: S311 - not a secret
        # Those of later companies are drawn one by one.
        ids = list(companies)
        self.lives = bool(number and ids)
        for _ in range(number if ids else 0):
            key = self._create(rng, rng.choice(ids), created_at - rng.randint(DAY, _OLDEST))
            job = self._jobs[key]
            if rng.random() < 0.4:  # noqa: PLR2004 - a probability
                job.updated_at = rng.randint(job.created_at, created_at - DAY)
        for _ in range(number // _EXPIRED_SHARE if ids else 0):
            created = created_at - rng.randint((_EXPIRED_DAYS + 1) * DAY, _OLDEST)
            key = self._create(rng, rng.choice(ids), created)
            self.expire(key, created_at - rng.randint(1, _EXPIRED_DAYS * DAY))

    def __len__(self) -> int:
        return len(self._jobs) - len(self._by_expiry)

    def active(self) -> Iterator[tuple[str, Job]]:
        """Iterate over the active jobs, oldest first."""
        for _, key in self._by_creation:
            if self._jobs[key].expired_at is None:
                yield key, self._jobs[key]

    def expired(self) -> list[tuple[int, str]]:
        """The expired jobs: when they expired, and their ids."""
        return list(self._by_expiry)

    def row(self, key: str) -> Json:
        """One job's row as the feed returns it. A copy."""
        job = self._jobs[key]
        times = {"created_at": to_text(job.created_at), "updated_at": to_text(job.updated_at)}
        # A value set by a test takes precedence, even an invalid one.
        return times | job.row

    def is_managed(self, job: Job) -> bool:
        """Whether the account has the job's company under Managed Job Scraping."""
        return int(job.company_id[:8], 16) % _MANAGED_SHARE == 0

    def walk(self, after: tuple[int, str] | None) -> Iterator[tuple[tuple[int, str], Job]]:
        """Iterate over the active jobs after a position, in the order of their creation."""
        start = 0 if after is None else bisect_right(self._by_creation, after)
        for i in range(start, len(self._by_creation)):
            job = self._jobs[self._by_creation[i][1]]
            if job.expired_at is None:
                yield self._by_creation[i], job

    def walk_expired(
        self, after: tuple[int, str] | None, newer_than: int
    ) -> Iterator[tuple[int, str]]:
        """Iterate over the expired jobs, in the order of their expiry."""
        # The empty string sorts before every id.
        start = bisect_right(self._by_expiry, after or (newer_than + 1, ""))
        yield from self._by_expiry[start:]

    def create(self, seed: str, company_id: str | None, when: int) -> str:
        """Add a job, of a random company by default, and return its id."""
        rng = Random(f"{self._seed}:{seed}")  # noqa: S311 - not a secret
        picked = rng.choice(list(self._companies))
        return self._create(rng, company_id or picked, when)

    def update(self, key: str, changes: Json, when: int) -> None:
        """Update a job, and the company object inside it. An expired job becomes active again."""
        job = self._jobs[key]
        if job.expired_at is not None:
            self._by_expiry.remove((job.expired_at, key))
            job.expired_at = None
        job.change({"company": self._embedded(job.company_id)} | changes, when)

    def expire(self, key: str, when: int) -> None:
        """Expire an active job."""
        job = self._jobs[key]
        if job.expired_at is not None:
            raise KeyError(key)
        job.expired_at = when
        insort(self._by_expiry, (when, key))

    def tick(self, number: int, when: int) -> None:
        """Apply what happens by itself: an update, and now and then a new or an expired job."""
        rng = Random(f"{self._seed}:job-life:{number}")  # noqa: S311 - not a secret
        keys = [key for key, _ in self.active()]
        if keys:
            key = rng.choice(keys)
            self.update(key, make_job_change(rng, self._jobs[key]), when)
        if number % _TICKS_PER_CHANGE == 0:
            self.create(f"job-discovery:{number}", None, when)
        elif number % _TICKS_PER_CHANGE == 1 and keys:
            self.expire(rng.choice(keys), when)

    def _create(self, rng: Random, company_id: str, when: int) -> str:
        job = make_job(rng, self._companies[company_id], self._embedded(company_id), when)
        key = str(job.row["id"])
        self._jobs[key] = job
        insort(self._by_creation, (when, key))
        return key

    def _embedded(self, company_id: str) -> Json:
        company = self._companies[company_id]
        if company_id not in self._categories:
            self._categories[company_id] = categories_of(self._seed, company)
        return company_of_job(company, self._categories[company_id])
