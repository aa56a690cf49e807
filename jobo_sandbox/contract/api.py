"""Requests of the contract check: each is sent once, and their cost is limited."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

Json = dict[str, Any]

CREDITS_PER_DOLLAR = 1_000
LIMIT = 500
"""Credits that a check may cost. No request is sent that could exceed it."""
_TIMEOUT = 120
_NOT_ALLOWED = {
    402: "the balance does not cover the page",
    403: "the key's plan does not include it",
    429: "the rate limit is reached",
}


class Differs(Exception):  # noqa: N818 - an outcome, not an error
    """The API does something else than documented. The message says what."""


class NotTestable(Exception):  # noqa: N818 - an outcome, not an error
    """The assumption cannot be tested against this API. The message says why."""


def expect(condition: object, came: str) -> None:
    """Raise `Differs` with what came, unless the condition holds."""
    if not condition:
        raise Differs(came)


@dataclass(frozen=True)
class Feed:
    """A feed: the stream, the key of the rows in a body, the largest page, credits per row."""

    stream: str
    path: str
    items: str
    cap: int
    price: int


SITES = Feed("career_sites", "/api/career-sites/feed", "career_sites", 50, 50)
JOBS = Feed("jobs", "/api/jobs/feed", "jobs", 1_000, 3)


@dataclass(frozen=True)
class Answer:
    """A response. Header names ignore case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def body(self) -> Json:
        """Return the JSON object in the body.

        Raises:
            Differs: The body is anything else.
        """
        try:
            body = json.loads(self.content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Differs(f"the body of an HTTP {self.status} is not a JSON object")
        return body

    def rows(self, feed: Feed) -> list[Json]:
        """Return the rows of a page.

        Raises:
            Differs: The body has no list of objects.
        """
        rows = self.body().get(feed.items)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Differs(f"{feed.items}: {rows!s:.100}")
        return rows

    def number(self, header: str) -> int | None:
        """Return the whole number in a header, or None if there is none."""
        text = self.headers.get(header, "")
        return int(text) if text.isascii() and text.isdecimal() else None

    def delivered(self) -> "Answer":
        """Return this answer if its status is 200.

        Raises:
            Differs: The status is another one.
            NotTestable: The account does not allow the request.
        """
        if self.status in _NOT_ALLOWED:
            raise NotTestable(f"{_NOT_ALLOWED[self.status]} (HTTP {self.status})")
        expect(self.status == requests.codes.ok, f"HTTP {self.status}")
        return self


class Api:
    """The API under test. Sends each request once.

    Args:
        url: Base URL, without a trailing slash.
        key: The API key.

    Attributes:
        credits: Credits that the requests so far have cost, as far as known.
        answers: All responses so far, in order.
    """

    def __init__(self, url: str, key: str) -> None:
        self.credits = 0
        self.answers: list[Answer] = []
        self._url = url
        self._key = key
        self._session = requests.Session()
        self._sent: dict[str, Answer] = {}

    def send(
        self, method: str, path: str, /, *, key: str = "", most: int = 0, **content: Any
    ) -> Answer:
        """Send a request.

        Args:
            method: The HTTP method.
            path: The path, from the base URL.
            key: Another API key than the one under test.
            most: The most credits that the request can cost, if the API is as documented.
            content: The `params` of the URL's query, or the `json` body.

        Raises:
            Differs: There was no response.
            NotTestable: The request could exceed the limit.
        """
        memory = json.dumps([method, path, key, content], sort_keys=True)
        if memory in self._sent:
            return self._sent[memory]
        if self.credits + most > LIMIT:
            raise NotTestable(f"it could cost more than ${LIMIT / CREDITS_PER_DOLLAR:.2f} in all")
        self.credits += most  # A response that is lost may have been billed.
        headers = {"X-Api-Key": key or self._key, "Accept-Encoding": "gzip"}
        try:
            response = self._session.request(
                method,
                self._url + path,
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
                **content,
            )
        except requests.RequestException as error:
            raise Differs(f"no response ({type(error).__name__})") from None
        answer = Answer(response.status_code, response.headers, response.content)
        deducted = answer.number("X-Credits-Deducted")
        if deducted is not None or answer.status != requests.codes.ok:
            self.credits += (deducted or 0) - most
        self._sent[memory] = answer
        self.answers.append(answer)
        return answer

    def post(self, feed: Feed, /, *, key: str = "", rows: int = 0, **body: Any) -> Answer:
        """Send a request to a feed that returns this many rows at most. Raises as `send`."""
        return self.send("POST", feed.path, key=key, most=rows * feed.price, json=body)

    def page(self, feed: Feed, /, **body: Any) -> Answer:
        """Fetch a page of one row. Raises as `Answer.delivered` and `post`."""
        return self.post(feed, rows=1, batch_size=1, **body).delivered()

    def second_page(self, feed: Feed, *, alone: bool) -> Answer:
        """Fetch the page after the first one, with the cursor alone or with the body repeated.

        Raises as `page`, and `NotTestable` if there is no second page.
        """
        cursor = self.page(feed).body().get("next_cursor")
        if not isinstance(cursor, str):
            raise NotTestable("the feed has one page only")
        if alone:
            return self.post(feed, rows=1, cursor=cursor).delivered()
        return self.page(feed, cursor=cursor)
