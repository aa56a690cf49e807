"""Detects syncs that never end: repeated cursors, repeated pages, and endless empty pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_jobo.errors import EndlessFeedError
from tap_jobo.sync.seen_ids import SeenIds

if TYPE_CHECKING:
    from collections.abc import Collection

    from tap_jobo.api.feed import Page
    from tap_jobo.sync_id import Sync

MAX_REPEATED: Final = 10
"""Consecutive pages without any new id before a sync counts as endless."""
MAX_EMPTY: Final = 100
"""Consecutive empty pages before a sync counts as endless."""


class LoopGuard:
    """Watches the pages of one sync in one run, replayed ones included."""

    def __init__(self) -> None:
        self._used_cursors: set[int] = set()
        self._seen_ids = SeenIds()
        self._repeated = 0
        self._empty = 0

    def detect_pagination_loop(self, sync: Sync, page: Page) -> None:
        """Check that a page does not lead back to an earlier one, which would be billed forever.

        Args:
            sync: The sync, with the cursor that the page was requested with.
            page: The page.

        Raises:
            EndlessFeedError: It does.
        """
        self._used_cursors.add(hash(sync.cursor))
        if page.has_more and hash(page.next_cursor) in self._used_cursors:
            raise EndlessFeedError(
                "Jobo's response has a 'next_cursor' that was used before, so the pages would "
                "repeat in a pagination loop"
            )

    def detect_stall(self, ids: Collection[str]) -> None:
        """Check, once a page is delivered, that the sync still makes progress.

        Args:
            ids: The ids of the page's rows.

        Raises:
            EndlessFeedError: It does not.
        """
        if not ids:
            self._empty += 1
            if self._empty >= MAX_EMPTY:
                raise _endless(
                    f"{MAX_EMPTY} pages in a row are empty, and each says that more follow"
                )
            return
        self._empty = 0
        self._repeated = self._repeated + 1 if self._seen_ids.add(ids) else 0
        if self._repeated >= MAX_REPEATED:
            raise _endless(
                f"{MAX_REPEATED} pages in a row have no row that this sync did not read before"
            )


def _endless(why: str) -> EndlessFeedError:
    return EndlessFeedError(f"The feed makes no progress: {why}")
