"""What was asked of the sandbox, and what it billed for it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, Literal

Endpoint = Literal["feed", "profile"]


@dataclass
class Entry:
    """One request. It is noted as it arrives, and completed as it is answered.

    Attributes:
        number: 1 for the first request to the API.
        endpoint_number: 1 for the first request to this endpoint.
        time: When it arrived, by the sandbox's clock, in UTC.
        endpoint: Which one was asked.
        headers: Those of the request, their names in lower case.
        body: That of the request, parsed; None if it is not JSON.
        company_id: Of a profile, the company asked for.
        status: Of the answer; None as long as, or if, there is none.
        row_ids: The companies whose rows were delivered and billed, in their order.
        credits: What was billed.
        fault: The name of the fault that it met.
    """

    number: int
    endpoint_number: int
    time: datetime
    endpoint: Endpoint
    headers: dict[str, str]
    body: Any = None
    company_id: str | None = None
    status: int | None = None
    row_ids: list[str] = field(default_factory=list)
    credits: int = 0
    fault: str | None = None

    @property
    def cursor(self) -> str | None:
        """The cursor that was sent, if one was."""
        cursor = self.body.get("cursor") if isinstance(self.body, dict) else None
        return cursor if isinstance(cursor, str) else None


@dataclass
class Ledger:
    """All requests, in the order of their arrival. Safe to use from several threads."""

    open_requests: int = 0
    max_open_requests: int = 0
    _entries: list[Entry] = field(default_factory=list)
    _numbers: Counter[Endpoint] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def open(
        self,
        time: datetime,
        endpoint: Endpoint,
        headers: dict[str, str],
        *,
        body: Any = None,
        company_id: str | None = None,
    ) -> Entry:
        """Note a request that has arrived; `close` is due when it is over."""
        with self._lock:
            self._numbers[endpoint] += 1
            number = len(self._entries) + 1
            entry = Entry(
                number, self._numbers[endpoint], time, endpoint, headers, body, company_id
            )
            self._entries.append(entry)
            self.open_requests += 1
            self.max_open_requests = max(self.max_open_requests, self.open_requests)
            return entry

    def close(self) -> None:
        """A request is over."""
        with self._lock:
            self.open_requests -= 1

    def entries(self, endpoint: Endpoint | None = None) -> list[Entry]:
        """The entries so far: all, or those of one endpoint."""
        with self._lock:
            return [e for e in self._entries if endpoint in {None, e.endpoint}]
