"""Company profiles: fetched concurrently, returned in the order requested."""

from __future__ import annotations

import enum
from collections import deque
from concurrent.futures import wait
from typing import TYPE_CHECKING, Final

from tap_jobo.api.json_body import parse_json
from tap_jobo.api.worker_pool import WorkerPool
from tap_jobo.errors import ApiError, NotFoundError, RetriesExhaustedError
from tap_jobo.records.values import parse_uuid
from tap_jobo.wording import plural

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from requests import PreparedRequest

    from tap_jobo.api.client import Client
    from tap_jobo.records.converter import RecordConverter, Row
    from tap_jobo.signals import ShutdownSignal

    _Outcome = Row | RetriesExhaustedError | None

RETRY_FOR: Final = 60.0
"""Seconds of waits for one profile: less than for a page, since it can be fetched later, free."""
PROFILE_PATH: Final = "/api/companies"
NOBODY: Final = "00000000-0000-0000-0000-000000000000"
"""No company has this id: a 404 for it shows that the API is up, and what its clock says."""
AHEAD: Final = 50
"""Profiles that are asked for or wait to be written, at the most."""
_ENOUGH: Final = 5
"""Damaged profiles in a row until the format must have changed."""
_POLL: Final = 0.2
"""Seconds between checks for a signal while waiting for a profile."""


class Metric(enum.StrEnum):
    """The figures of the summary, by their names in Singer METRIC lines."""

    PROFILES = "jobo_profiles"
    PROFILES_NOT_FOUND = "jobo_profiles_gone"
    PROFILES_SKIPPED = "jobo_profiles_skipped"


class Profiles:
    """Reads `GET /api/companies/{id}`, which is free.

    Args:
        client: Sends the requests, for `workers` threads at once.
        prepare: Builds a request from a company id.
        converter: Converts a profile to a record.
        workers: Maximum concurrent requests.
        shutdown: Ends the wait for profiles when a signal arrives.
        logger: Where missing profiles are reported.

    Attributes:
        count: Profiles read and written so far.
        not_found: Companies without a profile, so far.
        skipped: Profiles that could not be fetched although others could, so far.
    """

    def __init__(  # noqa: PLR0913 - each is a separate dependency
        self,
        *,
        client: Client,
        prepare: Callable[[str], PreparedRequest],
        converter: RecordConverter,
        workers: int,
        shutdown: ShutdownSignal,
        logger: logging.Logger,
    ) -> None:
        self._client = client
        self._prepare = prepare
        self._converter = converter
        self._workers = workers
        self._shutdown = shutdown
        self._logger = logger
        self.count = 0
        self.not_found = 0
        self.skipped = 0
        self._damaged: dict[str, int] = {}

    def read(
        self, ids: Iterable[str], show_progress: Callable[[], None] = lambda: None
    ) -> Iterator[Row]:
        """Yield the profiles of companies in order, with only a few in memory at once.

        A company that is not found has none. One whose profile Jobo fails to give is skipped,
        with an ERROR, if the others can be fetched.

        Args:
            ids: The companies.
            show_progress: Called after each of them.

        Raises:
            RetriesExhaustedError: The others cannot be fetched either.
            TapJoboError: As `Client.fetch`, for all but 404, 429 and 5xx.
        """
        with WorkerPool(self._fetch, self._workers) as pool:
            asked: deque[tuple[str, Future[_Outcome]]] = deque()
            for company_id in ids:
                asked.append((company_id, pool.submit(company_id)))
                if len(asked) == AHEAD:
                    yield from self._records(*asked.popleft())
                    show_progress()
            while asked:
                yield from self._records(*asked.popleft())
                show_progress()

    def _records(self, company_id: str, asked: Future[_Outcome]) -> Iterator[Row]:
        """Wait for a company's profile and yield its record, if it has one."""
        outcome = self._wait_for(asked)
        if isinstance(outcome, RetriesExhaustedError):
            self._skip(company_id, outcome)
        elif outcome is None:
            self.not_found += 1
            self._logger.info("Company %s was not found: it has no profile.", company_id)
        else:
            yield from self._record(company_id, outcome)

    def _skip(self, company_id: str, error: RetriesExhaustedError) -> None:
        self.skipped += 1
        self._logger.error(
            "The profile of company %s is skipped: %s. Add it to company_ids to fetch it later, "
            "free of charge.",
            company_id,
            error.why,
        )

    @property
    def done(self) -> int:
        """Companies that were read so far, with or without a profile."""
        return self.count + self.not_found + self.skipped

    def figures(self) -> str:
        """Return the counts for the summary; those after the first only if they are not zero."""
        others = {"not found": self.not_found, "skipped": self.skipped}
        parts = [f"{count:,} {what}" for what, count in others.items() if count]
        return ", ".join([plural(self.count, "profile"), *parts])

    def metrics(self) -> dict[Metric, float]:
        """Return the figures for METRIC lines: those that are not zero."""
        counts = {
            Metric.PROFILES: self.count,
            Metric.PROFILES_NOT_FOUND: self.not_found,
            Metric.PROFILES_SKIPPED: self.skipped,
        }
        return {metric: count for metric, count in counts.items() if count}

    def _record(self, company_id: str, profile: Row) -> Iterator[Row]:
        if parse_uuid(profile.get("id")) != company_id.lower():
            self._logger.error("The profile of company %s has another id.", company_id)
            self.skipped += 1
            self._note_damage("id", is_damaged=True)
            return
        conversion = self._converter.convert([profile])
        self._note_damage("id", is_damaged=False)
        self._note_damage("name", is_damaged=bool(conversion.damaged.get("name")))
        yield from conversion.records
        self.count += 1

    def _note_damage(self, field: str, *, is_damaged: bool) -> None:
        """Count profiles in a row that lack a field which the API never leaves out.

        Raises:
            ApiError: They are enough to be no accident. The state is not past their page, so a
                newer version gets these profiles.
        """
        self._damaged[field] = self._damaged.get(field, 0) + 1 if is_damaged else 0
        if self._damaged[field] >= _ENOUGH:
            raise ApiError(
                f"None of the last {_ENOUGH} profiles of companies has a usable '{field}', which "
                "the API never leaves out: its format has changed. The run stops before this page "
                "counts as delivered. Look for a newer tap-jobo, or deselect companies."
            )

    def _wait_for(self, asked: Future[_Outcome]) -> _Outcome:
        while not asked.done():
            self._shutdown.check()
            wait([asked], _POLL)
        return asked.result()

    def _fetch(self, company_id: str) -> _Outcome:
        """Return a profile, the error that it failed with, or None if there is none.

        Raises:
            RetriesExhaustedError: Other profiles cannot be fetched either: the API itself is down.
        """
        try:
            return self._fetch_once(company_id)
        except RetriesExhaustedError as error:
            self._fetch_once(NOBODY)
            return error

    def _fetch_once(self, company_id: str) -> Row | None:
        try:
            return _read_profile(self._client.fetch(self._prepare(company_id)).body)
        except NotFoundError:
            return None
        except RetriesExhaustedError:
            raise
        except ApiError as error:
            raise ApiError(
                f"The profile of company {company_id} cannot be fetched. {error}"
            ) from error


def _read_profile(body: bytes) -> Row:
    data = parse_json(body)
    if not isinstance(data, dict):
        raise ApiError(
            "Jobo's profile of a company is not a JSON object, which its documentation rules "
            "out: the run stops here, and the scan is kept."
        )
    return data
