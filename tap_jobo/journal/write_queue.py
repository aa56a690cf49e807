"""Writes of the journal: what cannot be written now waits in memory, in order: no hole arises."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from tap_jobo.errors import JournalError
from tap_jobo.journal.store import Store, StoreError
from tap_jobo.wording import dollars, plural

_MAX_WAITING: Final = 64 * 1024 * 1024  # bytes


class Write(NamedTuple):
    """A file to create, what to call once it is created, and the credits that it cost."""

    name: str
    content: bytes
    verify: Callable[[], None]
    cost: int = 0


class WriteQueue:
    """Creates files in their order. Logs once when this begins to fail, and to work again."""

    def __init__(self, store: Store, logger: logging.Logger) -> None:
        self._store = store
        self._logger = logger
        self._waiting: deque[Write] = deque()

    def write(self, *writes: Write) -> None:
        """Create files, after those that still wait, as far as that is possible now."""
        was_failing = bool(self._waiting)
        self._waiting += writes
        while self._waiting:
            first = self._waiting[0]
            try:
                self._store.create(first.name, first.content)
                first.verify()
            except StoreError as error:
                if not was_failing:
                    self._logger.warning(
                        "The journal %s cannot be written (%s). The run continues, and its pages "
                        "wait in memory. A crash may bill them again. Make room, or change "
                        "journal_dir.",
                        self._store.location,
                        error,
                    )
                if sum(len(each.content) for each in self._waiting) > _MAX_WAITING:
                    raise JournalError(
                        f"The journal {self._store.location} could not be written for too long. "
                        f"The run ends. {self._at_risk()} Make room, and run again."
                    ) from error
                return
            except BaseException:
                self._waiting.clear()  # which belongs to another run now
                raise
            self._waiting.popleft()
        if was_failing:
            self._logger.info("The journal %s can be written again.", self._store.location)

    def report_waiting(self) -> None:
        """Warn of what could not be written by the end of the run."""
        if self._waiting:
            self._logger.warning(
                "The journal %s still cannot be written at the end of the run. %s",
                self._store.location,
                self._at_risk(),
            )

    def _at_risk(self) -> str:
        pages = [each.cost for each in self._waiting if each.name.endswith(".page")]
        return (
            f"{plural(len(pages), 'page')}, worth {dollars(sum(pages))}, may be billed again "
            "unless the target stores the rows."
        )
