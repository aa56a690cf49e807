"""One try of a request: sends it and reads its response, within limits."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import urllib3

from tap_jobo.api.failures import reading_failed, sending_failed
from tap_jobo.errors import ApiError
from tap_jobo.redaction import redact_body

if TYPE_CHECKING:
    import requests

    from tap_jobo.api.transport import Exchange
    from tap_jobo.clock import Clock

_TIMEOUT: Final = (10.0, 120.0)
"""Seconds to connect, and between two parts of a response: Jobo asks for at least 120."""
_BODY_MAX: Final = 512 * 1024 * 1024
"""Maximum bytes of a decoded body."""
_CHUNK: Final = 64 * 1024
_IDLE_MAX: Final = 60.0
"""Seconds after which an idle connection is not reused: a gateway may have dropped it, and the tap
cannot know whether a request lost there was billed."""


class BodyTooLargeError(ApiError):
    """A body is larger than a page can be, or than memory: a retry would fail as well."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"Jobo's answer {what}: lower the page size, or ask Jobo. The request may have been "
            "billed."
        )


class Sender:
    """Sends requests, one try each.

    Args:
        session: The session whose adapters, proxies and certificates to use. Its `send` is not
            used (see `Transport`), so redirects are never followed: they would send a header such
            as X-Api-Key to another host.
        key: The API key, to redact it from responses.
        clock: The clock to read.
    """

    def __init__(self, session: requests.Session, key: str, clock: Clock) -> None:
        self._session = session
        self._key = key
        self._clock = clock
        self._environment: dict[str, Any] | None = None
        self._last_used = clock.monotonic()

    def send(
        self, request: requests.PreparedRequest, exchange: Exchange, *, is_paid: bool
    ) -> requests.Response:
        """Send a request and return the response, with its body still unread.

        Raises:
            RetryableError: It failed without being billed.
            IncompleteResponseError: It was sent but got no response.
            ApiError: It cannot be sent.
        """
        url = request.url or ""
        if self._environment is None:  # its proxies and certificates, looked up once per run
            merged = self._session.merge_environment_settings(
                url, {}, stream=True, verify=None, cert=None
            )
            self._environment = dict(merged)
        if is_paid and self._clock.monotonic() - self._last_used > _IDLE_MAX:
            self._session.close()  # its connections; it opens new ones
        connect, read = _TIMEOUT
        timeout: Any = urllib3.Timeout(exchange.seconds, connect, read)
        try:
            adapter = self._session.get_adapter(url)
            return adapter.send(request, timeout=timeout, **self._environment)
        except (OSError, urllib3.exceptions.HTTPError) as error:  # requests' are OSErrors
            raise sending_failed(error, url, exchange, is_paid=is_paid) from error

    def read(self, response: requests.Response, exchange: Exchange) -> bytes:
        """Return the body; for an error response it may be empty, since the status is enough.

        Raises:
            IncompleteResponseError: It is incomplete.
            BodyTooLargeError: It is too large to read.
        """
        try:
            with response:
                return redact_body(_read_limited(response), self._key)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            failure = reading_failed(error, exchange)
        except MemoryError:
            failure = BodyTooLargeError("needs more memory than is available")
        except BodyTooLargeError as error:
            failure = error
        finally:
            self._last_used = self._clock.monotonic()
        if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            raise failure
        return b""


def _read_limited(response: requests.Response) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_content(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > _BODY_MAX:
            raise BodyTooLargeError(
                f"is larger than {_BODY_MAX // 1024**2} MB, which no page can be"
            )
    return b"".join(chunks)
