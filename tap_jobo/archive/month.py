"""What an account is billed in a month: so far, and by its end."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.files import read_pending
from tap_jobo.archive.key import ArchiveKey, key_of_name
from tap_jobo.archive.store import Store
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import EntryHeader
from tap_jobo.streams import FEEDS
from tap_jobo.wording import dollars

_WEEK: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)


class MonthBill:
    """What each stream that shares the limit of a month (UTC) was billed, by its archive alone.

    These are the archive keys of one address and kind of API key. Those of the same owner without
    a file are among them, because it may have been lost.
    """

    def __init__(self) -> None:
        self.archives: dict[str, StreamArchive] = {}  #: by the names of their keys
        self.spent: dict[str, Mapping[str, int]] = {}  #: the credits of each by month

    def read(self, store: Store, own: ArchiveKey, *, counted: str = "") -> None:
        """Read what each stream was billed until now, but for one that the caller counts.

        The pages of a stream are listed only once.

        Args:
            store: The archive store.
            own: The key of any stream of the owner.
            counted: The name of the key whose count the caller has.

        Raises:
            ArchiveError: The archive can't be read; `FormatError` if a count can't.
        """
        written = {*map(layout.key_of_pending, store.list(layout.PENDING_FOLDER))}
        for name in sorted((written | {f"{own.owner}/{spec.name}" for spec in FEEDS}) - {counted}):
            pending = read_pending(store, name) if name in written else None
            if pending and (pending.address, pending.api_key) != (own.address, own.api_key):
                continue
            if name not in self.archives:
                after = pending.offset if pending else 0
                self.archives[name] = StreamArchive(store, key_of_name(name), after)
            self.spent[name] = self.archives[name].spent_so_far(pending)

    def credits_in(self, month: str) -> int:
        """Return what all streams together were billed in a month, such as `2026-11`."""
        return sum(spent.get(month, 0) for spent in self.spent.values())

    def describe(self, now: datetime, limit: int | None) -> Iterator[str]:
        """Yield a line on the bill so far, and one on its end if days go on like the last seven."""
        month = f"{now:%Y-%m}"
        billed = self.credits_in(month)
        yield f"{month}: {dollars(billed)} billed so far"
        a_day = sum(_credits_a_day(archive, now) for archive in self.archives.values())
        first = datetime.fromisoformat(f"{month}-01T00:00Z")
        more = a_day * (((first + timedelta(days=31)).replace(day=1) - now) / _DAY)
        rate = f"{dollars(a_day)} a day for changes in the last seven days"
        reached = ""
        if limit is not None and limit <= billed + more:
            days = (limit - billed) / a_day if limit > billed else 0
            reached = f". max_credits_per_month is reached on {now + timedelta(days):%Y-%m-%d}"
        yield f"by its end: about {dollars(billed + more)}, at {rate}{reached}"


def _credits_a_day(archive: StreamArchive, now: datetime) -> float:
    """Return what a stream is billed a day for changes: in a week, or since all rows were read."""
    week_ago = format_timestamp(now - _WEEK)
    since, credits_ = week_ago, 0
    for header in archive.headers(archive.numbers[::-1]):
        if header is None:
            continue
        since = max(header.time, week_ago)
        if header.time < week_ago or not _reads_changes(header):
            break
        credits_ += header.credits
    return credits_ / max(1, (now - parse_timestamp(since)) / _DAY)


def _reads_changes(header: EntryHeader) -> bool:
    """Return whether the window of a page starts after that of a read before it."""
    sync = header.sync
    return sync is None or any(read.start < sync.since for read in header.buyer.reads)
