"""What a run wrote to Postgres: the loader's tables, and the marts that dbt builds over them."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

_Connection = psycopg.Connection[dict[str, Any]]
_SAMPLE_SIZE = 5
_WRITTEN_FIRST = "written DESC, 1"


@dataclass(frozen=True)
class Sample:
    """How some rows of a table are shown: columns with their largest widths, and the order."""

    columns: dict[str, int]
    order: LiteralString


_SITES = Sample({"name": 24, "ats": 15, "industries": 24, "listing_url": 31}, _WRITTEN_FIRST)
_MARTS = {
    "jobo__ats_moves": Sample(
        {"name": 24, "from_ats": 15, "to_ats": 15, "moved_at": 16}, "moved_at DESC, 1"
    ),
    "jobo__ats_share": Sample(
        {"industry": 15, "ats": 15, "sites": 7, "percent": 7},
        "industry <> '(all)', sites DESC, ats",
    ),
    "jobo__directory": Sample({"name": 24, "domain": 31, "ats": 15, "read_at": 16}, "name, 1"),
}
"""The marts that may be shown. Those of changes come first, but are empty after a first run."""
_MARTS_SHOWN = 2
_MAIN = "career_sites"
"""The table that is listed first, and even if nothing was written to it."""


@dataclass(frozen=True)
class Table:
    """A table in the warehouse: its rows, how many the run wrote, and some of them as text."""

    schema: str
    table: str
    rows: int
    written: int
    sample: list[dict[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name, with the schema."""
        return f"{self.schema}.{self.table}"


class Warehouse:
    """Observes what a run writes to the Postgres with a libpq URL."""

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
                " AND table_type = 'BASE TABLE'"
                " ORDER BY table_name <> %s, table_name LIKE '%%jobo\\_\\_%%', 1, 2",
                [_MAIN],
            ).fetchall()
            counted = [_count(connection, self._since, **name) for name in names]
            found = [each for each in counted if each.written or each.table == _MAIN]
            marts = sorted(
                (each.table for each in found if each.rows and each.table in _MARTS),
                key=list(_MARTS).index,
            )
            shown = {_MAIN: _SITES} | {name: _MARTS[name] for name in marts[:_MARTS_SHOWN]}
            return [
                replace(each, sample=_sample(connection, each, self._since, shown[each.table]))
                if each.table in shown
                else each
                for each in found
            ]


def _count(connection: _Connection, since: int, table_schema: str, table_name: str) -> Table:
    query = sql.SQL(
        "SELECT count(*) AS rows, count(*) FILTER (WHERE xmin::text::bigint > {}) AS written"
        " FROM {}"
    ).format(since, sql.Identifier(table_schema, table_name))
    counts = connection.execute(query).fetchone() or {}
    return Table(table_schema, table_name, counts["rows"], counts["written"])


def _sample(
    connection: _Connection, table: Table, since: int, sample: Sample
) -> list[dict[str, str]]:
    query = sql.SQL(
        "SELECT *, xmin::text::bigint > {} AS written FROM {} ORDER BY {} LIMIT {}"
    ).format(since, sql.Identifier(table.schema, table.table), sql.SQL(sample.order), _SAMPLE_SIZE)
    return [
        {name: _cell(row.get(name), width) for name, width in sample.columns.items()}
        for row in connection.execute(query).fetchall()
    ]


def _cell(value: Any, width: int) -> str:
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%d %H:%M")
    elif isinstance(value, list):
        text = ", ".join(map(str, value))
    else:
        text = "" if value is None else str(value).removeprefix("https://")
    return text if len(text) <= width else text[: width - 3] + "..."
