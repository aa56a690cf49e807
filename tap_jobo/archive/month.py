"""What an account is billed in a month: so far, and by its end."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.files import Pending, read_pending
from tap_jobo.archive.key import ArchiveKey, key_of_name
from tap_jobo.archive.store import Store
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import EntryHeader
from tap_jobo.streams import FEEDS
from tap_jobo.wording import dollars

_WEEK: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)


def sharing_a_limit(store: Store, key: ArchiveKey) -> Iterator[tuple[str, Pending | None]]:
    """Yield the archive keys that share the limit of a month, and their files.

    These are those of one address and kind of API key. Those of the same owner without a file are
    among them, because it may have been lost.

    Raises:
        FormatError: A file can't be read.
    """
    written = {*map(layout.key_of_pending, store.list(layout.PENDING_FOLDER))}
    for name in sorted(written | {f"{key.owner}/{spec.name}" for spec in FEEDS}):
        pending = read_pending(store, name) if name in written else None
        if not pending or (pending.address, pending.api_key) == (key.address, key.api_key):
            yield name, pending


class MonthBill:
    """The bill of a month (UTC) for all streams that share its limit, by their archives alone."""

    def __init__(self, store: Store, key: ArchiveKey, now: datetime) -> None:
        """Read the bill. Raises `ArchiveError`, or `FormatError` if a count can't be read."""
        self._now = now
        self._month = f"{now:%Y-%m}"
        self._archives: list[StreamArchive] = []
        self.credits = 0  #: billed so far
        for name, pending in sharing_a_limit(store, key):
            archive = StreamArchive(store, key_of_name(name), pending.offset if pending else 0)
            self._archives.append(archive)
            self.credits += archive.spent_so_far(pending).get(self._month, 0)

    def describe(self, limit: int | None) -> Iterator[str]:
        """Yield a line on the bill so far, and one on its end if days go on like the last seven."""
        yield f"{self._month}: {dollars(self.credits)} billed so far"
        a_day = sum(_credits_a_day(archive, self._now) for archive in self._archives)
        first = datetime.fromisoformat(f"{self._month}-01T00:00Z")
        rest = (first + timedelta(days=31)).replace(day=1) - self._now
        end = f"by its end: about {dollars(self.credits + a_day * (rest / _DAY))}"
        rate = f"{dollars(a_day)} a day for changes in the last seven days"
        reached = ""
        left = None if limit is None else max(0, limit - self.credits)
        if left is not None and left <= a_day * (rest / _DAY):
            day = self._now + timedelta(days=left / a_day if left else 0)
            reached = f". max_credits_per_month is reached on {day:%Y-%m-%d}"
        yield f"{end}, at {rate}{reached}"


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
