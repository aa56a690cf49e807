"""The names of the archive's files. Most are formatted with an archive key, and with numbers."""

import re
from typing import Final

TOP: Final = "v2"
KEY: Final = "v2/{}/key.json"  # what the key stands for
COMPLETED: Final = "v2/{}/completed.json"  # the last complete sync that a later run's state named
OVERWRITTEN: Final = "v2/{}/overwritten.json"  # syncs whose rows a replay may have overwritten
SYNC: Final = "v2/{}/{:06}/sync.json"  # a sync; written before its first request
PAGE: Final = "v2/{}/{:06}/{:06}.page"  # a page of it, exactly as received
QUARANTINE: Final = "v2/{}/quarantine/{}"  # a row that cannot be delivered
COUNTS: Final = "v2/spent"  # apart from the rest, so that to read the counts lists nothing else
COUNT: Final = "v2/spent/{}.json"  # what the runs of a key were billed, by month
LOCK: Final = "{}.lock"  # in a folder, the lock of a run
LEASES: Final = "leases"
LEASE: Final = "leases/{}"  # in a bucket, the lease of a run
CLOCK: Final = "leases/clock"  # in a bucket, written only to read its clock

OLD_TOP: Final = "v1"  # of development versions, which knew another layout

SYNC_ID: Final = "{}/{:06}"  # what the command calls a sync whose file cannot be read
FILE: Final = re.compile(rf"{TOP}/[\w-]+/(\d+)/(?:sync\.json|(\d+)\.page)")
"""Matches a sync by its number, or a page by that and its own."""
