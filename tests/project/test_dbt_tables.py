"""The dbt package over tables that no run of the tap fills: odd, missing, and changed at random."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.project.test_dbt import MARTS, OTHERS, SPEND
from tests.support.process import Run
from tests.support.tables import STREAMS, TIMES, World, create, upsert
from tests.support.warehouses import Local, Postgres, Row, Warehouse

pytestmark = pytest.mark.exhaustive

KINDS = ("postgres", "duckdb", "snowflake", "bigquery")
MODELS = "build --exclude-resource-type test"
"""Without the tests of what was built."""


def only(*models: str) -> str:
    """Build these models and what they read, without tests."""
    return f"{MODELS} --select {' '.join(f'+{model}' for model in models)}"


STAGING = (
    "stg_jobo__career_sites stg_jobo__jobs", "stg_jobo__companies stg_jobo__expired_jobs",
    "stg_jobo__career_site_industries",
)  # fmt: skip
"""Models that are built apart, while rows change in between."""
TABLES = tuple(dict.fromkeys((*MARTS, *OTHERS)))
OF_THE_CLOCK = {
    "built_at", "changed_at", "last_built_at", "dbt_valid_from", "dbt_valid_to", "dbt_updated_at",
    "dbt_scd_id", "opening_id", "month",
}  # fmt: skip
"""What differs from one warehouse to another."""


SLOW = ("snowflake", "bigquery")
"""What stands in for these takes most of a minute for what follows the second build."""
WORLDS = range(1, 1 + int(os.environ.get("JOBO_WORLDS", "0")))
"""The seeds of `just dbt-worlds`, in which they are like the others."""


@pytest.mark.parametrize(("seed", "briefly"), [(0, SLOW), *((seed, ()) for seed in WORLDS)])
def test_an_incremental_build_is_a_full_one(
    postgres: Postgres, tmp_path: Path, seed: int, briefly: tuple[str, ...]
) -> None:
    """After random changes, also between the models of a build. The warehouses agree."""
    before, after = {}, {}
    for kind in KINDS:
        warehouse, schema = warehouse_of(kind, postgres, tmp_path)
        create(warehouse, STREAMS, schema)
        world = World(Random(seed))
        for command in (MODELS, "build"):
            warehouse.execute(world.step(schema, 12))
            warehouse.dbt(command)
        before[kind] = _tables(warehouse, OF_THE_CLOCK)
        if kind not in briefly:
            _build_while_rows_change(warehouse, schema, world)
            after[kind] = _tables(warehouse, OF_THE_CLOCK)
    incremental = _tables(postgres, {"built_at"})
    postgres.dbt(f"{MODELS} --full-refresh")
    for table, rows in _tables(postgres, {"built_at"}).items():
        assert incremental[table] == rows, table
    for results in (before, after):
        for kind, tables in results.items():
            for table in TABLES:
                assert tables[table] == results["postgres"][table], (kind, table)


def _build_while_rows_change(warehouse: Warehouse, schema: str, world: World) -> None:
    for models in STAGING:
        warehouse.execute(world.step(schema, 12))
        warehouse.dbt(f"run --select {models}")
    warehouse.execute(world.step(schema, 12))
    warehouse.dbt(f"{MODELS} --exclude {' '.join(STAGING)}")
    warehouse.dbt(MODELS)


def _tables(warehouse: Warehouse, without: set[str]) -> Mapping[str, list[str]]:
    tables = warehouse.tables(TABLES)
    return {
        name: sorted(
            json.dumps({key: _plain(row[key]) for key in sorted(row.keys() - without)})
            for row in rows
        )
        for name, rows in tables.items()
    }


def _plain(value: Any) -> Any:
    """The same for both warehouses: JSON as such, and numbers as floats."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        value = json.loads(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


