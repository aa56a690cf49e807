"""Detects scans that never end: repeated cursors, repeated pages, and endless empty pages."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from tap_jobo.api.page import Page
    from tap_jobo.scan import Scan

MAX_REPEATED: Final = 10
"""Consecutive pages without any new id before a scan counts as stalled."""
REMEMBERED: Final = 20
"""Pages whose ids are compared."""
MAX_EMPTY: Final = 100
"""Consecutive empty pages before a scan counts as stalled."""


class LoopGuard:
    """Watches the pages of one pass over a feed.

    Args:
        scan: The scan, as it is at the start of the run.
        memory: What the guard of an earlier run has returned, empty if there is none. Without it, a
            budget of a few pages per run would end each run before the loop shows. It counts only
            if this run resumes exactly where that one ended: pages that are replayed are no loop.
    """

    def __init__(self, scan: Scan, memory: str = "") -> None:
        self._used: set[int] = set()
        self._recent: deque[frozenset[str]] = deque(maxlen=REMEMBERED)
        known = json.loads(memory) if memory else {}
        is_next = known.get("place") == _place(scan)
        self._earlier: list[str] = known["pages"] if is_next else []
        self._repeated: int = known["repeated"] if is_next else 0
        self._empty: int = known["empty"] if is_next else 0

    def memory(self, scan: Scan) -> str:
        """Return what the guard of the next run has to know.

        Args:
            scan: The scan, as far as it got.
        """
        pages = [*self._earlier, *map(_digest, self._recent)][-REMEMBERED:]
        return json.dumps(
            {
                "place": _place(scan),
                "pages": pages,
                "repeated": self._repeated,
                "empty": self._empty,
            }
        )

    def detect_pagination_loop(self, scan: Scan, page: Page) -> None:
        """Check that a page does not lead back to an earlier one, which would be billed forever.

        Args:
            scan: The scan, with the cursor that the page was requested with.
            page: The page.

        Raises:
            ApiError: It does.
        """
        self._used.add(hash(scan.cursor))
        if page.has_more and hash(page.next_cursor) in self._used:
            raise ApiError(
                "Jobo's answer has a 'next_cursor' that was used before, so the pages would "
                "repeat in a pagination loop"
            )

    def detect_stall(self, ids: Iterable[str]) -> None:
        """Check, once a page is delivered, that the scan still makes progress.

        Args:
            ids: The ids of the page's rows.

        Raises:
            ApiError: It does not.
        """
        found = frozenset(ids)
        self._empty = 0 if found else self._empty + 1
        if self._empty >= MAX_EMPTY:
            raise _stalled(f"{MAX_EMPTY} pages in a row are empty, and each says that more follow")
        if not found:
            return
        # The first new id settles it: a set of all recent ids would take longer than parsing.
        is_repeated = all(any(id_ in page for page in self._recent) for id_ in found)
        if self._earlier and not is_repeated:
            is_repeated = _digest(found) in self._earlier
        self._repeated = self._repeated + 1 if is_repeated else 0
        self._recent.append(found)
        if self._repeated >= MAX_REPEATED:
            raise _stalled(
                f"{MAX_REPEATED} pages in a row have no row that was not in the {REMEMBERED} "
                "pages before them"
            )


def _place(scan: Scan) -> str:
    """Return a hash of the scan and of where its next page starts."""
    return hashlib.sha256(f"{scan.id} {scan.cursor}".encode()).hexdigest()[:16]


def _digest(ids: AbstractSet[str]) -> str:
    return hashlib.sha256(" ".join(sorted(ids)).encode()).hexdigest()[:16]


def _stalled(what: str) -> ApiError:
    return ApiError(
        f"The feed makes no progress: {what}. The run stops here; everything so far is delivered, "
        "and the next run resumes from its cursor. If this persists, run a full refresh or ask "
        "Jobo."
    )
