"""The names of the archive's files. Most are formatted with the name of an archive key."""

import re
from typing import Final

TOP: Final = "v3"
OLD_TOPS: Final = ("v1", "v2")  # of development versions, which had other layouts

FILE: Final = "v3/{}/archive.json"  # what is known of a stream's archive besides its pages
MONTHS: Final = "v3/month"  # apart from the archives, so that listing it lists nothing else
MONTH: Final = "v3/month/{}.json"  # what a stream was billed, by month

LOCK: Final = "{}.lock"  # in a folder, the lock of a key
LEASE: Final = "leases/{}"  # in a bucket, the lease of a key
CLOCK: Final = "leases/clock"  # in a bucket, written only to read the bucket's clock

PAGE: Final = re.compile(
    rf"{TOP}/(?P<key>[\w-]+)/(?P<thousand>\d{{3,}})/(?P<number>(?P=thousand)\d{{3}})\.page",
    re.ASCII,
)
"""Matches the name of a page, with its `key` and its `number`."""


def page_name(key: str, number: int) -> str:
    """Return the name of a page, such as `v3/KEY/000/000042.page`."""
    return f"{TOP}/{key}/{number // 1000:03}/{number:06}.page"
