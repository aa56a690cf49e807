"""The dbt package over what each loader stores."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import make_profile
from tests.support import STREAMS, tap_of
from tests.support.dbt import PACKAGE
from tests.support.pipeline import load
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


Tables = Mapping[str, list[Row]]


def by_id(rows: list[Row], key: str) -> dict[str, Row]:
    """The rows of a table by an id that must be unique."""
    found = {row[key]: row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_models_have_what_each_loader_stores(kind: str, postgres: Postgres, tmp_path: Path) -> None:
    """Also if a loader has stored each billed page twice."""
    warehouse: Warehouse = postgres if kind == "postgres" else Local.of(kind, tmp_path)
    variables = {
        "jobo__using_billed_pages": True, "jobo_billed_pages_identifier": "appended",
        "jobo__tracking_since": "2026-01-03",
    }  # fmt: skip
    warehouse = replace(warehouse, dbt=replace(warehouse.dbt, variables=variables))
    stored = "SELECT * FROM billed_pages"
    with Sandbox(size=120, seed=2, jobs=80) as sandbox:
        sandbox.company_gone(next(iter(sandbox.world.rows())))
        run = tap_of(sandbox, tmp_path, *STREAMS).succeed()
        load(run, warehouse.loader, warehouse.destination, tmp_path)
        warehouse.execute(f"CREATE TABLE appended AS {stored} UNION ALL {stored}")
        run = warehouse.dbt("build", "source freshness")
        assert "WARN=0 ERROR=0 SKIP=0" in run.stdout
        tables = warehouse.tables((*MARTS, *OTHERS, SPEND))
        check_spend(sandbox, tables[SPEND])
        check_directory(sandbox, tables)
        check_jobs(sandbox, tables)


def test_every_mart_is_public_and_has_a_primary_key() -> None:
    quickstart = yaml.safe_load((PACKAGE / ".quickstart/quickstart.yml").read_text("utf-8"))
    marts = sorted((*MARTS, SPEND))
    assert sorted(quickstart["public_models"]) == marts
    assert sorted(path.stem for path in (PACKAGE / "models/marts").glob("*.sql")) == marts
    models = yaml.safe_load((PACKAGE / "models/marts/_marts.yml").read_text("utf-8"))["models"]
    assert sorted(model["name"] for model in models) == marts
    for model in models:
        assert model["config"]["contract"] == {"enforced": True}
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


def check_directory(sandbox: Sandbox, tables: Tables) -> None:
    """Unit tests of the package have what is made of websites, sizes, and amounts."""
    directory = by_id(tables["jobo__directory"], "career_site_id")
    sites = sandbox.world.rows()
    assert directory.keys() == sites.keys()
    of_site = ("name", "ats", "listing_url", "summary", "website", "linkedin_url", "crunchbase_url")
    of_profile = ("country_code", "company_size", "is_agency", "operating_status")
    for key, row in sites.items():
        company = None if key in sandbox.gone else sandbox.world.company(key)
        profile = make_profile(sandbox.seed, company) if company else {}
        year = profile.get("founding_year")
        expected = {
            **{name: row[name] for name in of_site},
            **{name: profile.get(name) for name in of_profile},
            "industries": ", ".join(sorted(row["industries"])),
            "has_profile": bool(profile),
            "founded": year and int(year),
            "first_seen_at": None,
            "updated_at": None,
        }
        assert {name: directory[key][name] for name in expected} == expected
        assert directory[key]["read_at"]
    assert sum(not row["has_profile"] for row in directory.values()) == 1


def check_spend(sandbox: Sandbox, spend: list[Row]) -> None:
    assert {row["stream"] for row in spend} == {"career_sites", "jobs", "managed_jobs"}
    bill = {
        "credits": sandbox.credits_billed,
        "billed_rows": sandbox.rows_billed,
        "pages": sum(entry.credits > 0 for entry in sandbox.ledger),
    }
    assert {name: sum(row[name] for row in spend) for name in bill} == bill
    assert sum(row["dollars"] for row in spend) == pytest.approx(bill["credits"] / 1000)


def check_jobs(sandbox: Sandbox, tables: Tables) -> None:
    """Unit tests of the package have what is made of labels and pay."""
    jobs = by_id(tables["jobo__open_jobs"], "job_id")
    loaded = by_id(tables["stg_jobo__jobs"], "job_id")
    world_jobs, managed_jobs = sandbox.world.jobs(), sandbox.world.managed_jobs()
    assert jobs.keys() == world_jobs.keys() & loaded.keys()
    for key, opening in jobs.items():
        row = world_jobs[key]
        pay, place = row["compensation"] or {}, row["locations"][0]
        as_it_is = ("title", "employment_type", "source", "apply_url", "is_h1b_sponsor")
        expected = {
            **{name: row[name] for name in as_it_is},
            "career_site_id": row["company"]["id"],
            "company_name": row["company"]["name"],
            "stream": "managed_jobs" if key in managed_jobs else "jobs",
            **{name: place[name] for name in ("location", "city", "region", "country")},
            **{f"pay_{name}": pay.get(name) for name in ("min", "max", "currency", "period")},
            "locations": "; ".join(each["location"] for each in row["locations"]),
        }
        assert {name: opening[name] for name in expected} == expected
