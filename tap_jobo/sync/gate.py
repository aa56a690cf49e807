"""The gate: a page whose format has changed goes no further, before its first record is out.

A single bad row is skipped or rescued. Where all rows are bad in the same way, the API has changed,
and carrying on would throw away what was paid for, or overwrite good values with nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import FormatError

if TYPE_CHECKING:
    from tap_jobo.records.converter import Conversion

ENOUGH: Final = 5
"""Rows in a row that are bad in the same way, until it is no accident."""


def pass_gate(conversion: Conversion, tally: str, stream: str) -> str:
    """Check a page's rows, and return the count to go on with.

    Args:
        conversion: What became of the page's rows.
        tally: The count before the page, so that small pages add up: how many rows in a row, also
            of earlier runs, were bad in the same way. Empty for none.
        stream: The feed's name, for the error.

    Raises:
        FormatError: All rows of the page are bad in one way, and they are enough.
    """
    if not conversion.rows:
        return tally
    before = json.loads(tally) if tally else {}
    counts: dict[str, int] = {}
    for field, count in conversion.damaged.items():
        if count < conversion.rows:
            continue
        counts[field] = before.get(field, 0) + count
        if counts[field] >= ENOUGH:
            problem = "a usable 'id' (a UUID)" if field == "id" else f"a usable '{field}'"
            raise FormatError(
                f"None of the last {counts[field]:,} rows of {stream} has {problem}, which the "
                "API never leaves out: its format has changed. Nothing of this page was emitted"
            )
    return json.dumps(counts) if counts else ""
