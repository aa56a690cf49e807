"""The dbt package over tables that no run of the tap fills: odd, missing, and changed at random."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.project.test_dbt import MARTS, OTHERS, SPEND
from tests.support.tables import STREAMS, TIMES, World, create, upsert
from tests.support.warehouses import Bigquery, Duckdb, Postgres, Row, Snowflake, Warehouse

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


def test_an_incremental_build_is_a_full_one(postgres: Postgres, tmp_path: Path) -> None:
    """After random changes, also between the models of a build. The warehouses agree."""
    results = []
    for kind in KINDS:
        warehouse, schema = warehouse_of(kind, postgres, tmp_path)
        create(warehouse, STREAMS, schema)
        world = World(Random(1))
        for command in (MODELS, "build"):
            warehouse.execute(world.step(schema, 12))
            warehouse.dbt(command)
        for models in STAGING:
            warehouse.execute(world.step(schema, 12))
            warehouse.dbt(f"run --select {models}")
        warehouse.execute(world.step(schema, 12))
        warehouse.dbt(f"{MODELS} --exclude {' '.join(STAGING)}", "test")
        warehouse.dbt(MODELS)
        results.append(_tables(warehouse, OF_THE_CLOCK))
    incremental = _tables(postgres, {"built_at"})
    postgres.dbt(f"{MODELS} --full-refresh")
    for table, rows in _tables(postgres, {"built_at"}).items():
        assert incremental[table] == rows, table
    for table in TABLES:
        for kind, result in zip(KINDS, results, strict=True):
            assert result[table] == results[0][table], (kind, table)


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


def test_rows_that_are_stored_while_a_build_runs_wait_for_the_next(postgres: Postgres) -> None:
    create(postgres, STREAMS, "public")
    _fill(postgres, "public", STREAMS)
    build = only("stg_jobo__career_site_industries", "jobo__ats_share")
    postgres.dbt(build)
    new = at(4, **{**SITE, "id": "new"})
    postgres.dbt("run --select stg_jobo__career_sites")
    changed = at(4, **{**SITE, "industries": ["energy"]})
    postgres.execute(upsert("public", "career_sites", [changed, new]))
    postgres.dbt(f"{build} --exclude stg_jobo__career_sites")
    postgres.dbt("test --select +jobo__ats_share --indirect-selection cautious")
    assert _industries(postgres) == {("acme", "food")}
    postgres.dbt(only("stg_jobo__career_site_industries"))
    assert _industries(postgres) == {("acme", "energy"), ("new", "food")}


def _industries(warehouse: Warehouse) -> set[tuple[str, str]]:
    name = "stg_jobo__career_site_industries"
    return {(row["career_site_id"], row["industry"]) for row in warehouse.tables([name])[name]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_loader_that_only_appends_has_its_latest_rows(
    postgres: Postgres, tmp_path: Path, kind: str
) -> None:
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    build = only("stg_jobo__jobs", "stg_jobo__career_sites")
    create(warehouse, STREAMS, schema)
    warehouse.execute(f"CREATE UNIQUE INDEX versions ON {schema}.jobs (id, _sdc_batched_at)")
    _append(warehouse, schema, 2, "first")
    _append(warehouse, schema, 3, "second")
    warehouse.dbt(build)
    before = _titles(warehouse)
    assert before.keys() == {"second"}
    warehouse.dbt(build)
    assert _titles(warehouse) == before  # nothing is built again
    _append(warehouse, schema, 4, "third")
    warehouse.dbt(build)
    assert _titles(warehouse).keys() == {"third"}


def _append(warehouse: Warehouse, schema: str, day: int, title: str) -> None:
    for stream, row in (("jobs", {**JOB, "title": title}), ("career_sites", SITE)):
        deletion, _, insertion = upsert(schema, stream, [at(day, **{"id": "a", **row})]).partition(
            ";"
        )
        assert deletion.startswith("DELETE")
        warehouse.execute(insertion)


def _titles(warehouse: Warehouse) -> dict[str, str]:
    tables = warehouse.tables(["stg_jobo__jobs", "stg_jobo__career_sites"])
    assert len(tables["stg_jobo__career_sites"]) == 1
    return {row["title"]: row["built_at"] for row in tables["stg_jobo__jobs"]}


def test_a_job_counts_with_the_company_that_it_has_now(postgres: Postgres) -> None:
    names = ["jobo__open_jobs", "jobo__job_openings", "jobo__company_hiring_by_week"]
    create(postgres, STREAMS, "public")
    jobs = [at(2, id=key, **JOB) for key in ("stays", "moves", "moves twice", "closes")]
    postgres.execute(upsert("public", "jobs", jobs))
    postgres.dbt(only(*names))
    for day, company in ((4, "blue"), (6, "cold")):
        changed = {**JOB, "company": {"id": company, "name": company}}
        keys = ["moves twice"] if company == "cold" else ["moves", "moves twice"]
        rows = [at(day, **{"id": key, **changed}) for key in keys]
        postgres.execute(upsert("public", "jobs", rows))
        postgres.dbt(only(*names))
    closed = [at(7, id="closes", reported_at="2026-01-07 06:00:00")]
    postgres.execute(upsert("public", "expired_jobs", closed))
    postgres.dbt(only(*names))
    open_jobs, openings, weeks = postgres.tables(names).values()
    assert len(openings) == 4
    this_week = max(row["week"] for row in weeks)
    assert (
        {"acme": 1, "blue": 1, "cold": 1}
        == Counter(row["career_site_id"] for row in open_jobs)
        == Counter(row["career_site_id"] for row in openings if row["is_open"])
        == {row["career_site_id"]: row["open_jobs"] for row in weeks if row["week"] == this_week}
    )


def test_open_jobs_count_in_a_week_that_begins(postgres: Postgres) -> None:
    name = "jobo__company_hiring_by_week"
    create(postgres, STREAMS, "public")
    _fill(postgres, "public", STREAMS)
    postgres.dbt(only(name))
    counted = _without_time(postgres.tables([name])[name])
    postgres.execute(
        f"UPDATE analytics.{name} SET week = week - 7"
    )  # as after the last build of a week
    postgres.dbt(only(name))
    assert _without_time(postgres.tables([name])[name]) == counted


def _without_time(rows: list[Row]) -> list[Row]:
    rows = [{**row, "built_at": None} for row in rows]
    return sorted(rows, key=lambda row: (row["career_site_id"], row["week"]))


def test_a_deleted_site_does_not_count_until_it_returns(postgres: Postgres) -> None:
    build = only("jobo__ats_share_by_month", "jobo__ats_moves")
    create(postgres, STREAMS, "public")
    sites = [at(2, **{**SITE, "id": key}) for key in ("stays", "deleted")]
    postgres.execute(upsert("public", "career_sites", sites))
    postgres.dbt(build)
    postgres.execute("DELETE FROM career_sites WHERE id = 'deleted'")
    postgres.dbt(build)
    assert _this_month(postgres) == 1
    postgres.execute(upsert("public", "career_sites", sites))
    postgres.dbt(build)
    assert _this_month(postgres) == 2
    assert postgres.tables(["jobo__ats_moves"])["jobo__ats_moves"] == []


def _this_month(warehouse: Warehouse) -> int:
    (row,) = warehouse.tables(["jobo__ats_share_by_month"])["jobo__ats_share_by_month"]
    assert row["ats"] == "lever"
    return int(row["sites"])


def test_odd_values_are_read_or_null(postgres: Postgres) -> None:
    names = ["jobo__ats_moves", "jobo__directory", "stg_jobo__jobs"]
    create(postgres, STREAMS, "public")
    _fill(postgres, "public", STREAMS)
    rows: dict[str, Row] = {
        "career_sites": {**SITE, "ats": "Lever "},
        "companies": {**PROFILE, "company_size": "1,001-5,000"},
        "jobs": {"id": "odd", **JOB, "compensation": {"min": "80k", "max": "90000.5"}},
    }
    postgres.dbt(only(*names))
    for stream, row in rows.items():
        postgres.execute(upsert("public", stream, [at(4, **row)]))
    postgres.dbt(only(*names))
    tables = postgres.tables(names)
    assert tables["jobo__ats_moves"] == []
    (site,) = tables["jobo__directory"]
    assert (site["ats"], site["employees_from"]) == ("lever", 1001)
    (job,) = (row for row in tables["stg_jobo__jobs"] if row["job_id"] == "odd")
    assert (job["pay_min"], job["pay_max"]) == (None, 90000.5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_text_is_no_value(postgres: Postgres, tmp_path: Path, kind: str) -> None:
    """Nor is null in a list."""
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    create(warehouse, STREAMS, schema)
    pay = {"min": 50_000, "max": 60_000, "currency": " ", "period": "yearly"}
    place = {"location": "", "city": "", "region": None, "country": ""}
    rows: dict[str, Row] = {
        "career_sites": {**SITE, "listing_url": "", "industries": ["", "food", None, "energy"]},
        "companies": {
            **PROFILE, "technology_list": ["", None, "Kafka"],
            "tech_stack": [{"name": ""}, {"name": "A", "categories": ["", "b"]}],
            "leadership": [{"name": "", "title": "CEO"}],
        },
        "jobs": {
            "id": "odd", **JOB, "workplace_type": "", "compensation": pay,
            "locations": [place, {"location": None}, {"location": "Oslo"}, {"location": "Rome"}],
        },
    }  # fmt: skip
    for stream, row in rows.items():
        warehouse.execute(upsert(schema, stream, [at(2, **row)]))
    warehouse.dbt(MODELS)
    tables = warehouse.tables((*TABLES, "stg_jobo__companies"))
    (site,) = tables["jobo__directory"]
    assert (site["industries"], site["listing_url"]) == ("energy, food", None)
    assert {row["industry"] for row in tables["jobo__ats_share"]} == {"(all)", "energy", "food"}
    (profile,) = tables["stg_jobo__companies"]
    assert profile["technology_list"] == "Kafka"
    assert {row["technology"]: row["categories"] for row in tables["jobo__technologies"]} == {
        "kafka": None, "a": "b",
    }  # fmt: skip
    assert tables["jobo__people"] == tables["jobo__pay_by_role"] == []
    (job,) = tables["jobo__open_jobs"]
    assert job["locations"] == "Oslo; Rome"
    assert (job["pay_currency"], job["workplace_type"], job["location"]) == (None, None, None)
    assert {row["location"] for row in tables["jobo__job_locations"]} == {"Oslo", "Rome"}


def warehouse_of(kind: str, postgres: Postgres, folder: Path) -> tuple[Warehouse, str]:
    """A warehouse of a kind, and the schema of its loader's tables."""
    if kind == "duckdb":
        return Duckdb.at(folder / "jobo.duckdb", {}), "main"
    if kind == "snowflake":
        return Snowflake.at(folder, {}), "public"
    if kind == "bigquery":
        return Bigquery.at(folder, {}), "public"
    return postgres, "public"


