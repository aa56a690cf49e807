"""The HTTP session of a run, which sends the key to no other host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

_CONNECTIONS: Final = 16
"""Connections kept open: the most that `companies_concurrency` allows."""


class ApiSession(requests.Session):
    """A session for the API.

    Args:
        url: The API's base URL.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        # Do not send local requests through a proxy of the environment: it would see the key.
        self.trust_env = url.startswith("https:")
        self.auth = _no_other_credentials
        # Not whatever is installed: a Zstandard body that is cut short can pass as complete.
        self.headers["Accept-Encoding"] = "gzip, deflate"
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def get_redirect_target(self, resp: Response) -> None:
        """Return None: a redirect would send the key to another host, so it is an error."""


def _no_other_credentials(request: PreparedRequest) -> PreparedRequest:
    """Keep requests from sending what a `.netrc` file has for the host, or for any host."""
    return request
