"""Company profiles: fetched concurrently, returned in the order requested."""

import logging
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from tap_jobo.api.client import Client
from tap_jobo.api.pages import parse_json
from tap_jobo.errors import ApiError, RejectedError, RetriesExhaustedError
from tap_jobo.messages import message
from tap_jobo.records.converter import RecordConverter, Row
from tap_jobo.records.values import parse_uuid
from tap_jobo.wording import plural

PROFILE_PATH: Final = "/api/companies"  # not a row's details_url: its host would get the key
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"  # a 404 for it: the API is up
_MIN_BAD_PROFILES: Final = 5  # in a row, before the format counts as changed


@dataclass(kw_only=True, eq=False)
class Profiles:
    """Reads `GET /api/companies/{id}`, which is free."""

    client: Client
    converter: RecordConverter
    logger: logging.Logger
    count: int = 0
    not_found: int = 0
    skipped: int = 0
    _bad_in_a_row: int = 0

    @property
    def done(self) -> int:
        """Companies read so far, with or without a profile."""
        return self.count + self.not_found + self.skipped

    def figures(self) -> str:
        """Return the counts for the summary; those after the first only if they are not zero."""
        others = {"not found": self.not_found, "skipped": self.skipped}
        parts = [f"{count:,} {what}" for what, count in others.items() if count]
        return ", ".join([plural(self.count, "profile"), *parts])

    def read(self, ids: Sequence[str]) -> Generator[Row]:
        """Yield the profiles of companies, in order."""
        profiles: list[tuple[str, Future[Any]]] = [(company_id, Future()) for company_id in ids]
        waiting = deque(profiles)
        # Daemons: at exit, `concurrent.futures` would wait for a thread that hangs in a request.
        for _ in profiles[: self.client.workers]:
            threading.Thread(target=self._work, args=[waiting], daemon=True).start()
        try:
            for company_id, profile in profiles:
                while not profile.done():
                    self.client.shutdown.raise_if_set()
                    wait([profile], timeout=0.2)
                yield from self._records(company_id, profile.result())
        finally:
            waiting.clear()

    def _work(self, waiting: deque[tuple[str, Future[Any]]]) -> None:
        with suppress(IndexError):
            while True:
                company_id, profile = waiting.popleft()
                try:
                    profile.set_result(self._fetch(company_id))
                except BaseException as error:  # noqa: BLE001 - raised where the result is read
                    profile.set_exception(error)

    def _fetch(self, company_id: str) -> Any:
        """Return the JSON of a profile, or the error that concerns only this company."""
        build = self.client.session.build
        try:
            body = self.client.fetch(build(f"{PROFILE_PATH}/{company_id}")).body
            with suppress(ValueError):  # such as a number of 5,000 digits: no profile
                return parse_json(body)
        except RejectedError as error:
            return error
        except RetriesExhaustedError as error:
            with suppress(RejectedError):
                self.client.fetch(build(f"{PROFILE_PATH}/{_NOBODY}"))
            return error
        return None

    def _records(self, company_id: str, profile: Any) -> Iterator[Row]:
        if isinstance(profile, RejectedError) and profile.status == HTTPStatus.NOT_FOUND:
            self.not_found += 1
            self.logger.info("No profile for company %s (404).", company_id)
        elif isinstance(profile, RejectedError | RetriesExhaustedError):
            self._skip(company_id, profile.why)
        elif isinstance(profile, dict) and parse_uuid(profile.get("id")) == company_id:
            self._check_format(is_bad=bool(self.converter.unusable([profile])))
            yield from self.converter.convert([profile]).records
            self.count += 1
        else:
            self._skip(company_id, "the response is not its profile")
            self._check_format(is_bad=True)

    def _skip(self, company_id: str, why: str) -> None:
        self.skipped += 1
        fact = f"Skipped the profile of company {company_id}: {why}."
        self.logger.error("%s", message("rows-skipped", fact, company=company_id))

    def _check_format(self, *, is_bad: bool) -> None:
        self._bad_in_a_row = self._bad_in_a_row + 1 if is_bad else 0
        if self._bad_in_a_row >= _MIN_BAD_PROFILES:
            fact = (
                f"The last {_MIN_BAD_PROFILES} company profiles are not as documented. Profiles "
                "are free, and the next run requests them again."
            )
            raise ApiError(message("format-changed", fact))
