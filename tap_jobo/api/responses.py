"""What a response means: a page, a refusal, or a page that was lost and may have been billed."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tap_jobo.api.budget import deducted_credits
from tap_jobo.api.json_body import NotJsonError, members, parse_json
from tap_jobo.api.rate_limit import parse_retry_after
from tap_jobo.api.retry import FailedTryError, Outcome
from tap_jobo.errors import (
    ApiError,
    CursorRejectedError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tap_jobo.api.sender import ApiResponse


_OUTCOMES: Final[Mapping[int, Outcome]] = {
    HTTPStatus.REQUEST_TIMEOUT: Outcome.REFUSED,
    HTTPStatus.TOO_EARLY: Outcome.REFUSED,
    HTTPStatus.TOO_MANY_REQUESTS: Outcome.REFUSED,
    **dict.fromkeys(range(500, 600), Outcome.REFUSED),
    # A gateway responds with these when it has lost the API's own response.
    HTTPStatus.BAD_GATEWAY: Outcome.POSSIBLY_BILLED,
    HTTPStatus.GATEWAY_TIMEOUT: Outcome.POSSIBLY_BILLED,
    **dict.fromkeys(range(520, 530), Outcome.POSSIBLY_BILLED),
    # The response follows such an announcement, but http.client does not wait for it.
    **dict.fromkeys(range(101, 200), Outcome.POSSIBLY_BILLED),
}
"""What an error status means if another try may succeed; all other errors are final and free."""

_ADVICE: Final[Mapping[int, str]] = {
    HTTPStatus.BAD_REQUEST: "Check the settings that this names.",
    HTTPStatus.UNAUTHORIZED: "Set api_key to a valid key of your account.",
    HTTPStatus.FORBIDDEN: "The plan or the key does not include this: contact Jobo.",
    HTTPStatus.NOT_FOUND: "Check the setting api_url.",
}
_REDIRECT_ADVICE: Final = (
    "The key must not follow a redirect: set api_url to the address of the API itself."
)
_OTHER_ADVICE: Final = "Check the setting api_url, or contact Jobo."


def require_success(
    response: ApiResponse,
    *,
    envelope: Collection[str] = (),
    page_size_setting: str = "",
    forbidden: str | None = None,
) -> ApiResponse:
    """Return the response if it succeeded.

    Args:
        response: The response.
        envelope: Members of which a page has at least one; empty for any JSON. A response with a
            deduction is a page even without them: its format has changed.
        page_size_setting: The setting for smaller pages, for a 402; empty if there is none.
        forbidden: Advice for a 403, instead of the default.

    Raises:
        FailedTryError: It is no page, but another try may return one.
        ApiError: Jobo refused it.
    """
    status, headers = response.status, response.headers
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        if _is_usable(response, envelope):
            return response
        message = f"Jobo responded with {status}, but without the documented JSON"
        raise FailedTryError(message, Outcome.POSSIBLY_BILLED, headers=headers)
    data = _json_or_none(response.body)
    message = f"Jobo responded with {status}{_quote(data)}"
    if outcome := _OUTCOMES.get(status):
        raise FailedTryError(
            message,
            Outcome.POSSIBLY_BILLED if deducted_credits(headers) else outcome,
            headers=headers,
            retry_after=parse_retry_after(status, headers, data),
            is_rate_limit=status == HTTPStatus.TOO_MANY_REQUESTS,
        )
    raise _refusal(status, message, data, page_size_setting, forbidden)


def _refusal(
    status: int, message: str, data: object, page_size_setting: str, forbidden: str | None
) -> ApiError:
    """Return the error for a response that another try would get again."""
    if _is_cursor_rejected(status, data):
        return CursorRejectedError(message)
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return ApiError(_top_up(message, data, page_size_setting))
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError(f"{message}. {_ADVICE[status]}")
    if status == HTTPStatus.FORBIDDEN:
        return ApiError(f"{message}. {forbidden or _ADVICE[status]}")
    if status < HTTPStatus.BAD_REQUEST:
        return ApiError(f"{message}. {_REDIRECT_ADVICE}")
    error_class = NotFoundError if status == HTTPStatus.NOT_FOUND else RejectedError
    return error_class(message, _ADVICE.get(status, _OTHER_ADVICE))


def _is_usable(response: ApiResponse, envelope: Collection[str]) -> bool:
    """Whether a complete 2xx body is JSON, and if it is to be a page, was billed as one.

    JSON that is cut short is none: a proxy may cut a compressed body without a trace.
    """
    try:
        names = members(response.body)
    except NotJsonError:
        return False
    return (
        not envelope
        or any(name in names for name in envelope)
        or bool(deducted_credits(response.headers))
    )


def _json_or_none(body: bytes) -> object:
    try:
        return parse_json(body)
    except NotJsonError:
        return None


def _quote(data: object) -> str:
    """Return Jobo's message from either kind of error body, as one short line of printable text."""
    messages: list[str] = []
    if isinstance(data, dict):
        messages = [
            data[name]
            for name in ("detail", "message", "title", "error")
            if isinstance(data.get(name), str) and data[name].strip()
        ]
    if not messages:
        return ""
    line = re.sub(r"[^\x20-\x7e]+", " ", messages[0]).strip().rstrip(".")
    return f" ({line[:300]})"


def _is_cursor_rejected(status: int, data: object) -> bool:
    if not isinstance(data, dict):
        return False
    if status == HTTPStatus.CONFLICT:
        return data.get("code") == "feed_cursor_restart_required"
    return status == HTTPStatus.BAD_REQUEST and any(
        isinstance(text, str) and "invalid cursor" in text.lower() for text in data.values()
    )


def _top_up(message: str, data: object, page_size_setting: str) -> str:
    facts = data if isinstance(data, dict) else {}
    needed, present = facts.get("credits_required"), facts.get("credits_balance")
    if isinstance(needed, int | float) and isinstance(present, int | float):
        # Jobo's own message says the same.
        message = "Jobo responded with 402"
        why = f"The next page needs {needed:,} credits and the balance is {present:,}"
    else:
        why = "The balance does not cover the next page"
    smaller = (
        f", or lower {page_size_setting} to use the last credits (in a new sync: one in progress "
        "keeps its page size)"
        if page_size_setting
        else ""
    )
    return f"{message}. {why}: top up the account at Jobo{smaller}."