def test_a_job_without_created_at_counts_since_it_was_read(postgres: Postgres) -> None:
    names = ["jobo__job_openings", "jobo__company_hiring_by_week"]
    create(postgres, STREAMS, "public")
    undated = {**JOB, "created_at": None}
    stored = dict.fromkeys(TIMES, "2026-11-18 07:00:00")
    postgres.execute(upsert("public", "jobs", [{"id": "undated", **undated, **stored}]))
    postgres.execute(upsert("public", "jobs", [at(2, id="dated", **JOB)]))
    postgres.dbt(only(*names))
    openings, weeks = postgres.tables(names).values()
    opened = {row["job_id"]: row["opened_at"] for row in openings}
    assert opened == {"undated": stored["_sdc_extracted_at"], "dated": JOB["created_at"]}
    assert max(row["open_jobs"] for row in weeks) == 2


def test_places_and_skills_of_a_deleted_job_leave(postgres: Postgres) -> None:
    names = ["int_jobo__job_locations", "jobo__job_locations", "jobo__job_skills"]
    create(postgres, STREAMS, "public")
    postgres.execute(upsert("public", "jobs", [at(2, id=key, **JOB) for key in ("a", "b")]))
    postgres.dbt(only(*names))
    postgres.execute("DELETE FROM jobs WHERE id = 'a'")
    postgres.dbt(only(*names))
    for rows in postgres.tables(names).values():
        assert {row["job_id"] for row in rows} == {"b"}


