"""Requests to Jobo: sent once, or as often as it makes sense, and never past the budget."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import requests
import urllib3

from tap_jobo.api.page import NotJsonError, parse_json
from tap_jobo.api.retry import RETRY_FOR, RateLimiter, Retry, parse_retry_after
from tap_jobo.clock import parse_http_date
from tap_jobo.errors import ApiError, CursorRejectedError, InterruptedRunError, NotFoundError
from tap_jobo.redaction import redact_body

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tap_jobo.api.budget import Budget
    from tap_jobo.clock import Clock
    from tap_jobo.signals import ShutdownSignal

T = TypeVar("T")

_TIMEOUT: Final = (10.0, 120.0)
"""Seconds to connect, and between two parts of an answer: Jobo asks for at least 120."""
_ADVICE: Final[dict[int, str]] = {
    HTTPStatus.BAD_REQUEST: "Check the settings that this names.",
    HTTPStatus.UNAUTHORIZED: "Check the setting api_key: the key is missing, wrong or revoked.",
    HTTPStatus.FORBIDDEN: "The plan or the key does not include this: ask Jobo.",
}


@dataclass(frozen=True, slots=True)
class ApiResponse(Generic[T]):
    """A 200 of the API.

    Attributes:
        content: What was read from its body, from which the key is taken out should it be there.
        headers: Its headers, whose names are case-insensitive.
        first_sent_at: The local clock before the request was first tried, in UTC.
        sent_at: The local clock before the try that was answered, in UTC.
        elapsed: Seconds between that and the answer's headers.
        date: The API's clock in the answer, in whole seconds; None where it gave none.
    """

    content: T
    headers: Mapping[str, str]
    first_sent_at: datetime
    sent_at: datetime
    elapsed: float
    date: datetime | None


class RetryableError(Exception):
    """The request failed in a way that costs nothing; `asked` is the wait that it asks for."""

    def __init__(self, why: str, asked: float | None = None) -> None:
        super().__init__(why)
        self.asked = asked


class IncompleteResponseError(Exception):
    """The answer broke off or did not come in time: it may have been paid for."""


class Client:
    """Sends requests for pages of the feed, and decides which failures are worth another try.

    Args:
        session: The session to send with. Redirects are never followed: a header such as
            X-Api-Key would go along to another host.
        key: The API key, to take it out of what comes back.
        budget: Counts what requests cost and holds the budget.
        shutdown: Ends waits and requests when a signal comes.
        clock: The clocks to read.
        logger: Where retries are reported.
        workers: How many threads use the client at once; a wait holds all of them.
        retry: Seconds of waits for one request that the server did not ask for.
    """

    def __init__(  # noqa: PLR0913 - each is a separate concern, handed in
        self,
        *,
        session: requests.Session,
        key: str,
        budget: Budget,
        shutdown: ShutdownSignal,
        clock: Clock,
        logger: logging.Logger,
        workers: int = 1,
        retry: float = RETRY_FOR,
    ) -> None:
        self._session = session
        self._key = key
        self._budget = budget
        self._shutdown = shutdown
        self._clock = clock
        self._logger = logger
        self._patience = retry
        self._pace = RateLimiter(workers)
        self._environment: dict[str, Any] | None = None

    def fetch(
        self, request: requests.PreparedRequest, *, rows: int, read: Callable[[bytes], T]
    ) -> ApiResponse[T]:
        """Return the answer to a request for a page.

        Args:
            request: What to send, key and all.
            rows: The most rows that the answer may hold and cost; 0 if it is free.
            read: Reads the body; `NotJsonError` from it counts as an answer that broke off.

        Raises:
            ApiError: Jobo refused it, or gave no usable answer however often it was tried.
            CursorRejectedError: The cursor cannot be continued.
            BudgetReachedError: The page may cost more than the budget leaves.
            InterruptedRunError: A signal came.
        """
        retry = Retry(self._patience)
        first_sent_at = self._clock.now()
        while True:
            self._wait_for_turn()
            self._budget.reserve(rows)
            started = self._clock.monotonic()
            try:
                return replace(self._try(request, rows, read), first_sent_at=first_sent_at)
            except RetryableError as failure:
                spent = self._clock.monotonic() - started
                wait = retry.after_no_answer(
                    asked=failure.asked, spent=spent, now=self._clock.now(), why=str(failure)
                )
                self._logger.warning("%s: trying again in %.1f seconds.", failure, wait)
            except IncompleteResponseError as failure:
                self._budget.charge_worst_case(rows)
                wait = retry.after_broken_answer(str(failure), may_be_paid=rows > 0)
                self._logger.warning("%s. Trying again in %.1f seconds.", failure, wait)
            self._pace.pause(wait, self._clock.monotonic())

    def _wait_for_turn(self) -> None:
        wait = self._pace.wait(self._clock.monotonic())
        self._shutdown.wait(wait)
        while wait > 0:  # another thread may have been asked to wait meanwhile
            wait = self._pace.pause_left(self._clock.monotonic())
            self._shutdown.wait(wait)

    def _try(
        self, request: requests.PreparedRequest, rows: int, read: Callable[[bytes], T]
    ) -> ApiResponse[T]:
        sent_at, started = self._clock.now(), self._clock.monotonic()
        try:
            with self._shutdown.request():
                response = self._send(request)
                elapsed = self._clock.monotonic() - started
                body = self._read(response)
        except InterruptedRunError:
            self._budget.charge_worst_case(rows)
            raise
        self._pace.answered(response.headers, self._clock.monotonic())
        if response.status_code != HTTPStatus.OK:
            raise _refusal(response, body)
        try:
            content = read(body)
        except NotJsonError as error:
            raise IncompleteResponseError("Jobo's answer is not JSON") from error
        except ApiError:
            self._budget.charge(response.headers, rows)
            raise
        date = parse_http_date(response.headers.get("Date"))
        return ApiResponse(content, response.headers, sent_at, sent_at, elapsed, date)

    def _send(self, request: requests.PreparedRequest) -> requests.Response:
        if self._environment is None:  # its proxies and certificates, looked up once a run
            merged = self._session.merge_environment_settings(
                request.url or "", {}, stream=True, verify=None, cert=None
            )
            self._environment = dict(merged)
        try:
            return self._session.send(
                request, timeout=_TIMEOUT, allow_redirects=False, **self._environment
            )
        except requests.ReadTimeout as error:
            raise IncompleteResponseError("Jobo did not answer in time") from error
        except requests.exceptions.SSLError as error:
            raise ApiError(
                "The certificate of api_url cannot be verified: check api_url, the machine's "
                "certificates, or the proxy in between."
            ) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            if _answer_began(error):
                raise IncompleteResponseError("Jobo's answer is not HTTP") from error
            raise RetryableError("Jobo cannot be reached, or closed the connection") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ApiError(
                f"The request cannot be sent ({type(error).__name__}): check api_url and the "
                "proxy settings of the environment."
            ) from error

    def _read(self, response: requests.Response) -> bytes:
        try:
            return redact_body(response.content, self._key)
        except requests.RequestException as error:
            if response.status_code == HTTPStatus.OK:
                raise IncompleteResponseError("Jobo's answer broke off") from error
            return b""  # an error's text is worth nothing: its status says what to do


def _answer_began(error: requests.RequestException) -> bool:
    """Tell bytes that are no answer from a connection that was refused, lost or never made."""
    cause = error.args[0] if error.args else None
    return isinstance(cause, urllib3.exceptions.ProtocolError) and not any(
        isinstance(part, OSError) for part in cause.args
    )


def _refusal(response: requests.Response, body: bytes) -> Exception:
    """Return what an answer other than 200 means for the run."""
    status, data = response.status_code, _json_or_none(body)
    said = f"Jobo answered {status}{_sentence(data)}"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RetryableError(said, parse_retry_after(status, response.headers, data))
    if _is_cursor_rejected(status, data):
        return CursorRejectedError(said)
    if status == HTTPStatus.NOT_FOUND:
        date = parse_http_date(response.headers.get("Date"))
        return NotFoundError(f"{said}. Check the setting api_url.", date)
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return ApiError(f"{said}. {_top_up(data)}")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        advice = "The key must not follow a redirect: set api_url to the address of the API itself."
    else:
        advice = _ADVICE.get(status, "Check the setting api_url, or ask Jobo.")
    return ApiError(f"{said}. {advice}")


def _json_or_none(body: bytes) -> object:
    try:
        return parse_json(body)
    except NotJsonError:
        return None


def _sentence(data: object) -> str:
    """Return what Jobo said, of either error body, as one short line of printable text."""
    said: list[str] = []
    if isinstance(data, dict):
        said = [
            data[name]
            for name in ("detail", "message", "title", "error")
            if isinstance(data.get(name), str) and data[name].strip()
        ]
    if not said:
        return ""
    line = re.sub(r"[^\x20-\x7e]+", " ", said[0]).strip().rstrip(".")
    return f" ({line[:300]})"


def _is_cursor_rejected(status: int, data: object) -> bool:
    if not isinstance(data, dict):
        return False
    if status == HTTPStatus.CONFLICT:
        return data.get("code") == "feed_cursor_restart_required"
    return status == HTTPStatus.BAD_REQUEST and any(
        isinstance(text, str) and "invalid cursor" in text.lower() for text in data.values()
    )


def _top_up(data: object) -> str:
    facts = data if isinstance(data, dict) else {}
    needed, present = facts.get("credits_required"), facts.get("credits_balance")
    if not isinstance(needed, int | float) or not isinstance(present, int | float):
        return "The balance does not cover the next page: top up the account at Jobo."
    return (
        f"The next page needs {needed:,} credits and the balance is {present:,}: top up the "
        "account at Jobo."
    )
