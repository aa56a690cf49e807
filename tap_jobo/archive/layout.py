"""The names of the archive's files. Most are formatted with the name of an archive key."""

import re
from typing import Final

TOP: Final = "v4"
OLD_TOP: Final = "v3"  # of development versions, which had another layout

FILE: Final = "v4/{}/archive.json"  # what commands leave for the runs
PENDING_FOLDER: Final = (
    "v4/pending"  # apart from the archives, so that listing it lists nothing else
)
PENDING: Final = "v4/pending/{}.json"  # what a stream was billed that is in no page yet

LOCK: Final = "locks/{}.lock"  # in a folder, the lock of a key
LEASE: Final = "leases/{}"  # in a bucket, the lease of a key
CLOCK: Final = "leases/clock"  # in a bucket, written only to read the bucket's clock

_THOUSAND: Final = 1000
PAGE: Final = re.compile(
    rf"{TOP}/(?P<key>[^/]+/\w+)/(?P<thousand>\d{{6}})/(?P<number>(?P=thousand)\d{{3}})\.page",
    re.ASCII,
)
"""Matches the name of a page, with its `key` and its `number`."""


def page_name(key: str, number: int) -> str:
    """Return the name of a page, such as `v4/OWNER/STREAM/000000/000000042.page`."""
    return f"{TOP}/{key}/{number // _THOUSAND:06}/{number:09}.page"


def probe_name(key: str, number: int) -> str:
    """Return the name of a file that is written to prove that a page could be written.

    It is where the page will be, because that folder may be on another disk, or read-only.
    """
    return f"{page_name(key, number).rpartition('/')[0]}/probe"


def key_of_pending(file: str) -> str:
    """Return the name of the archive key whose `PENDING` file a name is."""
    return file.removeprefix(f"{PENDING_FOLDER}/").removesuffix(".json")