JOB = {
    "title": "Cook", "normalized_title": "cook", "company": {"id": "acme", "name": "Acme"},
    "locations": [{"location": "Rome", "country": "Italy"}, {"location": "Oslo"}],
    "qualifications": {"must_have": {"skills": [{"name": "Baking", "type": "hard"}]}},
    "created_at": "2026-01-01 06:00:00", "updated_at": "2026-01-01 06:00:00",
}  # fmt: skip
SITE = {"id": "acme", "name": "Acme", "industries": ["food"], "ats": "lever"}
PROFILE = {
    "id": "acme", "name": "Acme", "technology_list": ["Kafka"], "tech_stack": [{"name": "React"}],
    "leadership": [{"name": "Ada"}],
}  # fmt: skip


def at(day: int, **row: Any) -> Row:
    stored = f"2026-01-{day:02} 07:00:00"
    return {"_sdc_extracted_at": stored, "_sdc_batched_at": stored, **row}


def _fill(warehouse: Warehouse, schema: str, streams: tuple[str, ...]) -> None:
    rows = {
        "career_sites": [at(2, **SITE)],
        "companies": [at(2, **PROFILE)],
        "jobs": [at(2, id="open", **JOB), at(2, id="gone", **JOB)],
        "expired_jobs": [at(3, id="gone", reported_at="2026-01-03 06:00:00")],
    }
    for stream in streams:
        if stream in rows:
            warehouse.execute(upsert(schema, stream, rows[stream]))


def warehouse_of(kind: str, postgres: Postgres, folder: Path) -> tuple[Warehouse, str]:
    """A warehouse of a kind, and the schema of its loader's tables."""
    if kind == "postgres":
        return postgres, "public"
    return Local.of(kind, folder), "main" if kind == "duckdb" else "public"


