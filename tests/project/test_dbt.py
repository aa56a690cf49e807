"""The dbt package over what each loader stores, built again after changes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import yaml

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import make_profile
from tests.support.dbt import PACKAGE
from tests.support.pipeline import Pipeline
from tests.support.warehouses import Local, Postgres, Row, Warehouse

MARTS = (
    "jobo__directory", "jobo__ats_share", "jobo__ats_share_by_month", "jobo__ats_moves",
    "jobo__funding_rounds", "jobo__technologies", "jobo__people",
    "jobo__open_jobs", "jobo__job_openings", "jobo__company_hiring_by_week",
    "jobo__job_skills", "jobo__job_locations", "jobo__pay_by_role",
)  # fmt: skip
SPEND = "jobo__spend_by_day"
"""The mart of a stream that is off by default."""
OTHERS = (
    "jobo__career_sites_history", "jobo__jobs_history", "int_jobo__first_seen", "int_jobo__jobs",
    "int_jobo__funding_rounds", "int_jobo__job_locations",
    "stg_jobo__career_site_industries",
    "stg_jobo__career_sites", "stg_jobo__companies", "stg_jobo__expired_jobs", "stg_jobo__jobs",
)  # fmt: skip
TRACKED = (
    "name", "website", "summary", "industries", "linkedin_url", "crunchbase_url", "ats",
    "listing_url",
)  # fmt: skip


@dataclass(frozen=True)
class Build:
    """The tables of a build, and what the sandbox had then, by id."""

    tables: Mapping[str, list[Row]]
    sites: Mapping[str, Row]
    profiles: Mapping[str, Row]
    jobs: Mapping[str, Row]
    managed_jobs: frozenset[str]
    bill: Mapping[str, int]

    def by_id(self, table: str, key: str = "career_site_id") -> dict[str, Row]:
        """The rows of a table by an id that must be unique."""
        rows = {row[key]: row for row in self.tables[table]}
        assert len(rows) == len(self.tables[table])
        return rows

    def versions(self, table: str, key: str) -> dict[str, list[Row]]:
        """The versions in a history by id, the oldest first."""
        found: dict[str, list[Row]] = {}
        for row in sorted(self.tables[table], key=lambda row: str(row["dbt_valid_from"])):
            found.setdefault(row[key], []).append(row)
        return found


World = SimpleNamespace
"""Two builds, `first` and `second`, and the ids of what was changed after the first."""


def _changed_world(sandbox: Sandbox, warehouse: Warehouse) -> World:
    world, ids = sandbox.world, World()
    pipeline = Pipeline(sandbox, warehouse.loader, warehouse.destination, warehouse.dbt.folder)
    several = [key for key, row in world.rows().items() if len(row["industries"]) > 1]
    ids.described, ids.moved, reordered, ids.without_ats = several[:4]
    ids.job_deleted, *ids.jobs_gone = [*world.jobs()][:3]
    ids.jobs_back = [*world.expired_jobs()][:2]
    sandbox.company_gone(several[4])
    pipeline.run()
    ids.first = _build(sandbox, warehouse, "build")

    world.touch(ids.described, summary="Changed since.")
    world.touch(ids.moved, ats="elsewhere", listing_url="https://elsewhere.example/jobs")
    world.touch(reordered, industries=world.row(reordered)["industries"][::-1])
    world.touch(ids.without_ats, ats=None)
    ids.added = (world.add(ats="lever"), world.add(ats="lever"))
    for key in ids.jobs_gone:
        world.expire_job(key)
    for key in ids.jobs_back:
        world.touch_job(key, title="Open again")
    pay = {"min": 98765.43, "max": 123456.78, "currency": "USD", "period": "yearly"}
    ids.job_added = world.add_job(compensation=pay)
    pipeline.run()
    _change_tables(warehouse, [ids.jobs_gone[1], ids.jobs_back[1]])
    for table in ("jobs", "managed_jobs"):
        warehouse.execute(f"DELETE FROM {table} WHERE id = '{ids.job_deleted}'")
    ids.second = _build(sandbox, warehouse, "build")
    return ids


def _build(sandbox: Sandbox, warehouse: Warehouse, *commands: str) -> Build:
    run = warehouse.dbt(*commands)
    assert "WARN=0 ERROR=0 SKIP=0" in run.stdout
    sites = sandbox.world.rows()
    companies = {key: sandbox.world.company(key) for key in sites.keys() - sandbox.gone}
    profiles = {key: make_profile(sandbox.seed, each) for key, each in companies.items() if each}
    tables = warehouse.tables((*MARTS, *OTHERS, SPEND))
    managed_jobs = frozenset(sandbox.world.managed_jobs())
    bill = {
        "credits": sandbox.credits_billed,
        "billed_rows": sandbox.rows_billed,
        "pages": sum(entry.credits > 0 for entry in sandbox.ledger),
    }
    return Build(tables, sites, profiles, sandbox.world.jobs(), managed_jobs, bill)


def _change_tables(warehouse: Warehouse, undated: list[str]) -> None:
    """Change the loader's tables as a loader may while there are models over them."""
    for key in undated:  # the API may omit it
        for table in ("jobs", "managed_jobs"):
            change = "updated_at = NULL, _sdc_batched_at = now()"
            warehouse.execute(f"UPDATE {table} SET {change} WHERE id = '{key}'")
    warehouse.execute("ALTER TABLE career_sites ALTER COLUMN name TYPE varchar")
    warehouse.execute("ALTER TABLE companies DROP COLUMN operating_status")


