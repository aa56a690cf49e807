"""What a response means: a page, a refusal, or a page that was lost and may have been billed."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

from tap_jobo.api.headers import parse_number, reported_credits, retry_after
from tap_jobo.api.pages import holds_page, parse_json, read_members
from tap_jobo.errors import ApiError, FailedTryError, RejectedError, UnauthorizedError
from tap_jobo.redaction import without_key
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import dollars, plural

_LATER: Final = {408, 425, 429, *range(500, 600)}
"""Statuses after which another try may succeed. All other errors are final and free."""
POSSIBLY_BILLED: Final = {502, 504, *range(520, 530), *range(101, 200)}
"""A gateway responds with these when it has lost the API's own response. A status below 200
announces a response for which http.client does not wait."""
ADVICE: Final[Mapping[int, str]] = {
    400: "Check the filters and start_date, and run again.",
    401: "Set api_key to a key from enterprise.jobo.world, and run again.",
    402: "Top up.",
    403: (
        "The plan or the key does not include this stream. Contact Jobo to add it, or deselect it."
    ),
    407: (
        "Check the proxy and its password (HTTPS_PROXY). If it inspects TLS, set "
        "REQUESTS_CA_BUNDLE to a PEM file with its certificate."
    ),
    422: "Check the filters and start_date, and run again.",
}
_CODES: Final = {
    401: "[access-denied]",
    402: "[balance-too-low]",
    403: "[access-denied]",
}
_GATEWAY_ADVICE: Final = (
    "The response is an HTML page, so it comes from a gateway or firewall in front of the API. "
    "Check api_url, the proxy, and the network, or contact Jobo."
)
_CURSOR_STATUSES: Final = {400, 404, 409, 410, 422}
_SAYS: Final = ("detail", "message", "title", "error")
_TITLE: Final = re.compile("<title[^>]*>([^<]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response whose body is decoded; the key in it and in `Location` is redacted."""

    body: bytes
    status: int
    headers: Mapping[str, str]
    is_whole: bool = True  # whether the end of the body has verifiably arrived
    encoding: str = ""  # which the body still has, because it is too large, or can't be decoded
    is_too_large: bool = False  # decoded, so that it is kept as it came

    @property
    def is_html(self) -> bool:
        """Whether the body is an HTML page. The API itself sends none, but a gateway does."""
        return self.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def require_success(
    response: ApiResponse,
    feed: FeedSpec | None = None,
    rows: int = 0,
    *,
    is_in_sync: bool = False,
) -> ApiResponse:
    """Return the response if it succeeded; with a feed, it was asked for a page of `rows`.

    `is_in_sync` says that the page continues a sync, which keeps its page size.
    """
    status, headers = response.status, response.headers
    is_success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    if is_success and _is_usable(response, feed):
        return response
    said = _parse_error(response)
    facts = said if isinstance(said, dict) else {}
    message = f"Jobo responded with {status}{_quote(said)}"
    if is_success:
        message += ", but without the documented JSON"
        raise FailedTryError(message, may_be_billed=True, headers=headers)
    if status in _LATER | POSSIBLY_BILLED:
        raise FailedTryError(
            message,
            may_be_billed=status in POSSIBLY_BILLED or bool(reported_credits(headers)),
            headers=headers,
            retry_after=retry_after(status, headers, facts),
            is_rate_limit=status == HTTPStatus.TOO_MANY_REQUESTS,
        )
    if status == HTTPStatus.PAYMENT_REQUIRED and feed and not response.is_html:
        raise _balance_too_low(response, message, feed, rows, is_in_sync=is_in_sync)
    raise _refusal(response, message, feed)


