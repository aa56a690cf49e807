"""Detects syncs that never end: repeated cursors, repeated pages, and endless empty pages."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import EndlessFeedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_jobo.api.page import Page
    from tap_jobo.sync_id import Sync

MAX_REPEATED: Final = 10
"""Consecutive pages without any new id before a sync counts as stalled."""
REMEMBERED: Final = 20
"""Pages whose ids are compared."""
MAX_EMPTY: Final = 100
"""Consecutive empty pages before a sync counts as stalled."""


class LoopGuard:
    """Watches the pages of one sync in one run."""

    def __init__(self) -> None:
        self._used: set[int] = set()
        self._recent: deque[frozenset[str]] = deque(maxlen=REMEMBERED)
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
        self._used.add(hash(sync.cursor))
        if page.has_more and hash(page.next_cursor) in self._used:
            raise EndlessFeedError(
                "Jobo's answer has a 'next_cursor' that was used before, so the pages would "
                "repeat in a pagination loop"
            )

    def detect_stall(self, ids: Iterable[str]) -> None:
        """Check, once a page is delivered, that the sync still makes progress.

        Args:
            ids: The ids of the page's rows.

        Raises:
            EndlessFeedError: It does not.
        """
        found = frozenset(ids)
        self._empty = 0 if found else self._empty + 1
        if self._empty >= MAX_EMPTY:
            raise _stalled(f"{MAX_EMPTY} pages in a row are empty, and each says that more follow")
        if not found:
            return
        # The first new id settles it: a set of all recent ids would take longer than parsing.
        is_repeated = all(any(id_ in page for page in self._recent) for id_ in found)
        self._repeated = self._repeated + 1 if is_repeated else 0
        self._recent.append(found)
        if self._repeated >= MAX_REPEATED:
            raise _stalled(
                f"{MAX_REPEATED} pages in a row have no row that was not in the {REMEMBERED} "
                "pages before them"
            )


def _stalled(why: str) -> EndlessFeedError:
    return EndlessFeedError(f"The feed makes no progress: {why}")
