"""The loaders that the docs name, each in its own environment, as far as they go offline."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import STREAMS, Run
from tests.support.dbt import PACKAGE
from tests.support.pipeline import load, odd_runs, tool_of
from tests.support.repository import REPOSITORY
from tests.support.warehouses import Postgres

pytestmark = pytest.mark.exhaustive

TRIED = tomllib.loads((REPOSITORY / "tools/targets.toml").read_text("utf-8"))
START = """
import sys
from importlib.metadata import distribution
scripts = distribution(sys.argv[1]).entry_points.select(group="console_scripts")
print([script.load() for script in scripts if "target" in script.name] or sys.exit("no command"))
"""
CREATE_IN_SNOWFLAKE = """
import json, sys
from contextlib import suppress
import fakesnow, snowflake.connector
with fakesnow.patch(db_path="."):
    snowflake.connector.connect(database="JOBO", schema="PUBLIC")
    from target_snowflake.target import TargetSnowflake
    TargetSnowflake.max_parallelism = 1  # or its threads still use the fake when that closes
    with suppress(Exception):  # at its first PUT, which no fake takes
        TargetSnowflake.cli(["--config", "config.json"], standalone_mode=False)
    cursor = snowflake.connector.connect(database="JOBO", schema="PUBLIC").cursor()
    cursor.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'PUBLIC'"
    )
    print(json.dumps(cursor.fetchall()))
"""
CREATE_IN_BIGQUERY = """
import json, sys
from target_bigquery.core import BigQueryTable, IngestionStrategy
for line in sys.stdin:
    schema = json.loads(line)
    place = {"name": schema["stream"], "dataset": "jobo", "project": "jobo"}
    strategy = IngestionStrategy.DENORMALIZED
    table = BigQueryTable(jsonschema=schema["schema"], ingestion_strategy=strategy, **place)
    for field in table.get_resolved_schema():
        kind = f"{field.mode} {field.field_type}".removeprefix("NULLABLE ")
        print(json.dumps([schema["stream"], field.name, kind]))
"""


def _named() -> dict[str, str]:
    """The requirements of each loader that the docs advise and that runs on a Python of today."""
    page = (REPOSITORY / "docs/run/loaders.md").read_text("utf-8")
    advised = re.sub(r"(?ms)^Not recommended: .*?\n\n", "", page)
    found = re.findall(r"`([\w-]+)` (\d+\.[\d.]+\d)(?:\s+with\s+`([^`]+)`)?", advised)
    tried = (entry["requirements"] for entry in TRIED.values())
    known = {first.partition("==")[0]: [first, *others] for first, *others in tried}
    return {
        name: " ".join(known.get(name, [f"{name}=={version}", beside]))
        for name, version, beside in found
    }


def _run(requirements: str, script: str, *arguments: str, **options: Any) -> str:
    plugin = {"pip_url": f"{requirements} duckdb" if "duckdb" in requirements else requirements}
    command = [*tool_of(plugin), "python", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, requirements + done.stderr[-2000:]
    return str(done.stdout)


def test_every_loader_that_the_docs_name_starts(tmp_path: Path) -> None:
    loaders = _named()
    with ThreadPoolExecutor(2) as pool:
        outputs = pool.map(
            lambda name: _run(loaders[name], START, name, cwd=tmp_path), sorted(loaders)
        )
        assert all(outputs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    return odd_runs(tmp_path_factory.mktemp("sync"))


def _kinds() -> dict[tuple[str, str], str]:
    """What `_sources.yml` calls the type of each column."""
    text = (PACKAGE / "models/staging/_sources.yml").read_text("utf-8")
    (source,) = yaml.safe_load(text)["sources"]
    return {
        (table["name"], column["name"]): column["data_type"]
        for table in source["tables"]
        for column in table["columns"]
    }


TYPES = {
    "uuid": ("uuid", "TEXT", "STRING"), "text": ("text", "TEXT", "STRING"),
    "date-time": ("timestamp", "TIMESTAMP_NTZ", "TIMESTAMP"),
    "boolean": ("bool", "BOOLEAN", "BOOLEAN"), "integer": ("int8", "NUMBER", "INTEGER"),
    "number": ("numeric", "FLOAT", "FLOAT"), "object": ("jsonb", "VARIANT", "RECORD"),
    "list of text": ("_text", "VARIANT", "REPEATED STRING"),
    "list of object": ("_jsonb", "VARIANT", "REPEATED RECORD"),
}  # fmt: skip
"""The types that the loaders for Postgres, Snowflake, and BigQuery create."""
POSTGRES, SNOWFLAKE, BIGQUERY = range(3)


def _check_types(created: Iterable[tuple[str, str, str]], loader: int) -> None:
    types = {(table.lower(), column.lower()): type_ for table, column, type_ in created}
    kinds = _kinds()
    if loader == BIGQUERY:  # whose sink adds them
        kinds = {place: kind for place, kind in kinds.items() if "_sdc_" not in place[1]}
    assert {place: types[place] for place in kinds} == {
        place: TYPES[kind][loader] for place, kind in kinds.items()
    }


def test_target_postgres_stores_odd_rows_in_the_columns_that_the_package_reads(
    postgres: Postgres, runs: list[Run], tmp_path: Path
) -> None:
    for run in runs:
        load(run, postgres.loader, postgres.destination, tmp_path)
    columns = postgres.rows("SELECT * FROM information_schema.columns")
    created = ((each["table_name"], each["column_name"], each["udt_name"]) for each in columns)
    _check_types(created, POSTGRES)
    kinds = _kinds()
    as_they_are = {"text", "object", "list of text", "list of object"}
    for stream in STREAMS:
        stored = {str(row["id"]): row for row in postgres.rows(f"SELECT * FROM {stream}")}
        last = {key: row for run in runs for key, row in run.of(stream).rows.items()}
        assert stored.keys() == last.keys() != set()
        for key, row in last.items():
            texts = {name for name in row if kinds[stream, name] in as_they_are}
            assert [stored[key][name] for name in texts] == [row[name] for name in texts], stream


def test_target_snowflake_creates_the_columns_that_the_package_reads(
    runs: list[Run], tmp_path: Path
) -> None:
    config = {
        "account": "fake", "user": "jobo", "password": "fake", "warehouse": "fake",
        "database": "JOBO", "default_target_schema": "PUBLIC",
        "validate_records": False, "uuid_format": "string",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    loader = _named()["meltanolabs-target-snowflake"]
    requirements = f"{loader} fakesnow==0.12.1 duckdb==2.0.1"
    output = _run(requirements, CREATE_IN_SNOWFLAKE, cwd=tmp_path, input=runs[0].stdout)
    _check_types(json.loads(output.splitlines()[-1]), SNOWFLAKE)


def test_target_bigquery_creates_the_columns_that_the_package_reads(
    runs: list[Run], tmp_path: Path
) -> None:
    schemas = [message for message in runs[0].messages if message["type"] == "SCHEMA"]
    text = "".join(f"{json.dumps(schema)}\n" for schema in schemas)
    output = _run(_named()["z3-target-bigquery"], CREATE_IN_BIGQUERY, cwd=tmp_path, input=text)
    _check_types(map(json.loads, output.splitlines()), BIGQUERY)
