"""The dbt package over what each loader stores."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
        build = _build(sandbox, warehouse, "build", "source freshness")
    check_spend(build)
    check_directory(build)
    check_jobs(build)


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


def check_directory(build: Build) -> None:
    """Unit tests of the package have what is made of websites, sizes, and amounts."""
    directory = build.by_id("jobo__directory")
    assert directory.keys() == build.sites.keys()
    of_site = ("name", "ats", "listing_url", "summary", "website", "linkedin_url", "crunchbase_url")
    of_profile = ("country_code", "company_size", "is_agency", "operating_status")
    for key, row in build.sites.items():
        profile = build.profiles.get(key, {})
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


def check_spend(build: Build) -> None:
    spend = build.tables[SPEND]
    assert {row["stream"] for row in spend} == {"career_sites", "jobs", "managed_jobs"}
    assert {name: sum(row[name] for row in spend) for name in build.bill} == build.bill
    assert sum(row["dollars"] for row in spend) == pytest.approx(build.bill["credits"] / 1000)


def check_jobs(build: Build) -> None:
    """Unit tests of the package have what is made of labels and pay."""
    jobs = build.by_id("jobo__open_jobs", "job_id")
    loaded = build.by_id("stg_jobo__jobs", "job_id").keys()
    assert jobs.keys() == build.jobs.keys() & loaded
    for key, opening in jobs.items():
        row = build.jobs[key]
        pay, place = row["compensation"] or {}, row["locations"][0]
        as_it_is = ("title", "employment_type", "source", "apply_url", "is_h1b_sponsor")
        expected = {
            **{name: row[name] for name in as_it_is},
            "career_site_id": row["company"]["id"],
            "company_name": row["company"]["name"],
            "stream": "managed_jobs" if key in build.managed_jobs else "jobs",
            **{name: place[name] for name in ("location", "city", "region", "country")},
            **{f"pay_{name}": pay.get(name) for name in ("min", "max", "currency", "period")},
            "locations": "; ".join(each["location"] for each in row["locations"]),
        }
        assert {name: opening[name] for name in expected} == expected
