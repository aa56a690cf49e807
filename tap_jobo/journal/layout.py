"""The names of the journal's files. Most are formatted with a journal key, and with numbers."""

import re
from typing import Final

TOP: Final = "v1"
KEY: Final = "v1/{}/key.json"  # what the key stands for
COMPLETED: Final = "v1/{}/completed.json"  # the last complete sync that a later run's state named
SYNC: Final = "v1/{}/{:06}/sync.json"  # a sync; written before its first request
PAGE: Final = "v1/{}/{:06}/{:06}.page"  # a page of it, exactly as received
SPENT: Final = "v1/{}/spent.json"  # what its runs were billed, by month
QUARANTINE: Final = "v1/{}/quarantine/{}"  # a row that cannot be delivered
LOCK: Final = "{}.lock"  # in a folder, the lock of a run
LEASES: Final = "leases"
LEASE: Final = "leases/{}"  # in a bucket, the lease of a run
CLOCK: Final = "leases/clock"  # in a bucket, written only to read its clock

SYNC_ID: Final = "{}/{:06}"  # what the command calls a sync whose file cannot be read
FILE: Final = re.compile(rf"{TOP}/[\w-]+/(\d+)/(?:sync\.json|(\d+)\.page)")
"""Matches a sync by its number, or a page by that and its own."""
