"""A pool of daemon threads: process exit does not wait for them."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from tap_jobo.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

A = TypeVar("A")
R = TypeVar("R")


class WorkerPool(Generic[A, R]):
    """Calls a function in several daemon threads.

    At exit, `concurrent.futures` waits for a thread that hangs in a request, and
    `multiprocessing.pool` needs semaphores, which a container may not have.

    Args:
        call: The function.
        workers: How many threads.
    """

    def __init__(self, call: Callable[[A], R], workers: int) -> None:
        self._call = call
        self._tasks: SimpleQueue[tuple[A, Future[R]] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]

    def __enter__(self) -> Self:
        """Start the threads.

        Raises:
            ApiError: The machine's thread limit is reached.
        """
        for started, thread in enumerate(self._threads):
            try:
                thread.start()
            except RuntimeError as error:
                self._end(started)
                raise ApiError(
                    f"Only {started} of {len(self._threads)} threads for profiles can be started "
                    f"({error}): lower companies_concurrency, or raise the machine's limit of "
                    "processes (ulimit -u)."
                ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell each thread to end after its current task, without waiting for it."""
        while not self._tasks.empty():
            self._tasks.get()
        self._end(len(self._threads))

    def submit(self, argument: A) -> Future[R]:
        """Schedule a call; the future gets its result or exception."""
        future: Future[R] = Future()
        self._tasks.put((argument, future))
        return future

    def _end(self, threads: int) -> None:
        for _ in range(threads):
            self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            argument, future = task
            try:
                future.set_result(self._call(argument))
            except BaseException as error:  # noqa: BLE001 - raised where the result is read
                future.set_exception(error)
