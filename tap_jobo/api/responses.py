"""What a response means: a page, a refusal, or a page that was lost and may have been billed."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from tap_jobo.api.headers import reported_credits, retry_after
from tap_jobo.api.pages import holds_page, parse_json, read_members
from tap_jobo.errors import (
    NOT_BILLED,
    ApiError,
    FailedTryError,
    RejectedError,
    UnauthorizedError,
)
from tap_jobo.messages import message
from tap_jobo.redaction import without_key
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import dollars


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a status means, unless it is that of a success with a page."""

    error: type[ApiError]  #: what is raised. Only after a `FailedTryError` may another try follow.
    code: str = ""  #: of its message
    #: what the ways out of the message may name, in which {stream} is the stream
    known: Mapping[str, str] = field(default_factory=dict)
    may_be_billed: bool = False  #: whether a page may have been billed although it did not arrive


PROXY: Final = "the user and password of the proxy in HTTPS_PROXY"
"""What to check if a proxy refuses, for a message."""
_GATEWAY: Final = (
    "api_url, the proxy, and the network: an HTML page comes from a gateway or firewall"
)
POSSIBLY_BILLED: Final = {502, 504, *range(520, 530), *range(101, 200)}
"""A gateway responds with these when it has lost the API's own response. A status below 200
announces a response for which http.client does not wait."""


def _rejected(subject: str) -> _Meaning:
    return _Meaning(RejectedError, "request-rejected", {"subject": subject})


_LATER: Final = _Meaning(FailedTryError)
_LOST: Final = _Meaning(FailedTryError, may_be_billed=True)
_MEANINGS: Final = {
    **dict.fromkeys(range(200, 300), _LOST),
    **dict.fromkeys(
        range(300, 400),
        _rejected("api_url, which redirects (the tap follows none, to protect the key)"),
    ),
    **dict.fromkeys((400, 422), _rejected("the settings of {stream}")),
    401: _Meaning(UnauthorizedError, "access-denied", {"key": "api_key"}),
    402: _Meaning(ApiError, "balance-too-low"),
    403: _Meaning(ApiError, "access-denied", {"stream": "{stream}"}),
    407: _Meaning(RejectedError, "api-unavailable", {"subject": PROXY}),
    **dict.fromkeys((408, 425, 429, *range(500, 600)), _LATER),
    **dict.fromkeys(POSSIBLY_BILLED, _LOST),
}
_OTHER: Final = _rejected("api_url, or contact Jobo")
_CURSOR_STATUSES: Final = {400, 404, 409, 410, 422}
_SAYS: Final = ("detail", "message", "title", "error")
_TITLE: Final = re.compile("<title[^>]*>([^<]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response. `decode` decodes its body, and redacts the key in it."""

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
    status, headers, meaning = response.status, response.headers, _meaning(response)
    is_success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    if is_success and _is_usable(response, feed):
        return response
    said = _parse_error(response)
    deducted = reported_credits(headers)
    who = "The proxy" if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else "Jobo"
    fact = f"{who} responded with {status}{_quote(said)}"
    if is_success:
        fact += ", but without the documented JSON"
    if meaning.error is FailedTryError:
        raise FailedTryError(
            fact,
            may_be_billed=meaning.may_be_billed or bool(deducted),
            retry_after=retry_after(headers, said),
            is_rate_limit=status == HTTPStatus.TOO_MANY_REQUESTS,
        )
    stream = feed.name if feed else "companies"
    told = message(
        meaning.code,
        f"{fact}.{_bill(deducted) if feed else ''}",
        page_size=feed.page_size_name if feed and rows > 1 else None,
        **{name: text.format(stream=stream) for name, text in meaning.known.items()},
    )
    if meaning.error is RejectedError:
        is_of_api = status in _CURSOR_STATUSES and not response.is_html
        names_cursor = is_of_api and _says_cursor(said)
        error: ApiError = RejectedError(fact, told, status, names_cursor=names_cursor)
    else:
        error = meaning.error(told)
    error.may_be_billed = bool(deducted)
    raise error


def _meaning(response: ApiResponse) -> _Meaning:
    meaning = _MEANINGS.get(response.status, _OTHER)
    is_of_api = meaning.known.get("subject") != PROXY
    if response.is_html and response.status >= HTTPStatus.BAD_REQUEST and is_of_api:
        return replace(meaning, code="api-unavailable", known={"subject": _GATEWAY})
    return meaning


def _is_usable(response: ApiResponse, feed: FeedSpec | None) -> bool:
    """Whether a success has JSON, and if a feed is given, a page of it.

    What Jobo deducted something for is kept as a page, whatever its format, unless its end has not
    arrived. So is a page that is too large. Anything else is requested again, and counts as
    possibly billed.
    """
    if response.encoding:
        return True
    is_billed = feed is not None and bool(reported_credits(response.headers))
    try:
        if feed:
            return holds_page(response.body, feed) or is_billed
        read_members(response.body)
    except (ValueError, MemoryError):  # a proxy may cut a body short without a trace
        return is_billed and response.is_whole
    return True


def _bill(deducted: int | None) -> str:
    """Return what a refused request has cost: nothing, unless the response says otherwise."""
    if deducted:
        return f" Jobo deducted {dollars(deducted)} for this request, although it failed."
    return f" {NOT_BILLED}"


def _parse_error(response: ApiResponse) -> dict[str, Any]:
    """Return what an error says: JSON, the title of an HTML page, or text."""
    try:
        said: Any = parse_json(response.body)
    except ValueError:
        text = response.body[:100_000].decode("utf-8", "replace")
        said = "".join(_TITLE.findall(text)[:1]) if response.is_html else text
    return said if isinstance(said, dict) else {_SAYS[0]: said}


def _says_cursor(said: Mapping[str, Any]) -> bool:
    """Return whether an error is about the cursor; members that echo the request do not count."""
    errors = said.get("errors")
    invalid = errors if isinstance(errors, dict) else ()  # by the names of the parameters
    texts = [*map(said.get, (*_SAYS, "code")), *invalid]
    return any(isinstance(text, str) and "cursor" in text.lower() for text in texts)


def _quote(said: Mapping[str, Any]) -> str:
    """Return the start of what an error says, on one line."""
    texts = [text for text in map(said.get, _SAYS) if isinstance(text, str) and text][:1]
    if errors := said.get("errors"):
        with suppress(RecursionError):
            texts.append(json.dumps(errors, ensure_ascii=False))
    line = re.sub(r"[^ -~]+", " ", without_key(" ".join(texts))).strip().rstrip(".")[:300]
    return f" ({line})" if line else ""
