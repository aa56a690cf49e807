"""The ledger: every request to the API, and what it was billed."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, Final

OTHERS: Final = ("profile", "clock", "filters", "other")
"""The endpoints that are not feeds. `clock` is a profile with `Cache-Control: no-cache`, requested
for the `Date` of its response."""


@dataclass
class Entry:
    """One request. Recorded when it arrives, completed when it is answered.

    Attributes:
        number: Counts requests to the API, from 1. One for the clock has that of the next.
        endpoint_number: Counts requests to this endpoint, from 1.
        time: When it arrived, by the server's clock, in UTC.
        endpoint: The name of a feed, or one of `OTHERS`.
        headers: The request's headers, with names in lowercase.
        body: The request's body, parsed; None if it is empty, text if it is not JSON. For a GET,
            the parameters of its query.
        company_id: The requested company, for a profile.
        status: The response's status; None if there is no response, or not yet.
        row_ids: Ids of the rows delivered, in order. They are billed, unless the plan includes
            them or they are ids of expired jobs.
        credits: Credits billed.
        sent: The headers of the response.
        fault: The `Fault` that was injected.
    """

    number: int
    endpoint_number: int
    time: datetime
    endpoint: str
    headers: dict[str, str]
    body: Any = None
    company_id: str | None = None
    status: int | None = None
    row_ids: list[str] = field(default_factory=list)
    credits: int = 0
    sent: dict[str, str] = field(default_factory=dict)
    fault: Any = None

    @property
    def cursor(self) -> str | None:
        """The cursor sent, if any."""
        cursor = self.body.get("cursor") if isinstance(self.body, dict) else None
        return cursor if isinstance(cursor, str) else None


@dataclass
class Ledger:
    """All requests, in order of arrival. Thread-safe."""

    open_requests: int = 0
    _entries: list[Entry] = field(default_factory=list)
    _numbers: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def open(
        self,
        time: datetime,
        endpoint: str,
        headers: dict[str, str],
        *,
        body: Any = None,
        company_id: str | None = None,
    ) -> Entry:
        """Record a request. Call `close` when it is over."""
        with self._lock:
            number = 1 + self._numbers.total() - self._numbers["clock"]
            self._numbers[endpoint] += 1
            entry = Entry(
                number, self._numbers[endpoint], time, endpoint, headers, body, company_id
            )
            self._entries.append(entry)
            self.open_requests += 1
            return entry

    def close(self) -> None:
        """Record that a request is over."""
        with self._lock:
            self.open_requests -= 1

    def entries(self, endpoint: str | None = None) -> list[Entry]:
        """The entries so far, of all endpoints or one."""
        with self._lock:
            return [e for e in self._entries if endpoint in {None, e.endpoint}]
