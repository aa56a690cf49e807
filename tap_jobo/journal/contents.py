"""What a journal holds: the layout of its files, found by one listing.

v1/KEY/key.json              what KEY stands for
v1/KEY/completed.json        the last complete sync that the state of a later run has named
v1/KEY/000007/sync.json      a sync; written before its first request
v1/KEY/000007/000042.page    a page of it, exactly as received
v1/KEY/quarantine/DIGEST     a row that cannot be delivered
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from tap_jobo.journal.page import DamagedPageError, TornPageError, decode_header
from tap_jobo.journal.store import MissingError, StoreError
from tap_jobo.sync_id import Sync

if TYPE_CHECKING:
    from tap_jobo.journal.page import PageHeader
    from tap_jobo.journal.store import Store

TOP: Final = "v1"
_FILE: Final = re.compile(rf"{TOP}/([\w-]+)/(?:(\d+)/(?:sync\.json|(\d+)\.page)|quarantine/(\S+))")
_SYNC_MEMBERS: Final = (
    "id",
    "parent_id",
    "replaces",
    "is_full",
    "since",
    "batch_size",
    "restarts",
)

ENDED: Final = "ended"
"""The status of a sync that was ended because its pages went in circles."""
DROPPED: Final = "dropped"
"""The status of such a sync once the user has dropped it."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The content of `completed.json`.

    Attributes:
        number: Number of the sync.
        id: Its id.
        bookmark: Its start (ISO 8601 UTC).
        credits: What the last full sync and all syncs since have cost.
    """

    number: int
    id: str
    bookmark: str
    credits: int


@dataclass(slots=True)
class JournaledSync:
    """A sync in the journal.

    Attributes:
        key: Name of the journal key.
        sync: The sync, with its number, at its first page.
        run: Random id of the run that began it.
        created_at: When that was (ISO 8601 UTC).
        status: Empty, `ENDED`, or `DROPPED`.
        pages: The numbers of its pages.
    """

    key: str
    sync: Sync
    run: str
    created_at: str
    status: str = ""
    pages: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{TOP}/{self.key}/{self.sync.number:06}/sync.json"

    def page_name(self, number: int) -> str:
        """Return the name of a page's file."""
        return f"{TOP}/{self.key}/{self.sync.number:06}/{number:06}.page"

    @property
    def names(self) -> list[str]:
        """The names of all its files, in the order in which they must be removed."""
        return [*map(self.page_name, sorted(self.pages, reverse=True)), self.name]

    @property
    def content(self) -> bytes:
        """The content of its file."""
        members = asdict(self.sync)
        kept = {name: members[name] for name in _SYNC_MEMBERS}
        more = {"run": self.run, "created_at": self.created_at, "status": self.status}
        return encode({**kept, **more})


class Contents:
    """What a store holds, as it is when this is constructed.

    Args:
        store: The store.

    Raises:
        StoreError: It cannot be listed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pages: dict[tuple[str, int], set[int]] = defaultdict(set)
        self._synced: set[tuple[str, int]] = set()
        self._names = store.list(TOP)
        self.quarantined: dict[str, set[str]] = defaultdict(set)
        for name in self._names:
            if not (found := _FILE.fullmatch(name)):
                continue
            key, number, page, quarantined = found.groups()
            if quarantined:
                self.quarantined[key].add(quarantined)
            elif page:
                self._pages[key, int(number)].add(int(page))
            else:
                self._synced.add((key, int(number)))

    @property
    def keys(self) -> list[str]:
        """The names of all journal keys."""
        return sorted({name.split("/")[1] for name in self._names if name.count("/") > 1})

    def highest_number(self, key: str) -> int:
        """Return the highest number of a key's syncs, also of what is left of removed ones."""
        found = self._synced | self._pages.keys()
        return max((number for each, number in found if each == key), default=0)

    def syncs(self, key: str) -> dict[int, JournaledSync]:
        """Return the syncs of a key by their numbers, in order.

        A sync whose file is cut short and that has no page is that of a run that was killed before
        its first request; it is left out. So are pages without a sync.

        Raises:
            StoreError: A file cannot be read, or is damaged.
        """
        found = {}
        for each, number in sorted(self._synced):
            if each != key:
                continue
            pages = self._pages.get((key, number), set())
            name = f"{TOP}/{key}/{number:06}/sync.json"
            try:
                raw = json.loads(self._store.read(name))
                sync = Sync(**{part: raw[part] for part in _SYNC_MEMBERS}, number=number)
                found[number] = JournaledSync(
                    key, sync, raw["run"], raw["created_at"], raw["status"], pages
                )
            except MissingError:
                continue
            except (ValueError, TypeError, KeyError):
                if pages:
                    raise StoreError(f"{name} is damaged") from None
        return found

    def completed(self, key: str) -> Completed | None:
        """Return the content of `completed.json`, None if there is none.

        Raises:
            StoreError: It cannot be read, or is damaged.
        """
        name = f"{TOP}/{key}/completed.json"
        if name not in self._names:
            return None
        try:
            return Completed(**json.loads(self._store.read(name)))
        except (MissingError, ValueError, TypeError):
            raise StoreError(f"{name} is damaged") from None

    def last_header(self, kept: JournaledSync) -> PageHeader | None:
        """Return the header of a sync's last page that can be read, None if there is none."""
        pages = sorted(kept.pages, reverse=True)
        return next(filter(None, (self._header(kept, page) for page in pages)), None)

    def credits(self, kept: JournaledSync, first: int = 1) -> int:
        """Return what the pages of a sync from one on have cost, as far as it can be read."""
        last = self.last_header(kept)
        before = self._header(kept, first - 1) if first - 1 in kept.pages else None
        return (last.total_credits if last else 0) - (before.total_credits if before else 0)

    def _header(self, kept: JournaledSync, page: int) -> PageHeader | None:
        try:
            return decode_header(self._store.read(kept.page_name(page)))
        except (MissingError, StoreError, DamagedPageError, TornPageError):
            return None


def encode(content: dict[str, object]) -> bytes:
    """Return the content of a JSON file, for people to read too."""
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
