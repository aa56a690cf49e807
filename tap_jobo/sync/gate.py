"""The gate: stops a page whose format has changed before its first record is written.

A single bad row is skipped or rescued. If all rows are bad in the same way, the API has changed,
and continuing would discard rows that were billed, or overwrite good values with null.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import FormatError

if TYPE_CHECKING:
    from tap_jobo.records.converter import Conversion

ENOUGH: Final = 5
"""Consecutive different rows that must be bad in the same way before the gate stops a page."""


def pass_gate(conversion: Conversion, tally: str, stream: str) -> str:
    """Check a page's rows, and return the updated tally.

    Args:
        conversion: The result of converting the page's rows.
        tally: The tally before the page, so that small pages add up: which consecutive rows, also
            in earlier runs, were bad in the same way. A row that is read again, such as one
            within the lookback, counts once. Empty for none.
        stream: The feed's name, for the error.

    Raises:
        FormatError: All rows of the page are bad in the same way, and there are enough of them.
    """
    if not conversion.rows:
        return tally
    if conversion.rows not in conversion.damaged.values():
        return ""
    before = json.loads(tally) if tally else {}
    rows = _names(conversion)
    bad: dict[str, list[str]] = {}
    for field, count in conversion.damaged.items():
        if count < conversion.rows:
            continue
        bad[field] = sorted(rows.union(before.get(field, ())))
        bad_rows = max(len(bad[field]), conversion.rows)
        if bad_rows >= ENOUGH:
            problem = "a usable 'id' (a UUID)" if field == "id" else f"a usable '{field}'"
            raise FormatError(
                f"None of the last {bad_rows:,} rows of {stream} has {problem}, which the "
                "API never leaves out: its format has changed. Nothing of this page was emitted"
            )
    return json.dumps(bad) if bad else ""


def _names(conversion: Conversion) -> set[str]:
    """Return an identifier for each row of a page: its id, or a hash if it has none."""
    skipped = (json.dumps(row).encode() for row in conversion.skipped)
    return {
        *(str(record["id"]) for record in conversion.records),
        *(hashlib.sha256(row).hexdigest()[:24] for row in skipped),
    }
