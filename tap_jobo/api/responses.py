"""What a response means: a page, a refusal, or a page that was lost and may have been billed."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec

from tap_jobo.api.budget import reported_credits
from tap_jobo.api.retry import FailedTryError, retry_after
from tap_jobo.errors import (
    ApiError,
    CursorRejectedError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
)

Facts = Mapping[str, Any]  # the members of an error body

_LATER: Final = {408, 425, 429, *range(500, 600)}
"""Statuses after which another try may succeed. All other errors are final and free."""
_POSSIBLY_BILLED: Final = {502, 504, *range(520, 530), *range(101, 200)}
"""A gateway responds with these when it has lost the API's own response. A status below 200
announces a response for which http.client does not wait."""
_ADVICE: Final[Mapping[int, str]] = {
    400: "Check the filters and start_date.",
    401: "Set api_key to a valid key of your account.",
    403: "The plan or the key does not include this. Contact Jobo, or deselect the stream.",
}
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A complete response: its body is decoded, and the key in it redacted."""

    body: bytes
    status: int
    headers: Mapping[str, str]


def require_success(response: ApiResponse, envelope: Collection[str] = ()) -> ApiResponse:
    """Return the response if it succeeded."""
    status, headers = response.status, response.headers
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        if _is_usable(response, envelope):
            return response
        message = f"Jobo responded with {status}, but without the documented JSON"
        raise FailedTryError(message, may_be_billed=True, headers=headers)
    facts = _parse_error(response.body)
    message = f"Jobo responded with {status}{_quote(facts)}"
    if status in _LATER | _POSSIBLY_BILLED:
        raise FailedTryError(
            message,
            may_be_billed=status in _POSSIBLY_BILLED or bool(reported_credits(headers)),
            headers=headers,
            retry_after=retry_after(status, headers, facts),
            is_rate_limit=status == HTTPStatus.TOO_MANY_REQUESTS,
        )
    raise _refusal(status, message, facts)


def _refusal(status: int, message: str, facts: Facts) -> ApiError:
    says_cursor = any("invalid cursor" in str(text).lower() for text in facts.values())
    if (status == HTTPStatus.BAD_REQUEST and says_cursor) or (
        status == HTTPStatus.CONFLICT and facts.get("code") == "feed_cursor_restart_required"
    ):
        return CursorRejectedError(message)
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return ApiError(_top_up(message, facts))
    advice = _ADVICE.get(status, "Check the setting api_url, or contact Jobo.")
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError(f"{message}. {advice}")
    if status == HTTPStatus.FORBIDDEN:
        return ApiError(f"{message}. {advice}")
    if status < HTTPStatus.BAD_REQUEST:
        advice = "To protect the key, redirects are not followed. Correct api_url."
    return (NotFoundError if status == HTTPStatus.NOT_FOUND else RejectedError)(message, advice)


def parse_json(body: bytes, decode: Callable[[bytes], Any] = msgspec.json.decode) -> object:
    """Parse JSON; bytes that are not UTF-8 become U+FFFD, since rows are checked later."""
    with suppress(msgspec.DecodeError, ValueError, RecursionError):
        return decode(body)  # strict, and fast
    try:
        return json.loads(body.decode("utf-8-sig", "replace"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _is_usable(response: ApiResponse, envelope: Collection[str]) -> bool:
    """Whether a complete 2xx body is JSON, and a page if an envelope is expected.

    JSON that is cut short is none: a proxy may cut a compressed body without a trace. A response
    with a deduction is a page even without the envelope: its format has changed.
    """
    try:
        data = parse_json(response.body, _MEMBERS.decode)  # a fifth of the time of parsing it
    except ValueError:
        return False
    has_envelope = isinstance(data, dict) and any(name in data for name in envelope)
    return not envelope or has_envelope or bool(reported_credits(response.headers))


def _parse_error(body: bytes) -> Facts:
    with suppress(ValueError):
        if isinstance(data := parse_json(body), dict):
            return data
    return {}


def _quote(facts: Facts) -> str:
    for name in ("detail", "message", "title", "error"):
        if isinstance(text := facts.get(name), str) and text.strip():
            return f" ({re.sub(r'[^ -~]+', ' ', text).strip().rstrip('.')[:300]})"
    return ""


def _top_up(message: str, facts: Facts) -> str:
    needed, present = facts.get("credits_required"), facts.get("credits_balance")
    why = f" The next page needs {needed} credits, and the balance is {present}." if needed else ""
    return (
        f"{message}.{why} Top up the account at Jobo, or lower batch_size or jobs_batch_size to "
        "use the last credits (a sync in progress keeps its page size)."
    )
