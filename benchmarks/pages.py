"""Pages as large as real ones, made beforehand but for the ids of rows, which never repeat."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any, Final

from jobo_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISTINCT_ROWS: Final = 3_000
_ID: Final = "00000000-0000-4000-8000-000000000000"
_SYLLABLES: Final = ("an", "con", "de", "ex", "for", "ing", "ity", "lo", "ment", "of", "per", "ter")
_WORDS: Final = 3_000
"""Different words of the texts, the first ones the most frequent: they compress like real ones."""


class Pages:
    """The pages of a feed.

    Args:
        job_bytes: About how many bytes a job has; 0 for career sites.

    Attributes:
        key: The name of the feed's list of rows.
        size: Rows per page.
        price: Credits per row.
    """

    def __init__(self, job_bytes: int) -> None:
        self.key, self.size, self.price = (
            ("jobs", 1_000, 3) if job_bytes else ("career_sites", 50, 50)
        )
        rows = [*_jobs(job_bytes)] if job_bytes else [*_career_sites()]
        self._pages = [
            self._between_ids(rows[first : first + self.size])
            for first in range(0, _DISTINCT_ROWS, self.size)
        ]

    def start_of(self, number: int, rows: int) -> bytes:
        """Return the body of a page up to the end of its list of rows."""
        between = self._pages[number % len(self._pages)]
        first = number * self.size
        parts = [between[0]]
        for offset, text in enumerate(between[1 : rows + 1]):
            parts += (b"%08x-0000-4000-8000-000000000000" % (first + offset), text)
        if rows < self.size:  # the last text ends with the start of the next row
            parts[-1] = parts[-1].rpartition(b", {")[0] + b"]"
        return b"".join(parts)

    def _between_ids(self, rows: list[dict[str, Any]]) -> list[bytes]:
        listed = json.dumps(rows, ensure_ascii=False)
        return f'{{"{self.key}": {listed}'.encode().split(_ID.encode())


def _career_sites() -> Iterator[dict[str, Any]]:
    """Yield the rows of the sandbox, with summaries of random words."""
    text = _Text()
    for row in Sandbox(size=_DISTINCT_ROWS, rows_with_updated_at=True).world.rows().values():
        yield {**row, "id": _ID, "summary": text.words(200)}


def _jobs(size: int) -> Iterator[dict[str, Any]]:
    """Yield the jobs of the sandbox, with random words that make each of them so large."""
    text = _Text()
    for row in Sandbox(jobs=_DISTINCT_ROWS).world.jobs().values():
        job = {**row, "id": _ID, "summary": text.words(200), "description": ""}
        missing = size - len(json.dumps(job, ensure_ascii=False).encode())
        yield {**job, "description": text.html(missing)}


class _Text:
    """Writes random words."""

    def __init__(self) -> None:
        self._rng = Random(_WORDS)  # noqa: S311 - not a secret
        self._words = ["".join(self._rng.choices(_SYLLABLES, k=k % 3 + 1)) for k in range(_WORDS)]
        self._weights = [1 / (rank + 3) for rank in range(_WORDS)]

    def html(self, size: int) -> str:
        """Return paragraphs."""
        paragraphs = [f'<p class="caf\u00e9">{self.words(380)}.</p>\n' for _ in range(size // 400)]
        return "".join(paragraphs)

    def words(self, size: int) -> str:
        """Return some words."""
        return " ".join(self._rng.choices(self._words, self._weights, k=size // 4 + 1))[:size]
