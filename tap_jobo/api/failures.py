"""Classifies requests that failed without a status: whether they were sent, and why they failed."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, ProtocolError

from tap_jobo.api.retry import IncompleteResponseError, RetryableError
from tap_jobo.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jobo.api.transport import Exchange

_OF_CONNECTION = (requests.ConnectionError, requests.Timeout, requests.exceptions.InvalidHeader)
"""Errors raised on a connection, or while connecting."""
_CONNECTION_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_CAUSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((socket.gaierror, NameResolutionError), "unknown host name"),
    (ConnectionRefusedError, "connection refused"),
    (_CONNECTION_CLOSED, "connection closed"),
    (TimeoutError, "timed out"),
)


def sending_failed(error: Exception, url: str, exchange: Exchange, *, is_paid: bool) -> Exception:
    """Return the error to raise when no response arrived.

    Args:
        error: What requests raised.
        url: The URL of the request.
        exchange: The try.
        is_paid: Whether a response is billed.
    """
    causes = list(_causes(error))
    is_of_connection = isinstance(error, _OF_CONNECTION)
    if exchange.is_sent and is_of_connection and not _any(causes, ConnectTimeoutError):
        return _unanswered(causes, exchange, is_paid=is_paid)
    if isinstance(error, requests.exceptions.SSLError) and not _any(causes, _CONNECTION_CLOSED):
        return ApiError(
            "The certificate of api_url cannot be verified: check api_url, the machine's "
            "certificates, or the proxy in between."
        )
    if is_of_connection:
        proxy = " through the proxy" if isinstance(error, requests.exceptions.ProxyError) else ""
        return RetryableError(f"{_host(url)} cannot be reached{proxy} ({_cause(causes)})")
    return ApiError(
        f"The request cannot be sent ({type(error).__name__}): check api_url, and the proxy and "
        "certificate settings of the environment."
    )


def reading_failed(error: Exception, exchange: Exchange) -> Exception:
    """Return the error to raise when a response started but did not complete."""
    if exchange.is_overdue:
        return _overdue(exchange)
    if _any(list(_causes(error)), TimeoutError):
        return IncompleteResponseError("Jobo's answer stopped halfway")
    return IncompleteResponseError("Jobo's answer broke off")


def _unanswered(causes: list[BaseException], exchange: Exchange, *, is_paid: bool) -> Exception:
    if exchange.is_overdue:
        return _overdue(exchange)
    if _any(causes, (TimeoutError, requests.Timeout)):
        return IncompleteResponseError("Jobo did not answer in time")
    if _any(causes, ProtocolError) and not _any(causes, _CONNECTION_CLOSED):
        return IncompleteResponseError("Jobo's answer is not HTTP")
    lost = "The connection to Jobo was lost before the answer"
    return IncompleteResponseError(lost) if is_paid else RetryableError(lost)


def _overdue(exchange: Exchange) -> IncompleteResponseError:
    minutes = exchange.seconds / 60
    limit = f"{minutes:g} minutes" if minutes >= 1 else f"{exchange.seconds:g} seconds"
    return IncompleteResponseError(f"Jobo's answer took longer than {limit}")


def _host(url: str) -> str:
    """Return the host of a URL, with its port if there is one."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _cause(causes: list[BaseException]) -> str:
    for kinds, text in _CAUSES:
        if _any(causes, kinds):
            return text
    said = [each.strerror for each in causes if isinstance(each, OSError) and each.strerror]
    return said[-1] if said else "connection failed"


def _any(
    causes: list[BaseException], kinds: type[BaseException] | tuple[type[BaseException], ...]
) -> bool:
    return any(isinstance(each, kinds) for each in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and every error nested in it, in all the ways that urllib3 nests them."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        each = left.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            reason = getattr(each, "reason", None)
            left += [*each.args, reason, each.__cause__, each.__context__]
