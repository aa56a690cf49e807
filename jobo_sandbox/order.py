"""Keep companies sorted, so that a page starts anywhere without sorting or counting."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Literal

Order = Literal["id", "updated_asc", "updated_desc"]
# Where a company stands: when it was updated (microseconds), and its id.
Position = tuple[int, str]


class Sorted:
    """All companies, by id and by the time they were updated."""

    def __init__(self, positions: Iterable[Position]) -> None:
        self._by_time = sorted(positions)
        self._by_id = sorted((key, when) for when, key in self._by_time)

    def add(self, position: Position) -> None:
        """Sort in a company."""
        when, key = position
        insort(self._by_time, position)
        insort(self._by_id, (key, when))

    def move(self, old: Position, new: Position) -> None:
        """Put a company that was updated to its new place."""
        when, key = old
        del self._by_time[bisect_left(self._by_time, old)]
        del self._by_id[bisect_left(self._by_id, (key, when))]
        self.add(new)

    def walk(self, order: Order, after: Position | None, newer_than: int) -> Iterator[Position]:
        """Walk the companies in an order.

        Args:
            order: By id, by oldest update first, or by latest update first.
            after: Where the walk left off: the position of the last company it came to.
            newer_than: Leave out what was updated at this instant (microseconds) or before.
        """
        if order == "id":
            start = 0 if after is None else bisect_right(self._by_id, after[1], key=lambda x: x[0])
            for i in range(start, len(self._by_id)):
                key, when = self._by_id[i]
                if when > newer_than:
                    yield when, key
        elif order == "updated_asc":
            # No id is or sorts before the empty text.
            start = bisect_right(self._by_time, after or (newer_than + 1, ""))
            yield from self._slice(start, len(self._by_time), 1)
        else:
            stop = bisect_left(self._by_time, (newer_than + 1, ""))
            end = len(self._by_time) if after is None else bisect_left(self._by_time, after)
            yield from self._slice(end - 1, stop - 1, -1)

    def _slice(self, start: int, stop: int, step: int) -> Iterator[Position]:
        for i in range(start, stop, step):
            yield self._by_time[i]