def test_only_ids_in_another_spelling_get_a_warning(postgres: Postgres) -> None:
    """A team can load the career sites of some countries and the jobs of others."""
    create(postgres, STREAMS, "public")
    test = "test --select ids_of_jobs_match_sites ids_of_profiles_match_sites"
    site, other, unknown = (f"0190a1b2-0000-7000-8000-00000000000{number}" for number in range(3))
    for stream, ids in {"career_sites": (site, other), "companies": (site, unknown)}.items():
        rows = [at(2, **{**SITE, "id": key}) for key in ids]
        postgres.execute(upsert("public", stream, rows))
    jobs = {key: {**JOB, "company": {"id": key}} for key in (site, unknown)}
    for key, job in jobs.items():
        postgres.execute(upsert("public", "jobs", [at(2, id=key, **job)]))
    postgres.dbt(f"{MODELS} --select staging")
    assert "PASS=3 WARN=0 ERROR=0 SKIP=0" in postgres.dbt(test).stdout
    undashed = other.replace("-", "").upper()
    job = {**JOB, "company": {"id": undashed}}
    postgres.execute(upsert("public", "jobs", [at(2, id="undashed", **job)]))
    postgres.execute(upsert("public", "companies", [at(2, id=undashed, name="Undashed")]))
    postgres.dbt(f"{MODELS} --select staging")
    assert "PASS=1 WARN=2 ERROR=0 SKIP=0" in postgres.dbt(test).stdout


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_shares_by_month_have_an_ats_with_a_long_name(
    postgres: Postgres, tmp_path: Path, kind: str
) -> None:
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    create(warehouse, ["career_sites"], schema)
    for day, ats in ((2, "lever"), (3, "ashby")):
        for key, each in (("a", ats), ("b", "oracle_recruiting_cloud")):
            row = at(day if key == "a" else 2, **{**SITE, "id": key, "ats": each})
            warehouse.execute(upsert(schema, "career_sites", [row]))
        warehouse.dbt("build --select +jobo__ats_share_by_month")
    shares = warehouse.tables(["jobo__ats_share_by_month"])["jobo__ats_share_by_month"]
    assert {(row["ats"], row["percent"]) for row in shares} == {
        ("ashby", 50), ("oracle_recruiting_cloud", 50),
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_spend_is_read_from_a_column_with_a_reserved_name(
    postgres: Postgres, tmp_path: Path, kind: str
) -> None:
    """As the loader creates it. The stand-ins refuse such a name without quotes."""
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    warehouse = replace(
        warehouse, dbt=replace(warehouse.dbt, variables={"jobo__using_billed_pages": True})
    )
    name = '"ROWS"' if kind == "snowflake" else '"rows"'
    kinds = {"id": "text", "stream": "text", name: "bigint", "credits": "bigint"}
    columns = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
    instant = "timestamp_ntz" if kind == "snowflake" else "timestamp"
    times = ", ".join(f"{time} {instant}" for time in TIMES)
    warehouse.execute(f"CREATE TABLE {schema}.billed_pages ({columns}, {times})")
    stored = "'2026-01-02 06:00:00', '2026-01-02 07:00:00'"
    warehouse.execute(
        f"INSERT INTO {schema}.billed_pages VALUES ('a', 'jobs', 1000, 3000, {stored}),"
        f" ('b', 'jobs', 1, 3, {stored})"
    )
    warehouse.dbt(f"build --select +{SPEND}")
    (day,) = warehouse.tables([SPEND])[SPEND]
    assert (day["day"], day["billed_rows"], day["credits"]) == ("2026-01-02", 1001, 3003)


def test_only_some_streams_are_loaded(tmp_path: Path) -> None:
    """Each of them later than the others."""
    warehouse = Duckdb.at(tmp_path / "jobo.duckdb", {})
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
    warehouse = Duckdb.at(tmp_path / "jobo.duckdb", {})
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


def test_each_tag_builds_alone(postgres: Postgres) -> None:
    create(postgres, STREAMS, "public")
    _fill(postgres, "public", STREAMS)
    built = set()
    for tag in ("jobo_core", "jobo_people", "jobo_market"):
        postgres.execute("DROP SCHEMA IF EXISTS analytics CASCADE")
        run = postgres.dbt(f"build --select tag:{tag}")
        assert "WARN=0 ERROR=0 SKIP=0" in run.stdout
        built |= set(re.findall(r"OK created .* analytics\.(jobo__\w+)", run.stdout))
    assert built == set(MARTS)
    postgres.dbt(MODELS, *(f"{MODELS} --select tag:{tag}" for tag in ("jobo_core", "jobo_market")))
    postgres.tables(TABLES)  # no build drops a view of another tag


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_a_part_of_the_models_builds_without_the_others(
    postgres: Postgres, tmp_path: Path, kind: str
) -> None:
    """dbt also selects tests that read others, which are missing, or older."""
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    create(warehouse, STREAMS, schema)
    _fill(warehouse, schema, STREAMS)
    parts = ("staging", "+jobo__open_jobs", "tag:jobo_people", "tag:jobo_core")
    rows: dict[str, Row] = {"career_sites": SITE, "companies": PROFILE, "jobs": JOB}
    for part in parts:
        warehouse.execute("DROP SCHEMA IF EXISTS analytics CASCADE")
        assert "WARN=0 ERROR=0 SKIP=0" in warehouse.dbt(f"build --select {part}").stdout
    warehouse.dbt(MODELS)
    for day, part in enumerate((*parts, "jobo__open_jobs"), start=4):
        for stream, row in rows.items():
            warehouse.execute(upsert(schema, stream, [at(day, **{**row, "id": f"new {day}"})]))
        assert "WARN=0 ERROR=0 SKIP=0" in warehouse.dbt(f"build --select {part}").stdout


def test_a_row_without_a_current_version_fails_a_test(tmp_path: Path) -> None:
    warehouse = Duckdb.at(tmp_path / "jobo.duckdb", {})
    create(warehouse, STREAMS, "main")
    _fill(warehouse, "main", STREAMS)
    warehouse.dbt(MODELS)
    for history in ("jobs", "career_sites"):
        warehouse.execute(f"DELETE FROM analytics.jobo__{history}_history")
    run = warehouse.dbt.attempt("test --select test_type:singular")
    for test, rows in (("job", 2), ("site", 1)):
        assert f"FAIL {rows} every_{test}_has_one_current_version" in run.stdout


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
    assert run.stdout.splitlines()[-1:] == ["listed by MainThread"], run.stdout + run.stderr


def test_a_warning_names_the_schema_that_has_the_table(postgres: Postgres) -> None:
    postgres.execute("CREATE SCHEMA melty")
    create(postgres, STREAMS, "melty")
    _fill(postgres, "melty", STREAMS)
    output = " ".join(postgres.dbt(f"{MODELS} --select staging").stdout.split())
    for stream in STREAMS:
        assert re.search(rf" {stream}\. .{{,20}}jobo_schema is public, .{{,20}} melty\. ", output)
    melty = replace(postgres.dbt, variables={"jobo_schema": "melty"})
    run = melty(f"{MODELS} --select +jobo__open_jobs")
    assert "There is no table" not in run.stdout
    assert {row["job_id"] for row in postgres.tables(["jobo__open_jobs"])["jobo__open_jobs"]} == {
        "open"
    }


def test_a_job_that_expired_and_was_deleted_before_a_build_can_return(postgres: Postgres) -> None:
    build = only("jobo__job_openings")
    create(postgres, STREAMS, "public")
    _fill(postgres, "public", ("jobs",))
    postgres.dbt(build)
    _fill(postgres, "public", ("expired_jobs",))
    postgres.execute("DELETE FROM jobs WHERE id = 'gone'")
    postgres.dbt(build)
    closed = _openings(postgres, "gone")
    postgres.execute(upsert("public", "jobs", [at(9, id="gone", **JOB)]))
    postgres.dbt(build)
    first, second = _openings(postgres, "gone")
    assert [first] == closed
    assert (first["closed_at"], first["is_open"]) == ("2026-01-03 06:00:00", False)
    assert (second["opened_at"], second["is_open"]) == ("2026-01-09 07:00:00", True)
    assert second["is_posted_again"]


def _openings(warehouse: Warehouse, job: str) -> list[Row]:
    rows = warehouse.tables(["jobo__job_openings"])["jobo__job_openings"]
    found = [{**row, "built_at": None} for row in rows if row["job_id"] == job]
    return sorted(found, key=lambda row: str(row["opened_at"]))


@pytest.mark.parametrize("kind", KINDS)
def test_json_that_is_stored_as_text_is_read(postgres: Postgres, tmp_path: Path, kind: str) -> None:
    """As text, or as JSON whose items are text, which no loader of Snowflake does."""
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    create(warehouse, ("career_sites", "jobs"), schema, json="text")
    create(warehouse, ("companies", "managed_jobs"), schema)
    rows: dict[str, Row] = {
        "career_sites": SITE,
        "companies": _as_items(PROFILE, kind),
        "jobs": {"id": "text", **JOB},
        "managed_jobs": {"id": "items", **_as_items(JOB, kind)},
    }
    for stream, row in rows.items():
        warehouse.execute(upsert(schema, stream, [at(2, **row)]))
    warehouse.dbt(MODELS)
    tables = warehouse.tables(TABLES)
    assert {row["technology"] for row in tables["jobo__technologies"]} == {"kafka", "react"}
    assert [row["name"] for row in tables["jobo__people"]] == ["Ada"]
    assert [row["skill"] for row in tables["jobo__job_skills"]] == ["baking", "baking"]
    for job in tables["jobo__open_jobs"]:
        assert (job["company_name"], job["locations"]) == ("Acme", "Rome; Oslo"), job["job_id"]
        assert job["country"] == "Italy"
    assert {job["job_id"] for job in tables["jobo__open_jobs"]} == {"text", "items"}
    assert [row["industries"] for row in tables["jobo__directory"]] == ["food"]
    broken = "{''a'': 1}"  # as Python writes it
    for table, text in (("jobs", broken), ("managed_jobs", f'"{broken}"')):
        warehouse.execute(f"UPDATE {schema}.{table} SET qualifications = '{text}'")
        run = warehouse.dbt.attempt("run --full-refresh --select stg_jobo__jobs")
        assert run.returncode == 1, run.stdout
        warehouse.execute(f"UPDATE {schema}.{table} SET qualifications = NULL")


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


def test_freshness_says_what_is_missing(postgres: Postgres) -> None:
    create(postgres, STREAMS[:4], "public")
    postgres.execute("ALTER TABLE jobs DROP COLUMN _sdc_batched_at")
    run = postgres.dbt.attempt("source freshness")
    assert run.returncode == 1
    output = " ".join(run.stdout.split())
    assert "public.jobs has no column _sdc_batched_at. Set add_record_metadata: " in output
    assert "no table public.expired_jobs. Set jobo_schema" in output
    assert "public.companies" not in output


def test_a_database_that_is_not_in_utc_fails_first(postgres: Postgres) -> None:
    create(postgres, STREAMS, "public")
    postgres.execute_alone(
        "ALTER DATABASE " + postgres.database + " SET timezone TO 'Europe/London'"
    )
    run = postgres.dbt.attempt("build")
    output = " ".join(run.stdout.split())
    assert run.returncode == 1
    assert " is Europe/London, not UTC. Nothing was built." in output
    assert "PASS=1 " in output  # the project's hook
    postgres.execute_alone("ALTER DATABASE " + postgres.database + " SET timezone TO 'UTC'")
