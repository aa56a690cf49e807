"""The check for schema drift: stops a page whose format has changed before its first record.

A single bad row is skipped or rescued. If all rows are bad in the same way, the API has changed,
and continuing would discard rows that were billed, or overwrite good values with null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_jobo.errors import FormatError

if TYPE_CHECKING:
    from tap_jobo.journal.journal import Journal
    from tap_jobo.records.converter import Conversion

MIN_BAD_ROWS: Final = 5
"""Different rows that must be bad in the same way before the check stops a sync."""


def check_for_schema_drift(
    conversion: Conversion, rows: list[bytes], journal: Journal, stream: str
) -> bool:
    """Check the rows of a page in which some are damaged.

    Small pages of bad rows go to quarantine, where they add up. A row that is read again counts
    once.

    Args:
        conversion: The result of converting the rows.
        rows: The rows as received.
        journal: Where rows are quarantined.
        stream: The stream's name, for the error.

    Returns:
        Whether all rows were quarantined, so that none must be emitted.

    Raises:
        FormatError: All rows are bad in the same way, and there are enough of them.
    """
    bad = [field for field, count in conversion.damaged.items() if count == len(rows)]
    for field in bad:
        alike = max(journal.quarantined_with(rows, field), len(rows))
        if alike >= MIN_BAD_ROWS:
            raise FormatError(
                f"None of the last {alike:,} rows of {stream} has a usable '{field}', which the "
                "API never omits: its format has changed. Nothing of this page was emitted. Rows "
                "of earlier pages are in quarantine: to look at them, run `tap-jobo-journal export "
                "--quarantined`; to start the count again, `tap-jobo-journal drop --quarantined`"
            )
    if bad and journal.is_on:
        journal.quarantine(rows, bad[0])
    return bool(bad and journal.is_on)
