"""The ways in which the sandbox misbehaves on request."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

from jobo_sandbox.replies import HTML, Reply, Shape, error, invalid_cursor, restart_required

_KINDS = ("hold", "redirect", "reject_cursor", "drop", "hang", "truncate", "garbage", "replace")


class Hold:
    """Hold a request back before it is looked at: `Fault(hold=Hold())`."""

    def __init__(self) -> None:
        self._arrived: Future[None] = Future()
        self._released: Future[None] = Future()

    def wait(self, timeout: float = 10) -> None:
        """Wait, at most so many seconds, until the request has arrived.

        Raises:
            TimeoutError: If it does not arrive.
        """
        self._arrived.result(timeout)

    def release(self) -> None:
        """Let the request go on."""
        if not self._released.done():
            self._released.set_result(None)

    async def pause(self) -> None:
        """Stay here until released. For the server."""
        if not self._arrived.done():
            self._arrived.set_result(None)
        await asyncio.wrap_future(self._released)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A way to misbehave. What is not given does not happen; most things can be combined.

    Attributes:
        times: How many requests it meets; None for all from then on.
        hold: Wait before the request is looked at until the test lets go.
        delay: Seconds between the finished (and billed) answer and its sending.
        status: Answer with this status and nothing billed, with `headers` and `body`: an object
            is sent as JSON, text as HTML; without one it is an error in the usual shape.
        shape: The shape of the error's body, instead of the sandbox's.
        redirect: Answer 302 with this URL.
        reject_cursor: Reject the cursor: with a 400 problem document, a 400 of the other shape,
            or a 409. Meets only requests that carry one.
        drop: Close the connection before any byte of an answer.
        hang: Never answer.
        billed: Whether a request that is dropped or hangs is billed all the same.
        truncate: Declare the whole body, send this share of it (0 to 1), close. Billed.
        garbage: Answer 200 with this body. Billed.
        replace: Send this JSON instead of the body; a callable is given the body (a copy, its own)
            and returns what to send. Billed as usual.
    """

    times: int | None = 1
    hold: Hold | None = None
    delay: float = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] | str | None = None
    shape: Shape | None = None
    redirect: str | None = None
    reject_cursor: Literal["400", "400-message", "409"] | None = None
    drop: bool = False
    hang: bool = False
    billed: bool = False
    truncate: float | None = None
    garbage: str | bytes | None = None
    replace: Any = None

    @property
    def name(self) -> str:
        """What the ledger calls it: the attributes that are set, with the status."""
        names = [kind for kind in _KINDS if getattr(self, kind) not in (None, False)]
        if self.delay:
            names.append("delay")
        if self.status is not None:
            names.append(f"status {self.status}")
        return ", ".join(names)

    @property
    def silent(self) -> bool:
        """Whether the client gets no answer at all."""
        return self.drop or self.hang

    def instead(self, shape: Shape) -> Reply | None:
        """The reply that takes the place of the API's, if any. Nothing is billed then."""
        shape = self.shape or shape
        if self.redirect is not None:
            return Reply(302, "", {"Location": self.redirect}, HTML)
        if self.reject_cursor is not None:
            if self.reject_cursor == "409":
                return restart_required(shape)
            return invalid_cursor("message" if self.reject_cursor == "400-message" else "problem")
        if self.status is None:
            return None
        reply = error(self.status, "The sandbox was asked to fail.", shape)
        if isinstance(self.body, str):
            reply.body, reply.content_type = self.body, HTML
        elif self.body is not None:
            reply.body = self.body
        reply.headers |= self.headers
        return reply

    def spoil(self, reply: Reply) -> Reply:
        """Change the API's own reply. It has been billed."""
        reply.headers |= self.headers
        if self.garbage is not None:
            return Reply(200, self.garbage, reply.headers, HTML)
        if self.replace is not None:
            body = deepcopy(reply.body)
            reply.body = self.replace(body) if callable(self.replace) else self.replace
        return reply
