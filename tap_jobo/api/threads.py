"""Calls in daemon threads: process exit does not wait for them.

At exit, `concurrent.futures` waits for a thread that hangs in a request, and `multiprocessing.pool`
needs semaphores, which a container may not have.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tap_jobo.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@contextmanager
def call_in_threads(
    call: Callable[[str], Any], arguments: Sequence[str], workers: int
) -> Iterator[list[Future[Any]]]:
    """Call a function with each argument, several at a time; leaving the block starts no more.

    Args:
        call: The function.
        arguments: Its arguments.
        workers: Maximum number of threads.

    Yields:
        The future result of each call, in the order of the arguments.

    Raises:
        ApiError: The machine's thread limit is reached.
    """
    calls: list[tuple[str, Future[Any]]] = [(argument, Future()) for argument in arguments]
    waiting = deque(calls)

    def work() -> None:
        with suppress(IndexError):  # no call is left
            while True:
                argument, future = waiting.popleft()
                try:
                    future.set_result(call(argument))
                except BaseException as error:  # noqa: BLE001 - raised where the result is read
                    future.set_exception(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in calls[:workers]]
    try:
        for started, thread in enumerate(threads):
            try:
                thread.start()
            except RuntimeError as error:
                raise ApiError(
                    f"Could start only {started} of {len(threads)} profile threads ({error}). "
                    "Lower companies_concurrency, or raise the process limit (ulimit -u)."
                ) from error
        yield [future for _, future in calls]
    finally:
        waiting.clear()
