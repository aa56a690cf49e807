"""Writes of the journal in their order: what cannot be written now waits in memory.

No page is written before the pages in front of it, so the journal never has a hole.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from tap_jobo.errors import JournalError
from tap_jobo.journal.store import Store, StoreError
from tap_jobo.wording import dollars, plural

MAX_WAITING: Final = 64 * 1024 * 1024
"""Bytes that may wait."""


class Write(NamedTuple):
    """A file to create, what to call once it is created, and the credits that it cost."""

    name: str
    content: bytes
    verify: Callable[[], None] = lambda: None
    cost: int = 0


class WriteQueue:
    """Creates files in their order. Reports once when this begins to fail, and to work again."""

    def __init__(self, store: Store, logger: logging.Logger) -> None:
        self._store = store
        self._logger = logger
        self._waiting: deque[Write] = deque()
        self._is_failing = False

    def write(self, *writes: Write) -> None:
        """Create files, after those that still wait, as far as that is possible now."""
        self._waiting += writes
        while self._waiting:
            first = self._waiting[0]
            try:
                self._store.create(first.name, first.content)
                first.verify()
            except StoreError as error:
                self.report_failure(error)
                if sum(len(each.content) for each in self._waiting) > MAX_WAITING:
                    raise JournalError(
                        f"The journal {self._store.location} could not be written for too long. "
                        f"The run ends. {self._at_risk()} Make room, and run again."
                    ) from error
                return
            except BaseException:
                self._waiting.clear()  # which belongs to another run now
                raise
            self._waiting.popleft()
        if self._is_failing:
            self._is_failing = False
            self._logger.info("The journal %s can be written again.", self._store.location)

    def report_waiting(self) -> None:
        """Warn of what could not be written by the end of the run."""
        if self._waiting:
            self._logger.warning(
                "The journal %s still cannot be written at the end of the run. %s",
                self._store.location,
                self._at_risk(),
            )

    def report_failure(self, error: StoreError) -> None:
        """Log that the journal cannot be written, once until it can be."""
        if not self._is_failing:
            self._is_failing = True
            self._logger.warning(
                "The journal %s cannot be written (%s). The run continues, and its pages wait in "
                "memory. A crash may bill them again. Make room, or change journal_dir.",
                self._store.location,
                error,
            )

    def _at_risk(self) -> str:
        pages = [each.cost for each in self._waiting if each.name.endswith(".page")]
        return (
            f"{plural(len(pages), 'page')}, worth {dollars(sum(pages))}, may be billed again "
            "unless the target stores the rows."
        )
