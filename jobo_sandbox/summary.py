"""The box that is printed after a run: its outcome, the warehouse and the cost."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from jobo_sandbox.core import Core

CREDITS_PER_DOLLAR = 1_000
_WIDTH = 100
# The table that is always listed, with some of its rows: columns and their largest widths.
_SAMPLED = "career_sites"
_COLUMNS = {"name": 24, "ats": 15, "industries": 24, "listing_url": 31}
_SAMPLE_SIZE = 5


@dataclass(frozen=True)
class Table:
    """A table in the warehouse.

    Attributes:
        name: Its name, with the schema.
        rows: Number of rows.
        written: Number of rows inserted or updated during the run.
        sample: Some of the rows, those written first.
    """

    name: str
    rows: int
    written: int
    sample: list[dict[str, Any]] = field(default_factory=list)


class Warehouse:
    """Observes what a run writes to Postgres.

    Args:
        url: The libpq URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
            # Each row knows the transaction that wrote it.
            self._since: int = row[0] if row else 0

    def tables(self) -> list[Table]:
        """The tables written since the start, and `career_sites`, which comes first."""
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            names = connection.execute(
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
                " AND table_type = 'BASE TABLE' ORDER BY table_name <> %s, 1, 2",
                [_SAMPLED],
            ).fetchall()
            found = [self._table(connection, **name) for name in names]
        return [table for table in found if table.written or table.name.endswith(f".{_SAMPLED}")]

    def _table(
        self, connection: psycopg.Connection[dict[str, Any]], table_schema: str, table_name: str
    ) -> Table:
        table = sql.Identifier(table_schema, table_name)
        written = sql.SQL("xmin::text::bigint > {}").format(self._since)
        count = sql.SQL(
            "SELECT count(*) AS rows, count(*) FILTER (WHERE {}) AS written FROM {}"
        ).format(written, table)
        counts = connection.execute(count).fetchone() or {}
        first = sql.SQL("SELECT * FROM {} ORDER BY {} DESC, 1 LIMIT {}").format(
            table, written, _SAMPLE_SIZE
        )
        sample = connection.execute(first).fetchall() if table_name == _SAMPLED else []
        return Table(f"{table_schema}.{table_name}", sample=sample, **counts)


def outcome(command: Sequence[str], code: int) -> str:
    """Say whether the command succeeded."""
    text = shlex.join(command)
    text = text if len(text) <= _WIDTH // 2 else f"{text[: _WIDTH // 2]}..."
    if code == 0:
        return f"Succeeded: {text}"
    return f"FAILED with exit code {code}: {text} (its error message is above)"


def summary(core: Core, result: str | None = None, tables: Sequence[Table] | None = None) -> str:
    """Render the box.

    Args:
        core: The server after the run.
        result: The outcome of the command, if there was one.
        tables: The tables of the warehouse, if there was one.
    """
    lines = ["", " Jobo sandbox ".center(_WIDTH, "-")]
    if result:
        lines.append(result)
    if tables is not None:
        lines += _warehouse(tables)
    requests, rows = _count(len(core.ledger), "request"), _count(core.rows_billed, "row")
    dollars = f"${core.credits_billed / CREDITS_PER_DOLLAR:,.2f}"
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
    for table in tables:
        if table.sample:
            lines += ["", *_grid(table.sample), ""]
    return lines


def _grid(rows: Sequence[dict[str, Any]]) -> list[str]:
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


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