def _balance_too_low(
    response: ApiResponse, message: str, feed: FeedSpec, rows: int, *, is_in_sync: bool
) -> ApiError:
    """Return what was asked up front, and what the account has, as far as Jobo says so."""
    page = f"the next page of {feed.name} ({plural(rows, 'row')})"
    said, headers = _parse_error(response), response.headers
    facts = said if isinstance(said, dict) else {}
    required, balance = (
        next(
            (number for each in said if (number := parse_number(each)) is not None),
            None,
        )
        for said in (
            (facts.get("credits_required"), headers.get("X-Credits-Required")),
            (facts.get("credits_balance"), headers.get("X-Credits-Balance")),
        )
    )
    if required is None:
        message += f". Jobo checks up front whether the balance covers {page}"
    else:
        has = "" if balance is None else f", and the account has {dollars(balance)}"
        message = f"The balance is too low (402): Jobo wants {dollars(required)} for {page}{has}"
    advice, setting = "Top up and run again.", feed.page_size_setting
    if setting and not is_in_sync:
        fits, lower = rows - 1, f"lower {setting.name}"
        if required and balance is not None:
            fits = int(balance * rows // required)
            lower = f"set {setting.name} to {fits}"
        if 0 < fits < rows:
            advice += f" To spend the rest of the balance instead, {lower} for this sync."
    return ApiError(f"{message}. {_bill(response, feed)} {advice} {_code(response)}")


def _refusal(response: ApiResponse, message: str, feed: FeedSpec | None) -> ApiError:
    status = response.status
    advice = _advice(response)
    if feed:
        advice = f"{_bill(response, feed)} {advice}"
    advice = f"{advice} {_code(response)}"
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError(f"{message}. {advice}")
    if status in {HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}:
        return ApiError(f"{message}. {advice}")
    names_cursor = status in _CURSOR_STATUSES and _says_cursor(response)
    return RejectedError(message, advice, status, names_cursor=names_cursor)


def _says_cursor(response: ApiResponse) -> bool:
    """Return whether an error is about the cursor; members that echo the request do not count."""
    said = _parse_error(response)
    texts = [said]
    if isinstance(said, dict):
        errors = said.get("errors")
        invalid = errors if isinstance(errors, dict) else ()  # by the names of the parameters
        texts = [*(said.get(name) for name in (*_SAYS, "code")), *invalid]
    found = any(isinstance(text, str) and "cursor" in text.lower() for text in texts)
    return found and not response.is_html


def _code(response: ApiResponse) -> str:
    if response.is_html or response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return "[api-unavailable]"
    return _CODES.get(response.status, "[request-rejected]")


def _bill(response: ApiResponse, feed: FeedSpec) -> str:
    """Return what a refused request has cost: nothing, unless the response says otherwise."""
    if deducted := reported_credits(response.headers):
        cost = f"{deducted:,} credits ({dollars(deducted)})"
        return f"Jobo deducted {cost} for this request for {feed.name}, although it failed."
    return f"This request for {feed.name} was not billed."


def _advice(response: ApiResponse) -> str:
    status = response.status
    if status < HTTPStatus.BAD_REQUEST:
        return "To protect the key, redirects are not followed. Correct api_url."
    if response.is_html and status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _GATEWAY_ADVICE
    return ADVICE.get(status, "Check the setting api_url, or contact Jobo.")


Content = Literal["a page", "other JSON", "unreadable", "cut short"]
_IS_PAGE: Final[Mapping[Content, tuple[bool, bool]]] = {
    #             nothing was deducted, or something was
    "a page": (True, True),
    "other JSON": (False, True),
    "unreadable": (False, True),
    "cut short": (False, False),
}
"""Whether a success is kept as a page. Otherwise it is retried, and counts as possibly billed.

What Jobo deducted something for is a page, whatever its format, unless its end has not arrived."""


def _is_usable(response: ApiResponse, feed: FeedSpec | None) -> bool:
    """Whether a success has JSON, and if a feed is given, a page of it."""
    content = _content_of(response, feed)
    if feed is None:
        return content == "other JSON"
    return _IS_PAGE[content][bool(reported_credits(response.headers))]


def _content_of(response: ApiResponse, feed: FeedSpec | None) -> Content:
    """Return what a body has, whatever its response says of it."""
    if response.is_too_large:  # as nothing but a page can be
        return "a page" if feed else "other JSON"
    if not response.encoding:
        with suppress(ValueError, MemoryError):  # a page that needs too much is kept as it came
            if feed:
                return "a page" if holds_page(response.body, feed) else "other JSON"
            read_members(response.body)
            return "other JSON"
    # A proxy may cut a body short without a trace.
    return "unreadable" if response.is_whole else "cut short"


def _parse_error(response: ApiResponse) -> Any:
    """Return what an error says: JSON, the title of an HTML page, text, or where it redirects."""
    location = response.headers.get("Location")
    if location and response.status < HTTPStatus.BAD_REQUEST:
        return location
    with suppress(ValueError):
        return parse_json(response.body)
    text = response.body[:100_000].decode("utf-8", "replace")
    return "".join(_TITLE.findall(text)[:1]) if response.is_html else text


def _quote(said: Any) -> str:
    """Return the start of what an error says, on one line."""
    texts = [said] if isinstance(said, str) else []
    if isinstance(said, dict):
        texts = [text for name in _SAYS if isinstance(text := said.get(name), str) and text][:1]
        errors = said.get("errors")
        parts = errors.values() if isinstance(errors, dict) else [errors]
        values = [each for part in parts for each in (part if isinstance(part, list) else [part])]
        texts += [each for each in values if isinstance(each, str)]
    line = re.sub(r"[^ -~]+", " ", without_key(" ".join(texts))).strip().rstrip(".")[:300]
    return f" ({line})" if line else ""
