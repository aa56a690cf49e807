"""Requests of the contract check: each is sent once, and what they may cost is limited."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from jobo_sandbox.contract import tap
from jobo_sandbox.contract.outcomes import CHANGE, WARNED, CutOff, Differs, NotTestable, expect
from jobo_sandbox.contract.registry import BILLED, CHECKS, LAST_CHECKS
from tap_jobo.api.headers import reported_credits, retry_after
from tap_jobo.api.pages import lists, parse_json
from tap_jobo.api.profiles import PROFILE_PATH
from tap_jobo.api.responses import POSSIBLY_BILLED, ApiResponse
from tap_jobo.api.session import ApiSession
from tap_jobo.redaction import redact_body
from tap_jobo.streams.feed_spec import FeedSpec

Json = dict[str, Any]

_ROWS: Final = 18  # of each feed, at list price
LIMIT: Final = 1_000 * math.ceil(_ROWS * sum(feed.list_price for feed in BILLED) / 1_000) - 1
"""Credits that a check may cost: less than so many dollars. No request is sent that could exceed it
at the prices seen."""
LARGEST: Final = 5
"""Rows of the largest page that is asked for, except for those that must be refused."""
LONGEST_WAITS: Final = 120.0
"""Seconds that the check waits for rate limits in all, before it sends a request again."""
_WAIT: Final = 10.0  # seconds, if a 429 does not say how long
_PAUSE: Final = 2.0  # seconds before each request after a 429, as live users wait
_MOST_LOST: Final = 3
_REQUESTS: Final = 1.25  # of each check, with those that are sent again after a 429
_SUCCESS: Final = range(200, 300)
_NOT_ALLOWED: Final = {402: "the balance is too low", 403: "the key's plan does not include it"}
_PLAN_HEADERS: Final = ("X-Credits-Balance", "X-Quota-Limit", "X-Quota-Remaining")


def most_requests() -> int:
    """Return how many requests may be sent, by the number of checks."""
    return math.ceil(_REQUESTS * (len(CHECKS) + len(LAST_CHECKS)))


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

    def rows(self, feed: FeedSpec) -> int | None:
        """Return how many rows of a feed came, under any name; None if that does not show."""
        if isinstance(self.body().get(feed.item_key), list):
            return len(self.items(feed))
        return max(map(len, lists(self.json())), default=None)

    def credits(self, name: str = "X-Credits-Deducted") -> int | None:
        """Return the credits in a header, as the tap reads them."""
        return reported_credits(self.headers, name)

    @property
    def response(self) -> ApiResponse:
        """The response as the tap takes it."""
        return ApiResponse(self.content, self.status, self.headers)

    def says(self) -> tuple[str, bool]:
        """Return what `tap.refusal` does."""
        return tap.refusal(self.response)

    def reading(self, feed: FeedSpec) -> tap.Reading:
        """Return what the tap makes of this page."""
        return tap.read_page(self.response, feed, self.body_sent)

    @property
    def body_sent(self) -> Json:
        """What was asked for: the JSON, or the parameters of the query."""
        body: Json = self.sent.get("json") or self.sent.get("params") or {}
        return body

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
    def asked_wait(self) -> float:
        """The seconds to wait after a 429."""
        asked = retry_after(self.headers, self.body())
        return max(_PAUSE, _WAIT if asked is None else asked)

    @property
    def names_plan(self) -> bool:
        """Whether a missing deduction can mean that the rows were free."""
        return any(name in self.headers for name in _PLAN_HEADERS)

    def delivered(self, feed: FeedSpec | None = None) -> "Answer":
        """Return this answer if the tap can read it."""
        self.allowed()
        error = self.reading(feed).error if feed else self.says()[0]
        expect(not error, error, CHANGE)
        return self


class Api:
    """The API under test, at a base URL without a trailing slash.

    Attributes:
        rows: Rows that have come so far.
        credits: Credits that the requests so far have cost, as far as their responses say so.
        fallen: Credits by which the balance has fallen since the first response with a balance.
        answers: All requests so far, in order, with their responses.
        stopped: Why no further request is sent; empty as long as they are.
        bills: What is wrong with the money headers of responses, and what the tap does about it.
        wait: Waits some seconds for a rate limit.
    """

    def __init__(self, url: str, key: str, *, wait: Callable[[float], None] = time.sleep) -> None:
        self.key = key
        self.wait = wait
        self.rows = self.credits = 0
        self.fallen: int | None = None
        self.answers: list[Answer] = []
        self.stopped = ""
        self.bills: list[Differs] = []
        self._url = url
        self._waited = 0.0  # seconds that rate limits asked for
        self._first_balance: int | None = None
        self._unreported = 0  # credits that pages with a balance, but no deduction, may have cost
        self._unseen = 0  # what pages may have cost that neither `credits` nor a balance can show
        self._is_size_ignored = False  # whether a page had more rows than requested
        self._prices: dict[str, float] = {}  # per requested row, by the path of the feed
        self._session = ApiSession(url, key)
        self._known: dict[str, Answer | Differs] = {}

    @property
    def spent(self) -> int:
        """The credits that the check may have cost."""
        return max(self.credits + self._unseen, self.fallen or 0)

    def get(self, path: str, headers: Json | None = None, **params: Any) -> Answer:
        """Send a free request, with headers that differ from the tap's; None leaves one out."""
        return self._send("GET", path, {"params": params, "headers": headers or {}})

    def request(
        self, feed: FeedSpec, /, rows: int = 1, headers: Json | None = None, **body: Any
    ) -> Answer:
        """Ask a feed for a page of `rows`; None leaves out a part of the body."""
        body = {"batch_size": rows} | body
        sent = {name: value for name, value in body.items() if value is not None}
        where = "params" if feed.method == "GET" else "json"
        sent = {where: sent, "headers": headers or {}}
        return self._send(feed.method, feed.path, sent, feed, rows)

    def page(self, feed: FeedSpec, /, rows: int = 1, **body: Any) -> Answer:
        """Fetch a page that the tap can read, or raise what came instead."""
        return self.request(feed, rows, **body).delivered(feed)

    def _send(
        self, method: str, path: str, sent: Json, feed: FeedSpec | None = None, rows: int = 0
    ) -> Answer:
        """Send a request, unless it was sent before; for fewer rows if they do not fit."""
        memory = json.dumps([method, path, sent], sort_keys=True)
        if memory not in self._known:
            price = self._prices.get(path, feed.list_price) if feed else 0
            if feed and 1 < rows <= LARGEST and price:
                rows = max(1, min(rows, int((LIMIT - self.spent) // price)))
                where = "json" if "json" in sent else "params"
                sent = sent | {where: sent[where] | {"batch_size": rows}}
            most = math.ceil(rows * price)
            self._check_limits(most)
            self._known[memory] = answer = self._receive_patiently(method, path, sent)
            try:
                self._count(answer, feed, most)
            except Differs as difference:
                self._known[memory] = difference
        known = self._known[memory]
        if isinstance(known, Differs):
            raise known
        return known

    def _check_limits(self, most: int) -> None:
        why = self.stopped
        if self.spent + most > LIMIT:
            why = f"all could cost more than ${(LIMIT + 1) / 1_000:.2f}"
        if len(self.answers) >= (most_sent := most_requests()):
            why = f"{most_sent} requests were sent"
        if why:
            raise CutOff(f"not sent, because {why}")

    def _receive_patiently(self, method: str, path: str, sent: Json) -> Answer:
        """Send a request; if that is too soon, once more, and the next ones slowly."""
        if self._waited:
            self.wait(_PAUSE)
        answer = self._receive(method, path, sent)
        is_too_soon = answer.status == requests.codes.too_many_requests
        if is_too_soon and self._waited + answer.asked_wait <= LONGEST_WAITS:
            self._waited += answer.asked_wait
            self.wait(answer.asked_wait)
            self.answers.append(answer)
            answer = self._receive(method, path, sent)
        self.answers.append(answer)
        return answer

    def _receive(self, method: str, path: str, sent: Json) -> Answer:
        start = time.monotonic()
        try:
            response = self._session.request(method, self._url + path, timeout=(10, 120), **sent)
        except requests.RequestException as error:
            return Answer(method, path, sent, error=type(error).__name__)
        seconds, status = round(time.monotonic() - start, 3), response.status_code
        body = redact_body(response.content, self.key)
        response.headers.pop("Location", None)  # which may have the key
        return Answer(method, path, sent, status, response.headers, body, seconds=seconds)

    def _count(self, answer: Answer, feed: FeedSpec | None, most: int) -> None:
        """Count what a request cost, and note what its money headers say that cannot be."""
        if not answer.status:
            self.credits += most  # it may have been billed
            if sum(not each.status for each in self.answers) >= _MOST_LOST:
                self.stopped = f"{_MOST_LOST} responses were lost"
            raise Differs(f"no response ({answer.error})", WARNED)
        is_page = feed is not None and answer.status in _SUCCESS
        found = answer.rows(feed) if feed and is_page else 0
        rows, deducted = found or 0, answer.credits()
        cost = math.ceil(rows * feed.list_price) if feed else 0
        if feed and (found is None or answer.status in POSSIBLY_BILLED):
            cost = self._cost_unseen(feed, most)
        self.rows += rows
        self._add(answer, feed, cost, max(cost, most if rows else 0))
        requested = int(answer.body_sent.get("batch_size", 0)) if is_page else 0
        if feed and rows and requested:
            price = (deducted or cost) / min(rows, requested)
            self._prices[answer.path] = max(price, feed.list_price)
        if rows > requested > 0:
            self._is_size_ignored = True
            self._note(f"{rows} rows came, but {requested} were requested", WARNED)
        if deducted and not rows:
            # The tap does not expect a bill of a profile, and counts none.
            tap_does = CHANGE if answer.path.startswith(PROFILE_PATH) else WARNED
            self._note(f"{deducted} credits were deducted for a response without rows", tap_does)
        self._check_balance(answer.credits("X-Credits-Balance"))

    def _cost_unseen(self, feed: FeedSpec, most: int) -> int:
        """Return what a page may have cost whose rows cannot be counted."""
        full = math.ceil(feed.page_cap * feed.list_price)
        return max(most, full) if self._is_size_ignored else most

    def _add(self, answer: Answer, feed: FeedSpec | None, cost: int, possible: int) -> None:
        """Add what a request cost: what was deducted, otherwise what its rows cost."""
        counted = answer.credits()
        if counted is None:
            is_free = feed and feed.missing_charge_means_free and answer.names_plan
            counted = 0 if is_free else cost
        self.credits += counted
        if answer.credits():
            return
        if answer.credits("X-Credits-Balance") is None:
            self._unseen += max(0, possible - counted)
        else:
            self._unreported += possible

    def _check_balance(self, balance: int | None) -> None:
        if balance is None:
            return
        if self._first_balance is None:  # which may still be the one before this page
            self._first_balance = balance + self.credits
        self.fallen = self._first_balance - balance
        if self.fallen > self.credits:
            is_bounded = self.fallen <= self.credits + self._unreported
            self._note(
                "the balance fell by more credits than were deducted (or another client uses the "
                "account)",
                WARNED if is_bounded else CHANGE,
            )

    def _note(self, came: str, tap_does: str) -> None:
        self.bills.append(Differs(came, tap_does))
