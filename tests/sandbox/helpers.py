"""Ask a sandbox over real HTTP, as any client would."""

from collections.abc import Iterator
from typing import Any

import requests

from jobo_sandbox import Sandbox

TIMEOUT = 5


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self, now: float = 1_760_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def post(sandbox: Sandbox, body: object, *, key: str | None = None) -> requests.Response:
    """Send any body to the feed."""
    return requests.post(
        f"{sandbox.url}/api/career-sites/feed",
        json=body,
        headers={"X-Api-Key": key or sandbox.api_key},
        timeout=TIMEOUT,
        allow_redirects=False,
    )


def page(sandbox: Sandbox, **body: Any) -> dict[str, Any]:
    """One page of the feed, which must succeed."""
    response = post(sandbox, body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def pages(sandbox: Sandbox, **body: Any) -> Iterator[dict[str, Any]]:
    """A scan to its end, as Jobo's example does it."""
    answer = page(sandbox, **body)
    yield answer
    while answer["has_more"]:
        answer = page(sandbox, **body, cursor=answer["next_cursor"])
        yield answer
    assert answer["next_cursor"] is None


def ids(sandbox: Sandbox, **body: Any) -> list[str]:
    """The ids of all rows of a scan."""
    return [row["id"] for answer in pages(sandbox, **body) for row in answer["career_sites"]]


def profile(sandbox: Sandbox, key: str) -> requests.Response:
    """Ask for a profile."""
    return requests.get(
        f"{sandbox.url}/api/companies/{key}",
        headers={"X-Api-Key": sandbox.api_key},
        timeout=TIMEOUT,
    )
