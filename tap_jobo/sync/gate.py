"""The gate: a page whose format has changed goes no further, before its first record is out.

A single bad row is skipped or rescued. Where all rows are bad in the same way, the API has changed,
and carrying on would throw away what was paid for, or overwrite good values with nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import FormatError

if TYPE_CHECKING:
    from tap_jobo.records.converter import Conversion

ENOUGH: Final = 5
"""Different rows in a row that are bad in the same way, until it is no accident."""


def pass_gate(conversion: Conversion, tally: str, stream: str) -> str:
    """Check a page's rows, and return the tally to go on with.

    Args:
        conversion: What became of the page's rows.
        tally: The tally before the page, so that small pages add up: which rows in a row, also of
            earlier runs, were bad in the same way. A row that is read again, as every sync reads
            those within the lookback, counts once. Empty for none.
        stream: The feed's name, for the error.

    Raises:
        FormatError: All rows of the page are bad in one way, and they are enough.
    """
    if not conversion.rows:
        return tally
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
    """Return what tells a page's rows apart: their ids, and a hash of each row without one."""
    skipped = (json.dumps(row).encode() for row in conversion.skipped)
    return {
        *(str(record["id"]) for record in conversion.records),
        *(hashlib.sha256(row).hexdigest()[:24] for row in skipped),
    }
