"""Ask a sandbox over real HTTP, as any client would."""

from collections.abc import Iterator
from typing import Any

import requests

from jobo_sandbox import Sandbox
from jobo_sandbox.patience import patient

TIMEOUT = patient(5)


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self, now: float = 1_760_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


CAREER_SITES = "/api/career-sites/feed"
JOBS = "/api/jobs/feed"
EXPIRED = "/api/jobs/expired"


def post(
    sandbox: Sandbox, body: object, *, key: str | None = None, path: str = CAREER_SITES
) -> requests.Response:
    """Send any body to a feed."""
    return requests.post(
        sandbox.url + path,
        json=body,
        headers={"X-Api-Key": key or sandbox.api_key},
        timeout=TIMEOUT,
        allow_redirects=False,
    )


def get(sandbox: Sandbox, path: str, **parameters: Any) -> requests.Response:
    """Send a GET request."""
    return requests.get(
        sandbox.url + path,
        params=parameters,
        headers={"X-Api-Key": sandbox.api_key},
        timeout=TIMEOUT,
    )


def ask(sandbox: Sandbox, path: str, body: Any) -> requests.Response:
    """Request a page of any feed."""
    return get(sandbox, path, **body) if path == EXPIRED else post(sandbox, body, path=path)


def page(sandbox: Sandbox, *, path: str = CAREER_SITES, **body: Any) -> dict[str, Any]:
    """One page of a feed, which must succeed."""
    response = ask(sandbox, path, body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def pages(sandbox: Sandbox, *, path: str = CAREER_SITES, **body: Any) -> Iterator[dict[str, Any]]:
    """A scan to its end, as Jobo's examples and live users do it."""
    answer = page(sandbox, path=path, **body)
    yield answer
    while answer["has_more"]:
        answer = page(sandbox, path=path, **body, cursor=answer["next_cursor"])
        yield answer
    assert answer["next_cursor"] is None


def ids(sandbox: Sandbox, **body: Any) -> list[str]:
    """The ids of all career sites of a scan."""
    return [row["id"] for answer in pages(sandbox, **body) for row in answer["career_sites"]]


def job_ids(sandbox: Sandbox, *, path: str = JOBS, **body: Any) -> list[str]:
    """The ids of all jobs of a scan."""
    return [row["id"] for answer in pages(sandbox, path=path, **body) for row in answer["jobs"]]


def expired_ids(sandbox: Sandbox, **parameters: Any) -> list[str]:
    """The ids of all expired jobs of a scan."""
    scan = pages(sandbox, path=EXPIRED, **parameters)
    return [key for answer in scan for key in answer["job_ids"]]
