"""What arrived in the warehouse: a look into Postgres before and after a run."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

TABLE = "career_sites"
_SAMPLE = 5


@dataclass(frozen=True)
class Arrivals:
    """The table `career_sites`.

    Attributes:
        schema: Where it is.
        rows: How many rows it has.
        written: How many of them were inserted or updated since the look began.
        sample: A few of its rows, those written first.
    """

    schema: str
    rows: int
    written: int
    sample: list[dict[str, Any]]


class Warehouse:
    """A look into a Postgres.

    Args:
        url: Its libpq URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
            # Every row tells the transaction that wrote it.
            self._since: int = row[0] if row else 0

    def arrivals(self) -> Arrivals | None:
        """What is in the table now; None if there is no table."""
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            found = connection.execute(
                "SELECT table_schema FROM information_schema.tables"
                " WHERE table_name = %s AND table_type = 'BASE TABLE' ORDER BY 1",
                [TABLE],
            ).fetchone()
            if found is None:
                return None
            table = sql.Identifier(found["table_schema"], TABLE)
            written = sql.SQL("xmin::text::bigint > {}").format(self._since)
            count = sql.SQL(
                "SELECT count(*) AS rows, count(*) FILTER (WHERE {}) AS written FROM {}"
            ).format(written, table)
            counts = connection.execute(count).fetchone() or {}
            rows = sql.SQL("SELECT * FROM {} ORDER BY {} DESC, 1 LIMIT {}").format(
                table, written, _SAMPLE
            )
            sample = connection.execute(rows).fetchall()
            return Arrivals(found["table_schema"], sample=sample, **counts)
