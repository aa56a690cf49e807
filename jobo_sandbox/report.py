"""What a person wants to see after a run, as plain text."""

from collections.abc import Sequence
from typing import Any

from jobo_sandbox.core import Core
from jobo_sandbox.warehouse import TABLE, Arrivals

CREDITS_A_DOLLAR = 1_000
_WIDTH = 100
# Columns of the sample, and the most characters that each may take.
_COLUMNS = {"name": 24, "ats": 15, "industries": 24, "listing_url": 31}


def report(core: Core, arrivals: Arrivals | None) -> str:
    """Tell what a run brought and what it would have cost."""
    lines = ["", " Jobo sandbox ".center(_WIDTH, "-")]
    if arrivals is not None:
        rows, written = f"{arrivals.rows:,}", f"{arrivals.written:,}"
        where = f"{arrivals.schema}.{TABLE}"
        lines.append(f"Warehouse: {rows} rows in {where}, {written} written in this run")
        lines += ["", *_table(arrivals.sample), ""]
    dollars = core.credits_billed / CREDITS_A_DOLLAR
    lines.append(
        f"This run:  {len(core.ledger):,} requests, {core.rows_billed:,} rows billed, "
        f"{core.credits_billed:,} credits: ${dollars:,.2f} at Jobo, nothing here"
    )
    lines.append(f"Wallet:    {core.balance:,} credits left")
    return "\n".join([*lines, "-" * _WIDTH, ""])


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    cells = [[_cell(row.get(name), most) for name, most in _COLUMNS.items()] for row in rows]
    cells.insert(0, list(_COLUMNS))
    widths = [max(len(text) for text in column) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    padded = (map(str.ljust, line, widths) for line in cells)
    return [("  " + "  ".join(line)).rstrip() for line in padded]


def _cell(value: Any, most: int) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    text = text.removeprefix("https://")
    return text if len(text) <= most else text[: most - 3] + "..."