@pytest.mark.parametrize("kind", KINDS)
def test_odd_rows_are_read_alike_in_each_warehouse(
    postgres: Postgres, tmp_path: Path, kind: str
) -> None:
    """JSON that is stored as text, empty texts, nulls in lists, and several versions of a row.

    Also a column with a reserved name, as the loader creates it: the stand-ins refuse it without
    quotes. Items that are text are JSON that no loader of Snowflake stores.
    """
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    dbt = replace(warehouse.dbt, variables={"jobo__using_billed_pages": True})
    warehouse = replace(warehouse, dbt=dbt)
    create(warehouse, ("career_sites", "jobs"), schema, json="text")
    create(warehouse, ("companies", "managed_jobs", "expired_jobs"), schema)
    _create_billed_pages(warehouse, schema, kind)
    nowhere = {"location": "", "city": "", "region": None, "country": ""}
    rows: dict[str, list[Row]] = {
        "career_sites": [
            {**SITE, "listing_url": "", "industries": ["", "food", None, "energy"]},
            {**SITE, "id": "empty"},
        ],
        "companies": [
            _as_items(PROFILE, kind),
            {
                **PROFILE, "id": "empty", "technology_list": ["", None, "Kafka"],
                "company_size": "a few", "founding_year": "c. 1999",
                "tech_stack": [{"name": ""}, {"name": "A", "categories": ["", "b"]}],
                "leadership": [{"name": "", "title": "CEO"}],
            },
        ],
        "jobs": [{"id": "text", **JOB}],
        "managed_jobs": [
            {"id": "items", **_as_items(JOB, kind)},
            {
                "id": "empty", **JOB, "workplace_type": "",
                "compensation": {"min": 50_000, "max": 60_000, "currency": " ", "period": "yearly"},
                "locations": [nowhere, {"location": None}, *JOB["locations"]],
            },
        ],
    }  # fmt: skip
    statements = [f"CREATE UNIQUE INDEX versions ON {schema}.jobs (id, _sdc_batched_at)"]
    for stream, each in rows.items():
        statements.append(upsert(schema, stream, [at(3, **row) for row in each]))
    warehouse.execute(";".join(statements))
    _append(warehouse, schema, 2, "older")
    _append(warehouse, schema, 4, "second")
    warehouse.dbt(MODELS)
    tables = warehouse.tables((*TABLES, SPEND))
    sites = {row["career_site_id"]: row for row in tables["jobo__directory"]}
    assert (sites["acme"]["industries"], sites["acme"]["listing_url"]) == ("energy, food", None)
    assert sites["empty"]["employees_from"] is sites["empty"]["founded"] is None
    assert {row["industry"] for row in tables["jobo__ats_share"]} == {"(all)", "energy", "food"}
    profiles = {row["career_site_id"]: row for row in tables["stg_jobo__companies"]}
    assert profiles["empty"]["technology_list"] == "Kafka"
    assert {
        (row["career_site_id"], row["technology"], row["categories"])
        for row in tables["jobo__technologies"]
    } == {
        ("acme", "kafka", None), ("acme", "react", None),
        ("empty", "kafka", None), ("empty", "a", "b"),
    }  # fmt: skip
    assert [row["name"] for row in tables["jobo__people"]] == ["Ada"]
    assert [row["skill"] for row in tables["jobo__job_skills"]] == ["baking"] * 3
    jobs = {row["job_id"]: row for row in tables["jobo__open_jobs"]}
    assert jobs.keys() == {"text", "items", "empty"}
    for job in jobs.values():
        assert (job["company_name"], job["career_site_id"]) == ("Acme", "acme"), job["job_id"]
    assert jobs["text"]["country"] == jobs["items"]["country"] == "Italy"
    assert {job["locations"] for job in jobs.values()} == {"Rome; Oslo"}
    odd = jobs["empty"]
    assert (odd["pay_currency"], odd["workplace_type"], odd["location"]) == (None, None, None)
    assert {row["location"] for row in tables["jobo__job_locations"]} == {"Oslo", "Rome"}
    assert tables["jobo__pay_by_role"] == []
    (day,) = tables[SPEND]
    assert (day["day"], day["billed_rows"], day["credits"]) == ("2026-01-02", 1001, 3003)

    before = _staged(warehouse)
    assert before["text"]["title"] == "second"
    _append(warehouse, schema, 5, "third")
    warehouse.dbt(only("stg_jobo__jobs"))
    after = _staged(warehouse)
    assert after.pop("text")["title"] == "third"
    assert after.items() <= before.items()  # nothing else is built again

    broken = "{''a'': 1}"  # as Python writes it
    for table, text in (("jobs", broken), ("managed_jobs", f'"{broken}"')):
        warehouse.execute(f"UPDATE {schema}.{table} SET qualifications = '{text}'")
        run = warehouse.dbt.attempt("run --full-refresh --select stg_jobo__jobs")
        assert run.returncode == 1, run.stdout
        warehouse.execute(f"UPDATE {schema}.{table} SET qualifications = NULL")


def _create_billed_pages(warehouse: Warehouse, schema: str, kind: str) -> None:
    name = '"ROWS"' if kind == "snowflake" else '"rows"'
    kinds = {"id": "text", "stream": "text", name: "bigint", "credits": "bigint"}
    columns = ", ".join(f"{column} {type_}" for column, type_ in kinds.items())
    instant = "timestamp_ntz" if kind == "snowflake" else "timestamp"
    times = ", ".join(f"{time} {instant}" for time in TIMES)
    warehouse.execute(f"CREATE TABLE {schema}.billed_pages ({columns}, {times})")
    stored = "'2026-01-02 06:00:00', '2026-01-02 07:00:00'"
    warehouse.execute(
        f"INSERT INTO {schema}.billed_pages VALUES ('a', 'jobs', 1000, 3000, {stored}),"
        f" ('b', 'jobs', 1, 3, {stored})"
    )


def _append(warehouse: Warehouse, schema: str, day: int, title: str) -> None:
    """Store another version of a job beside the others."""
    row = at(day, **{**JOB, "id": "text", "title": title})
    deletion, _, insertion = upsert(schema, "jobs", [row]).partition(";")
    assert deletion.startswith("DELETE")
    warehouse.execute(insertion)


