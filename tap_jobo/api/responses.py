"""API responses: what arrived, and what an error response means for the run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tap_jobo.api.account import deducted_credits
from tap_jobo.api.json_body import NotJsonError, parse_json
from tap_jobo.api.rate_limit import parse_retry_after
from tap_jobo.api.retry import IncompleteResponseError, RetryableError
from tap_jobo.errors import ApiError, CursorRejectedError, NotFoundError, RejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tap_jobo.api.account import Account

_BOM: Final = b"\xef\xbb\xbf"
_RETRIED: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
"""Temporary errors, as are all of 500 and above."""
_OF_KEY: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""Errors of the key, whatever a request asks for; 402 is handled before."""
_ADVICE: Final[dict[int, str]] = {
    HTTPStatus.BAD_REQUEST: "Check the settings that this names.",
    HTTPStatus.UNAUTHORIZED: "Set api_key to a valid key of your account.",
    HTTPStatus.FORBIDDEN: "The plan or the key does not include this: ask Jobo.",
    HTTPStatus.NOT_FOUND: "Check the setting api_url.",
}
_REDIRECT_ADVICE: Final = (
    "The key must not follow a redirect: set api_url to the address of the API itself."
)
_OTHER_ADVICE: Final = "Check the setting api_url, or ask Jobo."


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A complete response.

    Attributes:
        body: Its body, decoded, with the key redacted.
        status: Its status, 200 unless rows came with another 2xx.
        headers: Its headers, with case-insensitive names.
        first_sent_at: The local time before the first try, in UTC.
        sent_at: The local time before the successful try, in UTC.
        elapsed: Seconds between `sent_at` and the response headers.
        date: The API's clock in the response, in whole seconds; None if missing.
    """

    body: bytes
    status: int
    headers: Mapping[str, str]
    first_sent_at: datetime
    sent_at: datetime
    elapsed: float
    date: datetime | None


def require_success(
    response: ApiResponse, account: Account | None = None, forbidden: str | None = None
) -> ApiResponse:
    """Return the response if it succeeded: with a page, or with JSON if it is free.

    Args:
        response: The response.
        account: Where a page is charged; None for a free request.
        forbidden: Advice for a 403, instead of the default.

    Raises:
        RetryableError: Jobo refused it temporarily.
        IncompleteResponseError: It is not a page, or not JSON.
        ApiError: Jobo refused it.
    """
    status, headers, body = response.status, response.headers, response.body
    if not _is_success(status, is_paid=account is not None):
        setting = account.page_size_setting if account else None
        raise _refusal(status, headers, body, page_size_setting=setting, forbidden=forbidden)
    if not (_is_page(body, headers) if account else _is_json(body)):
        raise IncompleteResponseError(f"Jobo answered {status} without a JSON body")
    return response


def _is_success(status: int, *, is_paid: bool) -> bool:
    """Whether a status is a success; a page may come with any 2xx."""
    if is_paid:
        return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    return status == HTTPStatus.OK


def _is_page(body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether a complete 2xx body is a page that was billed, rather than, say, a gateway's HTML.

    It is if it starts like a JSON object, or if the response reports a deduction.
    """
    if not (text := body.removeprefix(_BOM).strip()):
        return False
    has_known_end = "Content-Length" in headers or "Transfer-Encoding" in headers
    if text.startswith(b"{") and (has_known_end or text.endswith(b"}")):
        return True
    return has_known_end and bool(deducted_credits(headers))


def _is_json(body: bytes) -> bool:
    """Whether a body is JSON."""
    try:
        parse_json(body)
    except NotJsonError:
        return False
    return True


def _refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    page_size_setting: str | None = None,
    forbidden: str | None = None,
) -> Exception:
    """Return the error to raise for an error response.

    Args:
        status: Its status.
        headers: Its headers.
        body: Its body.
        page_size_setting: The setting that limits the page size, for a 402.
        forbidden: Advice for a 403, instead of the default.
    """
    data = _json_or_none(body)
    said = f"Jobo answered {status}{_sentence(data)}"
    if status in _RETRIED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        asked = parse_retry_after(status, headers, data)
        is_rate_limit = status == HTTPStatus.TOO_MANY_REQUESTS
        return RetryableError(said, asked=asked, is_rate_limit=is_rate_limit)
    if _is_cursor_rejected(status, data):
        return CursorRejectedError(said)
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return ApiError(_top_up(said, data, page_size_setting))
    advice = forbidden if status == HTTPStatus.FORBIDDEN and forbidden else _advice(status)
    if status in _OF_KEY or status < HTTPStatus.BAD_REQUEST:
        return ApiError(f"{said}. {advice}")
    error_class = NotFoundError if status == HTTPStatus.NOT_FOUND else RejectedError
    return error_class(said, advice)


def _advice(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return _REDIRECT_ADVICE
    return _ADVICE.get(status, _OTHER_ADVICE)


def _json_or_none(body: bytes) -> object:
    try:
        return parse_json(body)
    except NotJsonError:
        return None


def _sentence(data: object) -> str:
    """Return Jobo's message from either kind of error body, as one short line of printable text."""
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


def _top_up(said: str, data: object, page_size_setting: str | None) -> str:
    facts = data if isinstance(data, dict) else {}
    needed, present = facts.get("credits_required"), facts.get("credits_balance")
    if isinstance(needed, int | float) and isinstance(present, int | float):
        # Jobo's own sentence says the same.
        said = "Jobo answered 402"
        why = f"The next page needs {needed:,} credits and the balance is {present:,}"
    else:
        why = "The balance does not cover the next page"
    smaller = (
        f", or lower {page_size_setting} to use the last credits (in a new sync: one under way "
        "keeps its page size)"
        if page_size_setting
        else ""
    )
    return f"{said}. {why}: top up the account at Jobo{smaller}."
