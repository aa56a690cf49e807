"""Requests to Jobo: sent once, or as often as it makes sense, and never past the budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import urllib3

from tap_jobo.api.failures import reading_failed, sending_failed
from tap_jobo.api.rate_limit import RateLimiter
from tap_jobo.api.responses import ApiResponse, is_json, is_page, refusal
from tap_jobo.api.retry import RETRY_FOR, IncompleteResponseError, Retry, RetryableError
from tap_jobo.api.transport import Exchange
from tap_jobo.clock import parse_http_date
from tap_jobo.errors import ApiError, InterruptedRunError
from tap_jobo.redaction import redact_body

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import datetime

    import requests

    from tap_jobo.api.account import Account
    from tap_jobo.clock import Clock
    from tap_jobo.signals import ShutdownSignal

_TIMEOUT: Final = (10.0, 120.0)
"""Seconds to connect, and between two parts of an answer: Jobo asks for at least 120."""
_REQUEST_MAX: Final = 900.0
"""Seconds for a try as a whole, however steadily its bytes trickle in."""
_BODY_MAX: Final = 512 * 1024 * 1024
"""Bytes of a decoded body."""
_CHUNK: Final = 64 * 1024
_IDLE_MAX: Final = 60.0
"""Seconds after which a connection is not used again: a gateway on the way may have forgotten it,
and a request that gets lost there may be billed, as far as the tap can tell."""


class Client:
    """Sends requests, and decides which failures are worth another try.

    Args:
        session: The session to send with, over `Transport` so that connections tell what was
            sent. Redirects are never followed: a header such as X-Api-Key would go along to
            another host.
        key: The API key, to take it out of what comes back.
        shutdown: Ends waits and requests when a signal comes.
        clock: The clocks to read.
        logger: Where retries are reported.
        workers: How many threads use the client at once; a rate limit holds all of them.
        retry: Seconds of waits for one request that the server did not ask for.
    """

    def __init__(  # noqa: PLR0913 - each is a separate concern, handed in
        self,
        *,
        session: requests.Session,
        key: str,
        shutdown: ShutdownSignal,
        clock: Clock,
        logger: logging.Logger,
        workers: int = 1,
        retry: float = RETRY_FOR,
    ) -> None:
        self._session = session
        self._key = key
        self._shutdown = shutdown
        self._clock = clock
        self._logger = logger
        self._patience = retry
        self._limiter = RateLimiter(workers)
        self._environment: dict[str, Any] | None = None
        self._last_used = clock.monotonic()
        self.api_time: tuple[datetime, float] | None = None
        """The API's clock as last seen, and the monotonic time of that; None if not yet."""

    def api_now(self) -> datetime | None:
        """Return what the API's clock says now, None where no answer has told."""
        if self.api_time is None:
            return None
        date, seen = self.api_time
        return date + timedelta(seconds=self._clock.monotonic() - seen)

    def fetch(
        self,
        request: requests.PreparedRequest,
        *,
        rows: int = 0,
        account: Account | None = None,
        forbidden: str | None = None,
    ) -> ApiResponse:
        """Return the complete answer to a request.

        With an `account` a page is reserved before each try, and each try without a complete
        answer is charged. The page that is returned is not: its reader charges and settles it.

        Args:
            request: What to send, key and all.
            rows: The most rows that the answer may hold and cost.
            account: Where they are charged; None for a free request, whose answer is a JSON body
                with status 200.
            forbidden: What to advise on a 403, instead of the usual.

        Raises:
            ApiError: Jobo refused it, or gave no usable answer however often it was tried.
            CursorRejectedError: The cursor cannot be continued.
            BudgetReachedError: The page may cost more than the budget leaves.
            InterruptedRunError: A signal came.
        """
        retry = Retry(self._patience, is_paid=account is not None)
        first_sent_at = self._clock.now()
        wait = 0.0
        while True:
            if account:
                account.reserve(rows)
            self._wait(wait)
            started = self._clock.monotonic()
            try:
                response = self._try(request, rows, account, forbidden)
                return replace(response, first_sent_at=first_sent_at)
            except RetryableError as failure:
                spent = self._clock.monotonic() - started
                wait = retry.after_failure(failure, spent=spent, now=self._clock.now())
                self._logger.warning("%s: trying again in %.1f seconds.", failure, wait)
                if failure.is_rate_limit:  # which all workers share
                    self._limiter.pause(wait, self._clock.monotonic())
                    wait = 0.0
            except IncompleteResponseError as failure:
                if account:
                    account.charge_worst_case(rows)
                wait = retry.after_incomplete(failure)
                self._logger.warning("%s: trying again in %.1f seconds.", failure, wait)

    def _wait(self, seconds: float) -> None:
        """Wait for so long, and then for the rate limit."""
        self._shutdown.wait(seconds)
        wait = self._limiter.wait(self._clock.monotonic())
        while True:  # another thread may have been asked to wait meanwhile
            if told := self._limiter.describe(wait, self._clock.monotonic()):
                self._logger.info("%s.", told)
            self._shutdown.wait(wait)
            if wait <= 0:
                return
            wait = self._limiter.pause_left(self._clock.monotonic())

    def _try(
        self,
        request: requests.PreparedRequest,
        rows: int,
        account: Account | None,
        forbidden: str | None,
    ) -> ApiResponse:
        exchange = Exchange(self._clock, _REQUEST_MAX)
        sent_at, started = self._clock.now(), self._clock.monotonic()
        is_begun = False
        try:
            with self._shutdown.request(), exchange.on_the_way():
                is_begun = True
                response = self._send(request, exchange, is_paid=account is not None)
                elapsed = self._clock.monotonic() - started
                body = self._read(response, exchange)
        except (InterruptedRunError, _TooLargeError):
            if account and is_begun and exchange.is_sent:
                account.charge_worst_case(rows)
            raise
        date = self._note(response.headers)
        status, headers = response.status_code, response.headers
        if not _is_success(status, is_paid=account is not None):
            setting = account.page_size_setting if account else None
            raise refusal(status, headers, body, page_size_setting=setting, forbidden=forbidden)
        if not (is_page(body, headers) if account else is_json(body)):
            raise IncompleteResponseError(f"Jobo answered {status} without a JSON body")
        return ApiResponse(body, status, headers, sent_at, sent_at, elapsed, date)

    def _note(self, headers: Mapping[str, str]) -> datetime | None:
        now = self._clock.monotonic()
        self._last_used = now
        self._limiter.note_answer(headers, now)
        date = parse_http_date(headers.get("Date"))
        self.api_time = self.api_time if date is None else (date, now)
        return date

    def _send(
        self, request: requests.PreparedRequest, exchange: Exchange, *, is_paid: bool
    ) -> requests.Response:
        url = request.url or ""
        if self._environment is None:  # its proxies and certificates, looked up once a run
            merged = self._session.merge_environment_settings(
                url, {}, stream=True, verify=None, cert=None
            )
            self._environment = dict(merged)
        if is_paid and self._clock.monotonic() - self._last_used > _IDLE_MAX:
            self._session.close()  # its connections; it opens new ones
        try:
            return self._session.send(
                request, timeout=_TIMEOUT, allow_redirects=False, **self._environment
            )
        except (OSError, urllib3.exceptions.HTTPError) as error:  # requests' own are OSErrors
            raise sending_failed(error, url, exchange, is_paid=is_paid) from error

    def _read(self, response: requests.Response, exchange: Exchange) -> bytes:
        """Return the body; that of a refusal may be missing, since its status says what to do."""
        is_success = response.status_code < HTTPStatus.MULTIPLE_CHOICES
        try:
            with response:
                return redact_body(_read_limited(response), self._key)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            if not is_success:
                return b""
            raise reading_failed(error, exchange) from error
        except _TooLargeError:
            if not is_success:
                return b""
            raise


class _TooLargeError(ApiError):
    """A body is larger than what a page can be."""


def _read_limited(response: requests.Response) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_content(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > _BODY_MAX:
            raise _TooLargeError(
                f"Jobo's answer is larger than {_BODY_MAX // 1024**2} MB, which no page can be: "
                "lower the page size, or ask Jobo. The answer may have been billed."
            )
    return b"".join(chunks)


def _is_success(status: int, *, is_paid: bool) -> bool:
    """Whether an answer may be one; a page may come with any 2xx."""
    if is_paid:
        return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    return status == HTTPStatus.OK
