"""The ids that a sync has read, in a table of fixed size, so that a loop of any length shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_BYTES: Final = 1 << 23
"""8 MB: six bits for each of ten million ids."""
_MASK: Final = _BYTES * 8 - 1


class SeenIds:
    """The ids of a feed, each as one bit of a table.

    An id that was added always counts as seen. A new one does, too, if it shares its bit with
    another: one in seven at ten million ids. So what counts is a row of new ids, none of which
    looks new: ten of them once in 300 million times.
    """

    def __init__(self) -> None:
        self._bits = bytearray(_BYTES)

    def add(self, ids: Iterable[str]) -> bool:
        """Add the ids of a page, and return whether all of them count as seen before."""
        bits, were_all_seen = self._bits, True
        for id_ in ids:
            index = hash(id_) & _MASK
            bit = 1 << (index & 7)
            if not bits[index >> 3] & bit:
                bits[index >> 3] |= bit
                were_all_seen = False
        return were_all_seen
