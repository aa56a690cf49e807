"""What a run wrote to Postgres: the loader's tables, and the marts that dbt builds over them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

_SAMPLE_SIZE = 5
_WRITTEN_FIRST = "written DESC, 1"


@dataclass(frozen=True)
class Sample:
    """How some rows of a table are shown.

    Attributes:
        columns: The columns, with their largest widths.
        order: Which rows come first, in SQL.
    """

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
    "jobo__new_sites_by_week": Sample({"week": 10, "ats": 15, "new_sites": 9}, "week DESC, ats"),
    "jobo__directory": Sample({"name": 24, "domain": 31, "ats": 15, "read_at": 16}, "name, 1"),
}
"""The marts that may be shown. Those of changes come first, but are empty after a first run."""
_MARTS_SHOWN = 2
_MAIN = "career_sites"
"""The table that is listed first, and even if nothing was written to it."""


@dataclass(frozen=True)
class Table:
    """A table in the warehouse.

    Attributes:
        name: Its name, with the schema.
        rows: Number of rows.
        written: Number of rows inserted or updated during the run.
        sample: Some of the rows, as text by column; empty if it is not to be shown.
    """

    name: str
    rows: int
    written: int
    sample: list[dict[str, str]] = field(default_factory=list)


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
                " AND table_type = 'BASE TABLE'"
                " ORDER BY table_name <> %s, table_name LIKE '%%jobo\\_\\_%%', 1, 2",
                [_MAIN],
            ).fetchall()
            counted = [_Counted(connection, self._since, **name) for name in names]
            found = [each for each in counted if each.written or each.name == _MAIN]
            marts = sorted(
                (each.name for each in found if each.rows and each.name in _MARTS),
                key=list(_MARTS).index,
            )
            shown = {_MAIN: _SITES} | {name: _MARTS[name] for name in marts[:_MARTS_SHOWN]}
            return [each.table(shown.get(each.name)) for each in found]


class _Counted:
    """A table and its number of rows."""

    def __init__(
        self,
        connection: psycopg.Connection[dict[str, Any]],
        since: int,
        table_schema: str,
        table_name: str,
    ) -> None:
        self.name = table_name
        self._full_name = f"{table_schema}.{table_name}"
        self._connection = connection
        self._rows = sql.SQL("(SELECT *, xmin::text::bigint > {} AS written FROM {}) AS t").format(
            since, sql.Identifier(table_schema, table_name)
        )
        count = sql.SQL(
            "SELECT count(*) AS rows, count(*) FILTER (WHERE written) AS written FROM {}"
        ).format(self._rows)
        counts = connection.execute(count).fetchone() or {}
        self.rows: int = counts["rows"]
        self.written: int = counts["written"]

    def table(self, sample: Sample | None) -> Table:
        """Return what is told of it, with some rows if they are to be shown."""
        return Table(
            self._full_name, self.rows, self.written, self._sample(sample) if sample else []
        )

    def _sample(self, sample: Sample) -> list[dict[str, str]]:
        query = sql.SQL("SELECT * FROM {} ORDER BY {} LIMIT {}").format(
            self._rows,
            sql.SQL(sample.order),
            _SAMPLE_SIZE,
        )
        rows = self._connection.execute(query).fetchall()
        return [
            {name: _cell(row.get(name), width) for name, width in sample.columns.items()}
            for row in rows
        ]


def _cell(value: Any, width: int) -> str:
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%d %H:%M")
    elif isinstance(value, list):
        text = ", ".join(map(str, value))
    else:
        text = "" if value is None else str(value).removeprefix("https://")
    return text if len(text) <= width else text[: width - 3] + "..."
