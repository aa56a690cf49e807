"""The tap as a program that waits a fraction of the time for object storage and for leases."""

from __future__ import annotations

from unittest.mock import patch

from tap_jobo.cli import run
from tap_jobo.journal import bucket, lease

if __name__ == "__main__":
    with (
        patch.dict(bucket._WAITS, timeout="1s", connect_timeout="1s"),
        patch.multiple(lease, DURATION=12.0, SAFETY_MARGIN=6.0, _RENEW_EVERY=0.1, _RETRY_EVERY=0.1),
        patch.object(lease, "_LOOK_EVERY", 0.1),
    ):
        run()
