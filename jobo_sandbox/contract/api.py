"""Requests of the contract check: each is sent once, and what they may cost is limited."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from jobo_sandbox.contract import tap
from jobo_sandbox.contract.outcomes import CHANGE, WARNED, CutOff, Differs, NotTestable, expect
from tap_jobo.api.client import ApiSession
from tap_jobo.api.headers import reported_credits
from tap_jobo.api.pages import parse_json
from tap_jobo.api.responses import ApiResponse
from tap_jobo.redaction import redact_body
from tap_jobo.streams.feed_spec import FeedSpec

Json = dict[str, Any]

LIMIT: Final = 999
"""Credits that a check may cost. No request is sent that could exceed it at list price."""
LARGEST: Final = 5
"""Rows of the largest page that is asked for, except for those that must be refused."""
MOST_REQUESTS: Final = 60
_MOST_LOST: Final = 3
_SUCCESS: Final = range(200, 300)
_NOT_ALLOWED: Final = {402: "the balance is too low", 403: "the key's plan does not include it"}
_PLAN_HEADERS: Final = ("X-Credits-Balance", "X-Quota-Limit", "X-Quota-Remaining")


@dataclass(frozen=True)
class Answer:
    """A request and its response. Without a response, the status is 0."""

    method: str
    path: str
    sent: Json
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    error: str = ""
    seconds: float = 0

    def json(self) -> Any:
        """Return the parsed body; None if it is not JSON."""
        try:
            return parse_json(self.content)
        except ValueError:
            return None

    def body(self) -> Json:
        """Return the JSON object in the body; empty if there is none."""
        body = self.json()
        return body if isinstance(body, dict) else {}

    def items(self, feed: FeedSpec) -> list[Any]:
        """Return the items of a page, as far as there are any."""
        items = self.body().get(feed.item_key)
        return items if isinstance(items, list) else []

    def credits(self, name: str = "X-Credits-Deducted") -> int | None:
        """Return the credits in a header, as the tap reads them."""
        return reported_credits(self.headers, name)

    def says(self, feed: FeedSpec | None = None) -> tuple[str, bool]:
        """Return what `tap.refusal` does."""
        return tap.refusal(ApiResponse(self.content, self.status, self.headers), feed)

    def allowed(self) -> "Answer":
        """Return this answer, unless its status is that the account must not send the request."""
        if self.status == requests.codes.too_many_requests:
            raise CutOff("the rate limit is reached (HTTP 429)")
        if self.status in _NOT_ALLOWED:
            raise NotTestable(f"{_NOT_ALLOWED[self.status]} (HTTP {self.status})")
        return self

    def expect_status(self, *statuses: int, tap_does: str = "") -> "Answer":
        """Return this answer if its status is one of these."""
        expect(self.status in statuses, f"HTTP {self.status}", tap_does)
        return self

    def following(self) -> str:
        """Return the cursor of the next page; empty after the last one."""
        more, cursor = self.body().get("has_more"), self.body().get("next_cursor")
        expect(cursor or not more, "has_more without a next_cursor", CHANGE)
        return str(cursor) if more else ""

    @property
    def names_plan(self) -> bool:
        """Whether a missing deduction can mean that the rows were free."""
        return any(name in self.headers for name in _PLAN_HEADERS)

    def delivered(self, feed: FeedSpec | None = None) -> "Answer":
        """Return this answer if the tap can read it."""
        error = self.allowed().says(feed)[0]
        expect(not error, error, CHANGE)
        return self


class Api:
    """The API under test, at a base URL without a trailing slash.

    Attributes:
        rows: Rows that have come so far.
        credits: Credits that the requests so far have cost, as far as known.
        fallen: Credits by which the balance has fallen since the first response with a balance.
        answers: All requests so far, in order, with their responses.
        stopped: Why no further request is sent; empty as long as they are.
        overcharge: The same, if it is for money.
    """

    def __init__(self, url: str, key: str) -> None:
        self.key = key
        self.rows = self.credits = 0
        self.fallen: int | None = None
        self.answers: list[Answer] = []
        self.stopped = self.overcharge = ""
        self._url = url
        self._first_balance: int | None = None
        self._session = ApiSession(url)
        self._session.headers.update({"User-Agent": tap.USER_AGENT, "X-Api-Key": key})
        self._known: dict[str, Answer | Differs] = {}

    def get(self, path: str, headers: Json | None = None, **params: Any) -> Answer:
        """Send a free request, with headers that differ from the tap's; None leaves one out."""
        return self._send("GET", path, {"params": params, "headers": headers or {}})

    def post(
        self, feed: FeedSpec, /, rows: int = 1, headers: Json | None = None, **body: Any
    ) -> Answer:
        """Ask a feed for a page of `rows`; None leaves out a part of the body."""
        body = {"batch_size": rows} | body
        sent = {name: value for name, value in body.items() if value is not None}
        return self._send("POST", feed.path, {"json": sent, "headers": headers or {}}, feed, rows)

    def page(self, feed: FeedSpec, /, rows: int = 1, **body: Any) -> Answer:
        """Fetch a page that the tap can read, or raise what came instead."""
        return self.post(feed, rows, **body).delivered(feed)

    def _send(
        self, method: str, path: str, sent: Json, feed: FeedSpec | None = None, rows: int = 0
    ) -> Answer:
        """Send a request, unless it was sent before."""
        memory = json.dumps([method, path, sent], sort_keys=True)
        if memory not in self._known:
            most = math.ceil(rows * feed.list_price) if feed else 0
            self._check_limits(most)
            self._known[memory] = answer = self._receive(method, path, sent)
            self.answers.append(answer)
            try:
                self._judge(answer, feed, most)
            except Differs as difference:
                self._known[memory] = difference
        known = self._known[memory]
        if isinstance(known, Differs):
            raise known
        return known

    def _check_limits(self, most: int) -> None:
        why = self.stopped
        if self.credits + most > LIMIT:
            why = "all could cost more than $1.00"
        if len(self.answers) >= MOST_REQUESTS:
            why = f"{MOST_REQUESTS} requests were sent"
        if why:
            raise CutOff(f"not sent, because {why}")

    def _receive(self, method: str, path: str, sent: Json) -> Answer:
        start = time.monotonic()
        try:
            response = self._session.request(method, self._url + path, timeout=(10, 120), **sent)
        except requests.RequestException as error:
            return Answer(method, path, sent, error=type(error).__name__)
        seconds, status = round(time.monotonic() - start, 3), response.status_code
        body = redact_body(response.content, self.key)
        return Answer(method, path, sent, status, response.headers, body, seconds=seconds)

    def _judge(self, answer: Answer, feed: FeedSpec | None, most: int) -> None:
        """Count what a request cost, and stop if it was more than its rows do at list price."""
        if not answer.status:
            self.credits += most  # it may have been billed
            if sum(not each.status for each in self.answers) >= _MOST_LOST:
                self.stopped = f"{_MOST_LOST} responses were lost"
            raise Differs(f"no response ({answer.error})", WARNED)
        is_page = feed is not None and answer.status in _SUCCESS
        rows = len(answer.items(feed)) if feed and is_page else 0
        cost = math.ceil(rows * feed.list_price) if feed else 0
        self.rows += rows
        deducted = answer.credits()
        if deducted is not None:
            self.credits += deducted
        elif not (feed and feed.missing_charge_means_free and answer.names_plan):
            self.credits += cost if answer.body() or not is_page else most
        self._note_balance(answer.credits("X-Credits-Balance"))
        is_sized = is_page and answer.sent["json"].get("batch_size", 0) <= LARGEST
        required = (is_sized and answer.credits("X-Credits-Required")) or 0
        fallen, other = self.fallen or 0, "or another client uses the account"
        wrong = {
            f"{deducted} credits were deducted for {rows} rows": (deducted or 0) > cost,
            f"{rows} rows came for a page that costs {most} credits": cost > most,
            f"{required} credits are required for a page of {most}": required > most,
            f"the balance fell by {fallen}, not by {self.credits} ({other})": fallen > self.credits,
        }
        self.stopped = self.overcharge = next((why for why in wrong if wrong[why]), "")
        expect(not self.stopped, f"{self.stopped}; no further request is sent", WARNED)

    def _note_balance(self, balance: int | None) -> None:
        if balance is None:
            return
        if self._first_balance is None:  # which may still be the one before this page
            self._first_balance = balance + self.credits
        self.fallen = self._first_balance - balance
