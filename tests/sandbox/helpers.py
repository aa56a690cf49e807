"""Ask a sandbox over real HTTP, as any client would."""

from collections.abc import Iterator
from typing import Any

import requests

from jobo_sandbox import Sandbox
from jobo_sandbox.feeds import FEEDS
from jobo_sandbox.patience import patient

TIMEOUT = patient(5)
CAREER_SITES = "/api/career-sites/feed"
JOBS = "/api/jobs/feed"
EXPIRED = "/api/jobs/expired"


def page(sandbox: Sandbox, *, path: str = CAREER_SITES, **body: Any) -> dict[str, Any]:
    """One page of a feed, which must succeed."""
    method = "GET" if path == EXPIRED else "POST"
    sent: Any = {"params" if method == "GET" else "json": body}
    headers = {"X-Api-Key": sandbox.api_key}
    response = requests.request(
        method, sandbox.url + path, headers=headers, timeout=TIMEOUT, **sent
    )
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


def ids(sandbox: Sandbox, *, path: str = CAREER_SITES, **body: Any) -> list[str]:
    """The ids of all rows of a scan."""
    (key,) = (feed.item_key for feed in FEEDS.values() if feed.path == path)
    items = [item for answer in pages(sandbox, path=path, **body) for item in answer[key]]
    return [item if isinstance(item, str) else item["id"] for item in items]
