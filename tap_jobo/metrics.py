"""The METRIC lines that a run logs besides those of the SDK. The documentation lists them."""

from typing import Final

METRICS: Final = {
    "jobo_sync_complete": "1 if everything was read that the settings ask for, else 0.",
    "jobo_archive_complete": "1 if a new warehouse would get that from the archive, else 0.",
    "jobo_credits": "Credits billed or possibly billed. Alert if it is above what you expect.",
    "jobo_credits_unconfirmed": "How many of them are only possibly billed.",
    "jobo_credits_balance": "Credits left in the account. Alert while it still covers a week.",
    "jobo_rows_loaded": "Rows loaded from the archive.",
    "jobo_rows_skipped": "Rows without a usable id, in each run that skips them.",
    "jobo_profiles_not_found": "Profiles that Jobo didn't have.",
    "jobo_profiles_skipped": "Profiles that could not be read.",
    "record_count": "Records emitted.",
}
"""What each one counts, by its name."""