def _staged(warehouse: Warehouse) -> dict[str, Row]:
    rows = warehouse.tables(["stg_jobo__jobs"])["stg_jobo__jobs"]
    found = {row["job_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_a_build_follows_what_a_loader_alters_and_a_job_that_returns(postgres: Postgres) -> None:
    """A loader may alter tables while there are models over them.

    Unit tests of the package have what each model makes of other changes.
    """
    create(postgres, STREAMS, "public")
    _store(postgres, 2, "jobs", *({**JOB, "id": key} for key in ("gone", "closes", "stays")))
    _store(postgres, 2, "career_sites", {**SITE, "industries": ["energy", "food"]})
    _store(postgres, 2, "companies", PROFILE)
    postgres.dbt(MODELS)

    postgres.execute(
        "ALTER TABLE career_sites ALTER COLUMN name TYPE varchar;"
        "ALTER TABLE companies DROP COLUMN founding_year;"
        "DELETE FROM jobs WHERE id = 'gone'"
    )
    expired = ({"id": key, "reported_at": "2026-01-03 06:00:00"} for key in ("gone", "closes"))
    _store(postgres, 4, "expired_jobs", *expired)
    _store(postgres, 4, "career_sites", {**SITE, "ats": "Lever ", "industries": ["food", "energy"]})
    postgres.dbt(MODELS)
    assert len(_rows(postgres, "jobo__career_sites_history")) == 1
    (closed,) = _openings(postgres, "gone")
    for opening in (closed, *_openings(postgres, "closes")):
        assert (opening["closed_at"], opening["is_open"]) == ("2026-01-03 06:00:00", False)

    postgres.execute("ALTER TABLE companies ADD COLUMN founding_year text")
    _store(postgres, 9, "jobs", {**JOB, "id": "gone"})
    postgres.dbt("build")
    first, second = _openings(postgres, "gone")
    assert first == closed
    assert (second["opened_at"], second["is_open"]) == ("2026-01-09 07:00:00", True)
    assert {row["job_id"] for row in _rows(postgres, "jobo__open_jobs")} == {"gone", "stays"}


def _store(postgres: Postgres, day: int, stream: str, *rows: Row) -> None:
    postgres.execute(upsert("public", stream, [at(day, **row) for row in rows]))


def _rows(warehouse: Warehouse, name: str) -> list[Row]:
    return warehouse.tables([name])[name]


def _openings(warehouse: Warehouse, job: str) -> list[Row]:
    rows = _rows(warehouse, "jobo__job_openings")
    found = [{**row, "built_at": None} for row in rows if row["job_id"] == job]
    return sorted(found, key=lambda row: str(row["opened_at"]))


def test_only_ids_in_another_spelling_get_a_warning(postgres: Postgres) -> None:
    """A team can load the career sites of some countries and the jobs of others."""
    create(postgres, STREAMS, "public")
    test = "test --select ids_of_jobs_match_sites ids_of_profiles_match_sites"
    site, other, unknown = (f"0190a1b2-0000-7000-8000-00000000000{number}" for number in range(3))
    undashed = other.replace("-", "").upper()
    _store(postgres, 2, "career_sites", *({**SITE, "id": key} for key in (site, other)))
    for ids, result in (((site, unknown), "PASS=3 WARN=0"), ((undashed,), "PASS=1 WARN=2")):
        _store(postgres, 2, "companies", *({"id": key, "name": "Acme"} for key in ids))
        _store(postgres, 2, "jobs", *({**JOB, "id": key, "company": {"id": key}} for key in ids))
        postgres.dbt(f"{MODELS} --select staging")
        assert f"{result} ERROR=0 SKIP=0" in postgres.dbt(test).stdout


def test_only_some_streams_are_loaded(tmp_path: Path) -> None:
    """Each of them later than the others."""
    warehouse = Local.of("duckdb", tmp_path)
    loaded: list[str] = []
    for stream, opened, command in (
        ("companies", set(), MODELS), ("jobs", {"open", "gone"}, MODELS),
        ("expired_jobs", {"open"}, "build"),
    ):  # fmt: skip
        create(warehouse, [stream], "main")
        _fill(warehouse, "main", (stream,))
        loaded.append(stream)
        output = " ".join(warehouse.dbt(command).stdout.split())
        assert "WARN=0 ERROR=0 SKIP=0" in output
        for name in STREAMS:
            missing = f"no table main.{name}, so"
            assert (missing in output) is (name not in loaded)
        tables = warehouse.tables(TABLES)
        assert tables["jobo__directory"] == []
        assert len(tables["jobo__people"]) == 1
        assert {row["job_id"] for row in tables["jobo__open_jobs"]} == opened
    on = {"jobs", "billed_pages"}
    variables = {f"jobo__using_{stream}": stream in on for stream in (*STREAMS, "billed_pages")}
    dbt = replace(warehouse.dbt, variables=variables)
    run = dbt("build --full-refresh")
    assert "WARN=0 ERROR=0 SKIP=0" in run.stdout
    assert re.findall(r"There is no table (\S+),", run.stdout) == ["main.billed_pages"]
    tables = warehouse.tables(["jobo__open_jobs", SPEND])
    assert {row["job_id"] for row in tables["jobo__open_jobs"]} == {"open", "gone"}
    assert tables[SPEND] == []
    run = dbt.attempt("source freshness --select source:jobo.jobs")
    assert "ERROR STALE freshness of jobo.jobs" in run.stdout
    run = dbt.attempt("source freshness")
    assert re.findall(r"There is no table (\S+)\.", run.stdout) == ["main.billed_pages"]


def test_personal_data_is_left_out(tmp_path: Path) -> None:
    warehouse = Local.of("duckdb", tmp_path)
    create(warehouse, ["companies"], "main")
    contact = {"email_address": "ada@acme.example", "phone_number": "1"}
    warehouse.execute(upsert("main", "companies", [at(2, **PROFILE, **contact)]))
    rescued = """ADD COLUMN _rescued_data text DEFAULT '{"leader": "Ada"}'"""
    warehouse.execute(f"ALTER TABLE companies {rescued}")
    dbt = replace(warehouse.dbt, variables={"jobo__using_personal_data": False})
    dbt(MODELS)
    tables = warehouse.tables([*TABLES, "stg_jobo__companies"])
    assert {row["kind"] for row in tables["jobo__people"]} <= {"hire"}
    assert "Ada" not in str(tables)
    assert "ada@acme.example" not in str(tables)
    warehouse.dbt(f"{MODELS} --full-refresh")
    assert "Ada" in str(warehouse.tables(["jobo__people"]))


def test_a_part_of_the_models_builds_without_the_others(postgres: Postgres) -> None:
    """dbt also selects tests that read others, which are missing, or older."""
    create(postgres, STREAMS, "public")
    _fill(postgres, "public", STREAMS)
    tags = ("tag:jobo_people", "tag:jobo_market", "tag:jobo_core")
    parts = ("staging", "+jobo__open_jobs", *tags)
    built = set()
    for part in parts:
        postgres.execute("DROP SCHEMA IF EXISTS analytics CASCADE")
        output = postgres.dbt(f"build --select {part}").stdout
        assert "WARN=0 ERROR=0 SKIP=0" in output
        if part in tags:
            built |= set(re.findall(r"OK created .* analytics\.(jobo__\w+)", output))
    assert built == set(MARTS)
    postgres.dbt(MODELS)
    rows: dict[str, Row] = {"career_sites": SITE, "companies": PROFILE, "jobs": JOB}
    for day, part in enumerate(("staging", "tag:jobo_core", "jobo__open_jobs"), start=4):
        for stream, row in rows.items():
            postgres.execute(upsert("public", stream, [at(day, **{**row, "id": f"new {day}"})]))
        assert "WARN=0 ERROR=0 SKIP=0" in postgres.dbt(f"build --select {part}").stdout
    postgres.tables(TABLES)  # no build drops a view of another part


LISTING = """
import sys, threading
from dbt.adapters.sql import SQLAdapter
from dbt.cli.main import dbtRunner
list_relations, threads = SQLAdapter.list_relations_without_caching, []
def listing(adapter, relation):
    if relation.schema == "public":
        threads.append(threading.current_thread().name)
    return list_relations(adapter, relation)
SQLAdapter.list_relations_without_caching = listing
assert dbtRunner().invoke(sys.argv[1:]).success
print("listed by", *threads)
"""


def test_the_loaders_tables_are_listed_once_before_threads_start(postgres: Postgres) -> None:
    """A thread that asks dbt for a table while another one lists them may find only some."""
    create(postgres, STREAMS, "public")
    run = postgres.dbt.execute(LISTING, "run", "--select", "staging", *postgres.dbt.options)
    assert run.stdout.splitlines()[-1] == "listed by MainThread"


def _as_items(row: Row, kind: str) -> Row:
    """With text for each object, and for each one in a list, but not on Snowflake."""
    return {
        name: value if kind == "snowflake" and isinstance(value, list) else _as_text(value)
        for name, value in row.items()
    }


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return json.dumps(value) if isinstance(value, dict) else value


def test_mistakes_get_one_clear_error(postgres: Postgres) -> None:
    create(postgres, STREAMS[:4], "public")
    postgres.execute("ALTER TABLE jobs DROP COLUMN _sdc_batched_at")
    run = postgres.dbt.attempt("source freshness")
    assert run.returncode == 1
    output = _output(run)
    assert "public.jobs has no column _sdc_batched_at. Set add_record_metadata: " in output
    assert "no table public.expired_jobs. Set jobo_schema" in output
    assert "public.companies" not in output

    postgres.execute(
        "CREATE SCHEMA broken;"
        "CREATE TABLE broken.career_sites (data jsonb, _sdc_extracted_at timestamp);"
        "CREATE TABLE broken.companies (id text);"
        "CREATE TABLE broken.jobs (id text, _sdc_extracted_at timestamp);"
        "CREATE TABLE broken.expired_jobs (id text, _sdc_extracted_at timestamp)"
    )
    broken = replace(postgres.dbt, variables={"jobo_schema": "broken"})
    run = broken.attempt(
        "build --empty --select staging", "run-operation check_warehouse --args '{type: redshift}'"
    )
    assert run.returncode == 2, run.stdout
    for message in (
        r"broken\.career_sites has no column id\. .{,30} denormalized: ",
        r"broken\.companies has no column _sdc_extracted_at\. Set add_record_metadata: true",
        r"no table broken\.managed_jobs, .{,50} managed_",
        r" not support redshift\. .{,20}Postgres, DuckDB, Snowflake, and",
    ):
        assert re.search(message, _output(run))

    postgres.execute("DROP SCHEMA broken CASCADE; CREATE SCHEMA melty")
    create(postgres, STREAMS, "melty")
    for stream in STREAMS[:4]:
        postgres.execute(f"DROP TABLE {stream}")
    output = _output(postgres.dbt(f"{MODELS} --select staging"))
    for stream in STREAMS:
        assert re.search(rf" {stream}\. .{{,20}}jobo_schema is public, .{{,20}} melty\. ", output)
    melty = replace(postgres.dbt, variables={"jobo_schema": "melty"})
    assert "There is no table" not in melty(f"{MODELS} --select +jobo__open_jobs").stdout

    postgres.execute("ALTER DATABASE jobo SET timezone TO 'Europe/London'")
    run = melty.attempt("build")
    assert run.returncode == 1
    assert " is Europe/London, not UTC. Nothing was built." in _output(run)
    assert "PASS=1 " in run.stdout  # the project's hook


def _output(run: Run) -> str:
    """The output without line breaks."""
    return " ".join(run.stdout.split())
