"""Fault injection: how the mock API server misbehaves, and on which requests."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

from jobo_sandbox.feeds import known
from jobo_sandbox.ledger import Entry
from jobo_sandbox.patience import patient
from jobo_sandbox.wire import HTML, Reply, Shape, error, invalid_cursor


class Hold:
    """Holds a request before it is processed: `Fault(hold=Hold())`."""

    def __init__(self) -> None:
        self._arrived: Future[None] = Future()
        self._released: Future[None] = Future()

    def wait(self, timeout: float = 10) -> None:
        """Wait until the request has arrived, at most `timeout` seconds on a quiet machine.

        Raises:
            TimeoutError: If the request does not arrive.
        """
        self._arrived.result(patient(timeout))

    def release(self) -> None:
        """Let the request continue."""
        if not self._released.done():
            self._released.set_result(None)

    async def pause(self) -> None:
        """Wait for the release. Called by the server."""
        if not self._arrived.done():
            self._arrived.set_result(None)
        await asyncio.wrap_future(self._released)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault. Only what is set happens; most attributes can be combined.

    Attributes:
        times: Number of requests affected; None for all from then on.
        hold: Wait for the test's release before processing the request.
        send_as: Send the API's own reply, billed as usual, under this status: a 206, say.
        delay: Seconds to wait before sending the finished (and billed) response.
        status: Respond with this status, unbilled, with `headers` and `body`: an object is sent
            as JSON, text as HTML, and None as an error in the usual shape.
        reject_cursor: Reject the cursor with a 400. Affects only requests that have a cursor.
        drop: Close the connection before the first byte of a response.
        hang: Never respond.
        billed: Bill a request that is dropped or hangs.
        truncate: Declare the full length, send this fraction of the body (0 to 1), close. Billed.
        garbage: Respond with a 200 and this body. Billed.
        replace: Send this JSON instead of the body. A callable gets a copy of the body and returns
            what to send. Billed as usual. The header `X-Has-More` follows it, unless `headers` has
            one.
    """

    times: int | None = 1
    hold: Hold | None = None
    delay: float = 0
    status: int | None = None
    send_as: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] | str | None = None
    reject_cursor: Literal["400"] | None = None
    drop: bool = False
    hang: bool = False
    billed: bool = False
    truncate: float | None = None
    garbage: str | bytes | None = None
    replace: Any = None

    @property
    def silent(self) -> bool:
        """Whether the client gets no response."""
        return self.drop or self.hang

    def instead(self, shape: Shape) -> Reply | None:
        """Make the reply that replaces the API's, if any. Nothing is billed then."""
        if self.reject_cursor is not None:
            return invalid_cursor(shape)
        if self.status is None:
            return None
        reply = error(self.status, "This failure was injected.", shape)
        if isinstance(self.body, str):
            reply.body, reply.content_type = self.body, HTML
        elif self.body is not None:
            reply.body = self.body
        reply.headers |= self.headers
        return reply

    def spoil(self, reply: Reply) -> Reply:
        """Change the API's own reply, which has been billed."""
        reply.status = self.send_as or reply.status
        if self.garbage is not None:
            return Reply(200, self.garbage, reply.headers | dict(self.headers), HTML)
        if self.replace is not None:
            body = deepcopy(reply.body)
            reply.body = self.replace(body) if callable(self.replace) else self.replace
            if isinstance(reply.body, dict) and isinstance(reply.body.get("has_more"), bool):
                reply.headers["X-Has-More"] = str(reply.body["has_more"]).lower()
        reply.headers |= self.headers
        return reply


@dataclass
class _Queued:
    fault: Fault
    on: int
    endpoint: str | None
    company_id: str | None
    when: Callable[[Entry], bool] | None
    left: float

    def affects(self, entry: Entry) -> bool:
        number = entry.number if self.endpoint is None else entry.endpoint_number
        is_there = entry.endpoint == self.endpoint if self.endpoint else entry.endpoint != "clock"
        return (
            self.left > 0
            and number >= self.on
            and is_there
            and self.company_id in {None, entry.company_id}
            and (self.when is None or self.when(entry))
            and (self.fault.reject_cursor is None or entry.cursor is not None)
        )


class Faults:
    """The pending faults. Thread-safe."""

    def __init__(self) -> None:
        self._queue: list[_Queued] = []
        self._lock = Lock()

    def add(
        self,
        fault: Fault,
        *,
        on: int | None = None,
        endpoint: str | None = None,
        company_id: str | None = None,
        when: Callable[[Entry], bool] | None = None,
    ) -> None:
        """Inject a fault. If several apply to a request, it gets the one added first.

        Args:
            fault: What happens.
            on: The first request affected. Numbers count from 1 since the start of the server,
                within `endpoint` if one is given. None means the next request.
            endpoint: Affect only requests to this endpoint. None means any but `clock`.
            company_id: Affect only requests for this company's profile.
            when: Affect only requests for which this is true.

        Raises:
            ValueError: If there is no such endpoint.
        """
        endpoint = endpoint and known(endpoint)
        left = float("inf") if fault.times is None else fault.times
        with self._lock:
            self._queue.append(_Queued(fault, on or 1, endpoint, company_id, when, left))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._queue.clear()

    def take(self, entry: Entry) -> Fault | None:
        """Take the fault for a request, if any."""
        with self._lock:
            for queued in self._queue:
                if queued.affects(entry):
                    queued.left -= 1
                    return queued.fault
        return None
