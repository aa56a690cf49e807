"""The metrics of the dbt package, as MetricFlow returns them for the integration tests' tables."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobo_sandbox.patience import patient
from tests.support.dbt import PACKAGE
from tests.support.meltano import environment
from tests.support.pipeline import plugin_of, tool_of
from tests.support.process import execute

pytestmark = pytest.mark.exhaustive

ANSWERS: dict[tuple[str, str], list[list[str]]] = {
    ("jobo_open_jobs,jobo_openings", "metric_time__month"): [["2026-01-01 00:00:00", "2", "3"]],
    ("jobo_days_open", "opening__country"): [["Italy", "2"], ["Norway", ""]],
    ("jobo_median_pay", "job__pay_currency"): [["", ""], ["EUR", "52000"]],
    ("jobo_ats_share", "ats_in_month__ats"): [
        ["ashby", "33.33"],
        ["lever", "33.33"],
        ["unknown", "33.33"],
    ],
    ("jobo_spend", "stream_on_day__stream"): [["career_sites", "2.5"], ["jobs", "0.33"]],
}
"""By metrics and what they are grouped by: the rows that follow from the seeds."""
Command = Callable[..., str]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """dbt, or MetricFlow, over a build of the integration tests on DuckDB."""
    folder = tmp_path_factory.mktemp("metrics")
    shutil.copytree(PACKAGE, folder / "package")
    variables = environment() | {
        "DBT_DUCKDB_PATH": str(folder / "jobo.duckdb"),
        "DBT_PROFILES_DIR": str(_profiles(folder)),
    }
    plugin = plugin_of("utilities", "dbt-duckdb")
    tool = tool_of(plugin | {"pip_url": f"{plugin['pip_url']} dbt-metricflow"})

    def call(*arguments: str) -> str:
        run = execute(
            [*tool, *arguments],
            variables,
            cwd=folder / "package" / "integration_tests",
            timeout=patient(300),
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    call("dbt", "--quiet", "deps")
    call("dbt", "--quiet", "seed")
    call("dbt", "--quiet", "build", "--exclude", "resource_type:seed")
    return call


def _profiles(folder: Path) -> Path:
    """The package's profiles with DuckDB as the target, which MetricFlow can't choose."""
    profiles = folder / "profiles"
    profiles.mkdir()
    text = (PACKAGE / "profiles.yml").read_text("utf-8")
    changed = text.replace("target: postgres", "target: duckdb", 1)
    assert changed != text
    (profiles / "profiles.yml").write_text(changed, "utf-8")
    return profiles


@pytest.mark.parametrize(("metrics", "by"), ANSWERS)
def test_a_metric_has_what_the_tables_say(
    command: Command, tmp_path: Path, metrics: str, by: str
) -> None:
    answer = tmp_path / "answer.csv"
    command(
        "mf", "query", "--metrics", metrics, "--group-by", by, "--quiet", "--csv", str(answer),
    )  # fmt: skip
    with answer.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [by, *metrics.split(",")]
    assert sorted([key, *map(_rounded, values)] for key, *values in rows) == ANSWERS[metrics, by]


def _rounded(value: str) -> str:
    return f"{round(float(value), 2):g}" if value else ""


def test_every_metric_has_an_answer(command: Command) -> None:
    listed = command("dbt", "--quiet", "list", "--resource-type", "metric").split()
    names = {name.rpartition(".")[2] for name in listed}
    assert names == {name for metrics, _ in ANSWERS for name in metrics.split(",")}
