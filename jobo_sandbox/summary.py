"""The box that is printed after a run: its outcome, the warehouse and the cost."""

import shlex
from collections.abc import Sequence

from jobo_sandbox.core import Core
from jobo_sandbox.warehouse import Table

CREDITS_PER_DOLLAR = 1_000
_WIDTH = 100


def outcome(command: Sequence[str], code: int) -> str:
    """Describe whether the command succeeded."""
    text = " ".join(shlex.join(command).split())
    text = text if len(text) <= _WIDTH // 2 else f"{text[: _WIDTH // 2]}..."
    if code == 0:
        return f"Succeeded: {text}"
    return f"FAILED with exit code {code}: {text}\nIts output above says why."


def summary(core: Core, result: str | None = None, tables: Sequence[Table] | None = None) -> str:
    """Render the box, with the outcome of the command and the warehouse's tables, if any."""
    lines = ["", " Jobo sandbox ".center(_WIDTH, "-")]
    if result:
        lines.append(result)
    if tables is not None:
        lines += _warehouse(tables)
    requests, rows = _count(len(core.ledger), "request"), _count(core.rows_billed, "row")
    digits = 3 if core.credits_billed % 10 else 2  # a job costs three tenths of a cent
    dollars = f"${core.credits_billed / CREDITS_PER_DOLLAR:,.{digits}f}"
    balance = f"${core.balance / CREDITS_PER_DOLLAR:,.2f} ({core.balance:,} credits)"
    cost = f"would have cost {dollars} at Jobo; the sandbox is free"
    lines.append(f"This run:  {requests}, {rows} billed: {cost}")
    lines.append(f"Balance:   {balance}")
    return "\n".join([*lines, "-" * _WIDTH, ""])


def _warehouse(tables: Sequence[Table]) -> list[str]:
    lines = [
        f"{_count(table.rows, 'row')} in {table.name}, {table.written:,} written in this run"
        for table in tables
    ] or ["no tables written"]
    lines = ["Warehouse: " + lines[0], *(" " * 11 + line for line in lines[1:])]
    several = sum(bool(table.sample) for table in tables) > 1
    for table in tables:
        if table.sample:
            lines += ["", *([f"  {table.name}:"] if several else []), *_grid(table.sample)]
    return [*lines, ""] if any(table.sample for table in tables) else lines


def _grid(rows: Sequence[dict[str, str]]) -> list[str]:
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(len(text) for text in column) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    padded = (map(str.ljust, line, widths) for line in cells)
    return [("  " + "  ".join(line)).rstrip() for line in padded]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