@pytest.mark.exhaustive
def test_models_follow_the_changes(postgres: Postgres) -> None:
    dbt = replace(postgres.dbt, variables={"jobo__using_billed_pages": True})
    with Sandbox(size=300, seed=1, jobs=120) as sandbox:
        world = _changed_world(sandbox, replace(postgres, dbt=dbt))
    for build in (world.first, world.second):
        check_spend(build)
        check_jobs(build)
    check_directory(world.first)
    check_history(world)
    check_move(world)
    check_new_sites(world)
    check_openings(world)


@pytest.mark.exhaustive
def test_models_are_the_same_in_duckdb(tmp_path: Path) -> None:
    """Also if a loader has stored each billed page twice."""
    variables = {
        "jobo__using_managed_jobs": False, "jobo__tracking_since": "2026-01-03",
        "jobo__using_billed_pages": True, "jobo_billed_pages_identifier": "appended",
    }  # fmt: skip
    warehouse = Local.of("duckdb", tmp_path, variables)
    stored = "SELECT * FROM billed_pages"
    with Sandbox(size=60, seed=2, jobs=80) as sandbox:
        alone = next(iter(sandbox.world.rows()))
        sandbox.company_gone(alone)
        Pipeline(sandbox, warehouse.loader, warehouse.destination, tmp_path).run()
        warehouse.execute(f"CREATE TABLE appended AS {stored} UNION ALL {stored}")
        build = _build(sandbox, warehouse, "build", "source freshness")
    build = replace(build, managed_jobs=frozenset())
    check_spend(build)
    check_directory(build)
    check_jobs(build)


@pytest.mark.exhaustive
def test_integration_project_builds_and_runs_the_unit_tests(
    postgres: Postgres, tmp_path: Path
) -> None:
    """As tools/smoke_dbt.sh does on DuckDB."""
    package = tmp_path / "dbt"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("target", "dbt_packages"))
    dbt = replace(postgres.dbt, project=package / "integration_tests")
    run = dbt("deps", "seed", "build --exclude resource_type:seed", "run")
    assert run.stdout.count("WARN=0 ERROR=0 SKIP=0") == 3
    declared = sum(
        len(yaml.safe_load(path.read_text("utf-8")).get("unit_tests", []))
        for path in (PACKAGE / "models").rglob("_*.yml")
    )
    assert declared > 10
    assert f" {declared} unit tests" in run.stdout


def test_every_mart_is_public_and_has_a_primary_key() -> None:
    quickstart = yaml.safe_load((PACKAGE / ".quickstart/quickstart.yml").read_text("utf-8"))
    marts = sorted((*MARTS, SPEND))
    assert sorted(quickstart["public_models"]) == marts
    assert sorted(path.stem for path in (PACKAGE / "models/marts").glob("*.sql")) == marts
    models = yaml.safe_load((PACKAGE / "models/marts/_marts.yml").read_text("utf-8"))["models"]
    assert sorted(model["name"] for model in models) == marts
    for model in models:
        assert model["config"] == {"contract": {"enforced": True}}
        tests = [
            name
            for column in model["columns"]
            for test in column.get("data_tests", [])
            for name in (test if isinstance(test, dict) else [test])
        ]
        keys = [test for test in model.get("data_tests", []) if "unique_combination" in test]
        assert keys or "unique" in tests, model["name"]
        not_null = {"constraints": [{"type": "not_null"}]}.items() <= model["columns"][0].items()
        assert not_null or "not_null" in tests, model["name"]


def check_directory(build: Build) -> None:
    directory = build.by_id("jobo__directory")
    assert directory.keys() == build.sites.keys()
    for key, row in build.sites.items():
        as_it_is = ("name", "ats", "listing_url", "summary", "website", "linkedin_url")
        profile = build.profiles.get(key, {})
        year, total = profile.get("founding_year"), profile.get("total_funding")
        size = profile.get("company_size", "").rstrip("+").split("-")[0].replace(",", "")
        of_profile = ("country_code", "company_size", "is_agency", "operating_status")
        expected = {
            **{name: row[name] for name in (*as_it_is, "crunchbase_url")},
            "domain": row["website"] and urlsplit(row["website"]).hostname,
            "industries": ", ".join(sorted(row["industries"])),
            "has_profile": bool(profile),
            **{name: profile.get(name) for name in of_profile},
            "employees_from": int(size) if size else None,
            "founded": year and int(year),
            "total_funding_usd": total and int(total),
            "first_seen_at": None,
            "updated_at": None,
        }
        assert {name: directory[key][name] for name in expected} == expected
        assert directory[key]["read_at"]
    assert sum(not row["has_profile"] for row in directory.values()) == 1


