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
from tap_jobo.messages import message
from tap_jobo.redaction import without_key
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import Lines, dollars

_LATER: Final = {408, 425, 429, *range(500, 600)}
"""Statuses after which another try may succeed. All other errors are final and free."""
POSSIBLY_BILLED: Final = {502, 504, *range(520, 530), *range(101, 200)}
"""A gateway responds with these when it has lost the API's own response. A status below 200
announces a response for which http.client does not wait."""
PROXY: Final = "the proxy, its password (HTTPS_PROXY), and its certificate (REQUESTS_CA_BUNDLE)"
"""What to check if a proxy refuses, for a message."""
_GATEWAY: Final = (
    "api_url, the proxy, and the network: an HTML page comes from a gateway or firewall"
)
_FILTERS: Final = {400, 422}
"""Statuses that say that a filter is wrong."""
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
    encoding: str = ""  # which the body still has, because it is too large decoded

    @property
    def is_html(self) -> bool:
        """Whether the body is an HTML page. The API itself sends none, but a gateway does."""
        return self.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def require_success(
    response: ApiResponse, feed: FeedSpec | None = None, rows: int = 0
) -> ApiResponse:
    """Return the response if it succeeded; with a feed, it was asked for a page of `rows`."""
    status, headers = response.status, response.headers
    is_success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    if is_success and _is_usable(response, feed):
        return response
    said = _parse_error(response)
    facts = said if isinstance(said, dict) else {}
    fact = f"Jobo responded with {status}{_quote(said)}"
    if is_success:
        fact += ", but without the documented JSON"
        raise FailedTryError(fact, may_be_billed=True, headers=headers)
    if status in _LATER | POSSIBLY_BILLED:
        raise FailedTryError(
            fact,
            may_be_billed=status in POSSIBLY_BILLED or bool(reported_credits(headers)),
            headers=headers,
            retry_after=retry_after(status, headers, facts),
            is_rate_limit=status == HTTPStatus.TOO_MANY_REQUESTS,
        )
    if status == HTTPStatus.PAYMENT_REQUIRED and feed and not response.is_html:
        raise _balance_too_low(response, fact, feed, rows)
    raise _refusal(response, fact, feed)


def _balance_too_low(response: ApiResponse, fact: str, feed: FeedSpec, rows: int) -> ApiError:
    """Return what was asked up front, and what the account has, as far as Jobo says so."""
    page = f"a page of {feed.name}"
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
    fact += f". Jobo checks up front whether the balance covers {page}"
    if required is not None:
        has = "" if balance is None else f" ({dollars(balance)})"
        fact = f"The balance{has} is too low (402): {page} costs {dollars(required)}"
    setting = feed.page_size_setting
    text = message(
        "balance-too-low",
        f"{fact}. {_bill(response)}",
        page_size=setting.name if setting and rows > 1 else None,
    )
    return ApiError(text)


def _refusal(response: ApiResponse, fact: str, feed: FeedSpec | None) -> ApiError:
    status = response.status
    billed = f" {_bill(response)}" if feed else ""
    told = _tell(response, f"{fact}.{billed}", feed)
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError(told)
    if status in {HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}:
        return ApiError(told)
    names_cursor = status in _CURSOR_STATUSES and _says_cursor(response)
    return RejectedError(fact, told, status, names_cursor=names_cursor)


def _tell(response: ApiResponse, fact: str, feed: FeedSpec | None) -> Lines:
    """Return the message about a refusal."""
    status = response.status
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return message("api-unavailable", fact, subject=PROXY)
    if response.is_html:
        return message("api-unavailable", fact, subject=_GATEWAY)
    if status == HTTPStatus.UNAUTHORIZED:
        return message("access-denied", fact, key="api_key")
    if status in {HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}:
        return message("access-denied", fact, stream=feed.name if feed else "the stream")
    return message("request-rejected", fact, subject=_subject(status))


def _subject(status: int) -> str:
    """Return what is probably wrong with a request that was rejected."""
    if status in _FILTERS:
        return "the filters and start_date"
    if status < HTTPStatus.BAD_REQUEST:
        return "api_url: to protect the key, redirects are not followed"
    return "api_url, or contact Jobo"


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


def _bill(response: ApiResponse) -> str:
    """Return what a refused request has cost: nothing, unless the response says otherwise."""
    if deducted := reported_credits(response.headers):
        return f"Jobo deducted {dollars(deducted)} for this request, although it failed."
    return "Not billed."


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
    if response.encoding:  # as nothing but a page is so large
        return "a page" if feed else "other JSON"
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
