"""The rows of the dbt benchmark, and its table."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from tests.support.repository import REPOSITORY
from tests.support.warehouses import Postgres

SPEED = runpy.run_path(str(REPOSITORY / "tools/dbt_speed.py"))
TIMES = "_sdc_extracted_at timestamp, _sdc_batched_at timestamp"
COLUMNS = {
    "career_sites": "summary text",
    "companies": "summary text",
    "jobs": "summary text, company jsonb, created_at timestamp, updated_at timestamp",
    "managed_jobs": "summary text, company jsonb, created_at timestamp, updated_at timestamp",
    "expired_jobs": "reported_at timestamp",
}


@pytest.mark.exhaustive
def test_copies_are_other_jobs_of_other_companies(postgres: Postgres) -> None:
    for name, columns in COLUMNS.items():
        postgres.execute(f"CREATE TABLE {name} (id uuid PRIMARY KEY, {columns}, {TIMES})")
    for name in ("career_sites", "companies"):
        postgres.execute(
            f"INSERT INTO {name} (id) SELECT gen_random_uuid() FROM generate_series(1, 50)"
        )
    postgres.execute(
        "INSERT INTO jobs (id, company)"
        " SELECT gen_random_uuid(), jsonb_build_object('id', id) FROM career_sites"
    )
    postgres.execute(SPEED["multiply"](20))
    (counts,) = postgres.rows(
        "SELECT count(*) AS jobs, count(DISTINCT career_sites.id) AS companies"
        " FROM jobs INNER JOIN career_sites ON career_sites.id::text = jobs.company ->> 'id'"
    )
    assert counts == {"jobs": 1_000, "companies": 1_000}

    postgres.execute(SPEED["change"](7))
    (counts,) = postgres.rows("SELECT count(*) AS jobs, count(_sdc_batched_at) AS stored FROM jobs")
    assert counts["jobs"] == 1_000
    assert 0 < counts["stored"] < 50


class Fake:
    """Builds that take a second for each letter of what they select, and some more."""

    def __init__(self, more: float) -> None:
        self._more = more

    def build(self, selection: str) -> Any:
        return SPEED["Took"](len(selection) + self._more, 1 + self._more)

    def change(self, part: int) -> None:
        pass

    def settle(self, *statements: str) -> None:
        pass


def test_the_table_has_the_time_beyond_the_start_of_dbt() -> None:
    start, core = len(SPEED["NOTHING"]) + 40, len(SPEED["CORE"]) + 40
    meaning, head, _, *rows = SPEED["_lines"](Fake(40), Fake(60), rounds=2)
    assert f"{start:.1f} / 41.0" in meaning
    assert head == "| build | everything | `tag:jobo_core` |"
    assert rows == [
        f"| all tables empty | {60 - start:.1f} / 20.0 | {core + 20 - start:.1f} / 20.0 |",
        f"| nothing changed | {40 - start:.1f} / 0.0 | {core - start:.1f} / 0.0 |",
        f"| 1% of the rows changed | {40 - start:.1f} / 0.0 | {core - start:.1f} / 0.0 |",
        f"| first build | {40 - start:.1f} / 0.0 |  |",
    ]