def check_spend(build: Build) -> None:
    spend = build.tables[SPEND]
    assert {row["stream"] for row in spend} == {"career_sites", "jobs", "managed_jobs"}
    assert {name: sum(row[name] for row in spend) for name in build.bill} == build.bill
    assert sum(row["dollars"] for row in spend) == pytest.approx(build.bill["credits"] / 1000)


def check_history(world: World) -> None:
    before = world.first.versions("jobo__career_sites_history", "career_site_id")
    assert before.keys() == world.first.sites.keys()
    assert all(len(versions) == 1 for versions in before.values())

    after = world.second.versions("jobo__career_sites_history", "career_site_id")
    assert after.keys() == {*before, *world.added}
    changed = {}
    for key, (old, *later) in after.items():
        for new in later:
            assert {old[name] == before[key][0][name] for name in TRACKED} == {True}
            assert old["dbt_valid_to"] == new["dbt_valid_from"]
            assert old["read_at"] < new["read_at"]
            assert new["dbt_valid_to"] is None
            changed[key] = {name for name in TRACKED if old[name] != new[name]}
    assert changed == {
        world.described: {"summary"},
        world.moved: {"ats", "listing_url"},
        world.without_ats: {"ats"},
    }


def check_move(world: World) -> None:
    assert world.first.tables["jobo__ats_moves"] == []
    (move,) = world.second.tables["jobo__ats_moves"]
    before = world.first.sites[world.moved]
    site = world.second.by_id("jobo__directory")[world.moved]
    for name in ("career_site_id", "name", "domain", "country_code", "company_size"):
        assert move[name] == site[name]
    assert (move["from_ats"], move["to_ats"]) == (before["ats"], "elsewhere")
    assert (move["from_listing_url"], move["to_listing_url"]) == (
        before["listing_url"],
        "https://elsewhere.example/jobs",
    )
    assert move["moved_at"] == site["read_at"]


def check_new_sites(world: World) -> None:
    directory = world.second.by_id("jobo__directory")
    seen = {row["career_site_id"]: row for row in world.second.tables["int_jobo__first_seen"]}
    assert {key for key, row in seen.items() if row["first_seen_at"]} == set(world.added)
    assert (
        {key: seen[key]["first_seen_at"] for key in world.added}
        == {key: directory[key]["first_seen_at"] for key in world.added}
        == {key: directory[key]["read_at"] for key in world.added}
    )


def check_jobs(build: Build) -> None:
    jobs = build.by_id("jobo__open_jobs", "job_id")
    loaded = build.by_id("stg_jobo__jobs", "job_id").keys()
    assert jobs.keys() == build.jobs.keys() & loaded
    for key, opening in jobs.items():
        row = build.jobs[key]
        pay, place = row["compensation"] or {}, row["locations"][0]
        work_model = row["workplace_type"]
        yearly = 2080 if pay.get("period") == "hourly" else 1
        expected = {
            **{name: row[name] for name in ("title", "employment_type", "source", "apply_url")},
            "career_site_id": row["company"]["id"],
            "company_name": row["company"]["name"],
            "stream": "managed_jobs" if key in build.managed_jobs else "jobs",
            **{name: place[name] for name in ("location", "city", "region", "country")},
            **{f"pay_{name}": pay.get(name) for name in ("min", "max", "currency", "period")},
            "yearly_pay_max": pay.get("max") and pay["max"] * yearly,
            "locations": "; ".join(each["location"] for each in row["locations"]),
            "workplace_type": {"Onsite": "On-site"}.get(work_model, work_model),
            "ats": {"lever_co": "lever"}.get(row["source"], row["source"]),
            "is_h1b_sponsor": row["is_h1b_sponsor"],
        }
        assert {name: opening[name] for name in expected} == expected


def check_openings(world: World) -> None:
    assert all(row["is_open"] for row in world.first.tables["jobo__job_openings"])
    openings = world.second.by_id("jobo__job_openings", "job_id")
    assert openings.keys() == world.first.jobs.keys() | {*world.jobs_back, world.job_added}
    reported = world.second.by_id("stg_jobo__expired_jobs", "job_id")
    assert {key for key, row in openings.items() if not row["is_open"]} == {
        *world.jobs_gone, world.job_deleted,
    }  # fmt: skip
    for key in world.jobs_gone:
        assert openings[key]["closed_at"] == reported[key]["reported_at"]
    assert openings[world.job_deleted]["closed_at"] is None
