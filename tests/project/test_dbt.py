"""The dbt package over what each loader stores, built twice with changes between."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import make_profile
from jobo_sandbox.postgres import running_postgres
from tests.support.pipeline import Pipeline
from tests.support.repository import REPOSITORY
from tests.support.warehouses import Duckdb, Postgres, Row, Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

VARIABLES = {"jobo__using_companies": True, "jobo__using_jobs": True}
MARTS = (
    "jobo__directory", "jobo__ats_share", "jobo__ats_moves", "jobo__new_sites_by_week",
    "jobo__funding_rounds", "jobo__open_jobs", "jobo__hiring_by_week",
)  # fmt: skip
OTHERS = (
    "jobo__career_sites_history", "jobo__jobs_history", "jobo__first_seen",
    "stg_jobo__expired_jobs", "stg_jobo__jobs",
)  # fmt: skip
TRACKED = (
    "name", "website", "summary", "industries", "linkedin_url", "crunchbase_url", "ats",
    "listing_url",
)  # fmt: skip
AMOUNTS = {
    "$1.5B": 1_500_000_000,
    "$250K": 250_000,
    "1,200,000": 1_200_000,
    "$1,5M": None,
    "999999999B": 999_999_999_000_000_000,
    "1234.56789M": 1_234_567_890,
    "1" * 20: None,
    "9999999999B": None,
    "undisclosed": None,
    "\u20ac9M": None,
    None: None,
}
DATES = {
    "2024-02-29": "2024-02-29",
    "2025-12-31T23:59:59Z": "2025-12-31",
    "2025-02-29": None,
    "2025-04-31": None,
    "2025-13-01": None,
    "2025-01-00": None,
    "0000-01-01": None,
    "2025": None,
    None: None,
}
WEBSITES = {
    "HTTPS://WWW.Acme.example/about": "acme.example",
    "acme.example": "acme.example",
    "http://acme.example:8080": "acme.example",
    "http://localhost": None,
    "N/A": None,
    "info@acme.example": None,
}


@dataclass(frozen=True)
class Build:
    """The tables of a build, and what the sandbox had then, by id."""

    tables: Mapping[str, list[Row]]
    sites: Mapping[str, Row]
    profiles: Mapping[str, Row]
    jobs: Mapping[str, Row]

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


@dataclass(frozen=True)
class World:
    """Two builds, and the ids of what was changed between them."""

    warehouse: Warehouse
    first: Build
    second: Build
    described: str
    moved: str
    reordered: str
    read_again: str
    without_ats: str
    odd: str
    websites: tuple[str, ...]
    added: tuple[str, str]
    job_changed: str
    jobs_gone: tuple[str, ...]
    jobs_back: tuple[str, ...]
    job_added: str


@pytest.fixture(scope="module", params=["postgres", "duckdb"])
def world(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[World]:
    """The package over one warehouse, as a project in Postgres, in a user's project in DuckDB."""
    folder = open_folder / request.param
    folder.mkdir()
    if request.param == "duckdb":
        with Sandbox(size=60, seed=2, jobs=80) as sandbox:
            # Which must not change what the package's unit tests expect.
            variables = {**VARIABLES, "jobo__tracking_since": "2026-01-03"}
            yield _world(sandbox, Duckdb.at(folder / "jobo.duckdb", variables))
    else:
        with (
            Sandbox(size=300, seed=1, jobs=120) as sandbox,
            running_postgres(open_folder / "data") as port,
        ):
            yield _world(sandbox, Postgres.on(port, folder, VARIABLES))


def _world(sandbox: Sandbox, warehouse: Warehouse) -> World:
    world = sandbox.world
    pipeline = Pipeline(sandbox, warehouse.loader, warehouse.destination, warehouse.dbt.folder)
    described, moved, reordered, read_again, without_ats, odd, alone, *websites = _sites(sandbox)
    job_changed, *jobs_gone = [*world.jobs()][:3]
    jobs_back = [*world.expired_jobs()][:2]
    sandbox.company_gone(alone)
    pipeline.run()
    first = _build(sandbox, warehouse, *(["deps"] if warehouse.dbt.in_project else []), "build")

    world.touch(described, summary="Changed since.")
    world.touch(moved, ats="elsewhere", listing_url="https://elsewhere.example/jobs")
    world.touch(reordered, industries=world.row(reordered)["industries"][::-1])
    world.touch(read_again, company_size="a few", founded_year="c. 1999")
    world.touch(without_ats, ats=None)
    for key, website in zip(websites, WEBSITES, strict=True):
        world.touch(key, website=website)
    added = (world.add(ats="lever"), world.add(ats="lever"))
    world.touch_job(job_changed, title="Changed since")
    for key in jobs_gone:
        world.expire_job(key)
    for key in jobs_back:
        world.touch_job(key, title="Open again")
    pay = {"min": 98765.43, "max": 123456.78, "currency": "USD", "period": "yearly"}
    job_added = world.add_job(compensation=pay)
    pipeline.run()
    _change_tables(warehouse, odd, [jobs_gone[1], jobs_back[1]])
    also = "docs generate --static" if warehouse.dbt.in_project else "source freshness"
    second = _build(sandbox, warehouse, "build --full-refresh", also)
    return World(
        warehouse, first, second, described, moved, reordered, read_again, without_ats, odd,
        tuple(websites), added, job_changed, tuple(jobs_gone), tuple(jobs_back), job_added,
    )  # fmt: skip


def _sites(sandbox: Sandbox) -> list[str]:
    """Return ids of sites with several industries, none of them without jobs of its own."""
    rows = sandbox.world.rows().items()
    return [key for key, row in rows if len(row["industries"]) > 1][: 7 + len(WEBSITES)]


def _build(sandbox: Sandbox, warehouse: Warehouse, *commands: str) -> Build:
    run = warehouse.dbt(*commands)
    assert "WARN=0 ERROR=0 SKIP=0" in run.stdout
    sites = sandbox.world.rows()
    companies = {key: sandbox.world.company(key) for key in sites.keys() - sandbox.gone}
    profiles = {key: make_profile(sandbox.seed, each) for key, each in companies.items() if each}
    tables = warehouse.tables((*MARTS, *OTHERS))
    return Build(tables, sites, profiles, sandbox.world.jobs())


def _change_tables(warehouse: Warehouse, odd: str, undated: list[str]) -> None:
    """Change the loader's tables as a loader may while there are models over them."""
    for key in undated:  # the API may omit it
        warehouse.execute(f"UPDATE jobs SET updated_at = NULL WHERE id = '{key}'")
    warehouse.execute("ALTER TABLE career_sites ALTER COLUMN name TYPE varchar")
    warehouse.execute("ALTER TABLE companies DROP COLUMN operating_status")
    rounds: list[Row] = [{"raised_amount": amount} for amount in AMOUNTS]
    rounds += [{"investment_type": day, "announced_on": day} for day in DATES]
    rounds += [{"investment_type": "huge", "investor_count": 10**10}]
    value = f"'{json.dumps(rounds)}'"
    if isinstance(warehouse, Postgres):
        value = f"ARRAY(SELECT jsonb_array_elements({value}))"
    warehouse.execute(f"UPDATE companies SET funding_rounds = {value} WHERE id = '{odd}'")


def monday(instant: str) -> str:
    day = date.fromisoformat(instant[:10])
    return str(day - timedelta(days=day.weekday()))


def test_directory_has_every_site_and_its_profile(world: World) -> None:
    build = world.first
    directory = build.by_id("jobo__directory")
    assert directory.keys() == build.sites.keys()
    for key, row in build.sites.items():
        as_it_is = ("name", "ats", "listing_url", "summary", "website", "linkedin_url")
        profile = build.profiles.get(key, {})
        year, total = profile.get("founding_year"), profile.get("total_funding")
        size = profile.get("company_size", "").rstrip("+").split("-")[0]
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
            "technologies": ", ".join(sorted(profile.get("technology_list", []))) or None,
            "first_seen_at": None,
            "updated_at": None,
        }
        assert {name: directory[key][name] for name in expected} == expected
        assert directory[key]["read_at"]
    assert sum(not row["has_profile"] for row in directory.values()) == 1


def test_domain_is_the_bare_host_or_null(world: World) -> None:
    directory = world.second.by_id("jobo__directory")
    sites = [directory[key] for key in world.websites]
    assert {site["website"]: site["domain"] for site in sites} == WEBSITES


def test_shares_are_those_of_all_and_each_industry(world: World) -> None:
    for build in (world.first, world.second):
        pairs = [
            (industry, row["ats"] or "unknown")
            for row in build.sites.values()
            for industry in ("(all)", *row["industries"])
        ]
        totals = Counter(industry for industry, _ in pairs)
        expected = {
            (industry, ats): (
                sites,
                totals[industry],
                pytest.approx(100 * sites / totals[industry], abs=0.006),
            )
            for (industry, ats), sites in Counter(pairs).items()
        }
        rows = build.tables["jobo__ats_share"]
        assert len(rows) == len(expected)
        assert {
            (row["industry"], row["ats"]): (row["sites"], row["of_sites"], row["percent"])
            for row in rows
        } == expected


def test_history_has_exactly_the_changes(world: World) -> None:
    before = world.first.versions("jobo__career_sites_history", "career_site_id")
    assert before.keys() == world.first.sites.keys()
    assert all(len(versions) == 1 for versions in before.values())

    after = world.second.versions("jobo__career_sites_history", "career_site_id")
    assert after.keys() == {*before, *world.added}
    changed = {key: versions for key, versions in after.items() if len(versions) > 1}
    assert changed.keys() == {
        world.described, world.moved, world.without_ats, *world.websites,
    }  # fmt: skip
    for key, versions in changed.items():
        old, new = versions
        assert {name: old[name] for name in TRACKED} == {
            name: before[key][0][name] for name in TRACKED
        }
        assert old["dbt_valid_to"] == new["dbt_valid_from"]
        assert old["read_at"] < new["read_at"]
        assert new["dbt_valid_to"] is None
    fields = {
        key: {name for name in TRACKED if old[name] != new[name]}
        for key, (old, new) in changed.items()
    }
    assert fields == {
        world.described: {"summary"},
        world.moved: {"ats", "listing_url"},
        world.without_ats: {"ats"},
        **{key: {"website"} for key in world.websites},
    }


def test_move_says_from_which_to_which_ats(world: World) -> None:
    assert world.first.tables["jobo__ats_moves"] == []
    (move,) = world.second.tables["jobo__ats_moves"]
    before = world.first.sites[world.moved]
    site = world.second.by_id("jobo__directory")[world.moved]
    expected = {
        "career_site_id": world.moved,
        **{name: site[name] for name in ("name", "domain", "country_code", "company_size")},
        "from_ats": before["ats"],
        "to_ats": "elsewhere",
        "from_listing_url": before["listing_url"],
        "to_listing_url": "https://elsewhere.example/jobs",
        "moved_at": site["read_at"],
    }
    assert {name: move[name] for name in expected} == expected


def test_sites_of_the_second_build_are_new(world: World) -> None:
    assert world.first.tables["jobo__new_sites_by_week"] == []
    directory = world.second.by_id("jobo__directory")
    seen = {row["career_site_id"]: row for row in world.second.tables["jobo__first_seen"]}
    assert {key for key, row in seen.items() if row["first_seen_at"]} == set(world.added)
    weeks = Counter(monday(directory[key]["read_at"]) for key in world.added)
    assert (
        {key: seen[key]["first_seen_at"] for key in world.added}
        == {key: directory[key]["first_seen_at"] for key in world.added}
        == {key: directory[key]["read_at"] for key in world.added}
    )
    assert sorted(map(tuple, map(dict.values, world.second.tables["jobo__new_sites_by_week"]))) == [
        (week, "lever", number) for week, number in sorted(weeks.items())
    ]


def test_funding_rounds_have_amounts_in_dollars(world: World) -> None:
    build = world.first
    expected = [
        (
            key,
            each["investment_type"],
            each["announced_on"],
            int(each["raised_amount"][1:-1]) * 1_000_000,
        )
        for key, profile in build.profiles.items()
        for each in profile["funding_rounds"]
    ]
    names = ("career_site_id", "investment_type", "announced_on", "raised_usd")
    rows = [tuple(row[name] for name in names) for row in build.tables["jobo__funding_rounds"]]
    assert sorted(rows) == sorted(expected)

    odd = [
        row
        for row in world.second.tables["jobo__funding_rounds"]
        if row["career_site_id"] == world.odd
    ]
    assert {row["raised_amount"]: row["raised_usd"] for row in odd} == AMOUNTS
    dates = {row["investment_type"]: row["announced_on"] for row in odd}
    assert dates == {**DATES, "huge": None}
    assert {row["investor_count"] for row in odd} == {None}
    assert {row["ats"] for row in odd} == {build.sites[world.odd]["ats"]}


def test_odd_text_and_missing_columns_are_null(world: World) -> None:
    directory = world.second.by_id("jobo__directory")
    site = directory[world.read_again]
    assert site["company_size"] == "a few"
    assert site["employees_from"] is site["founded"] is None
    assert {row["operating_status"] for row in directory.values()} == {None}


def test_open_jobs_are_those_of_the_feed(world: World) -> None:
    for build in (world.first, world.second):
        jobs = build.by_id("jobo__open_jobs", "job_id")
        assert jobs.keys() == build.jobs.keys()
        for key, row in build.jobs.items():
            pay, place = row["compensation"] or {}, row["locations"][0]
            expected = {
                **{name: row[name] for name in ("title", "employment_type", "source", "apply_url")},
                "career_site_id": row["company"]["id"],
                "company_name": row["company"]["name"],
                **{name: place[name] for name in ("location", "city", "region", "country")},
                **{f"pay_{name}": pay.get(name) for name in ("min", "max", "currency", "period")},
            }
            assert {name: jobs[key][name] for name in expected} == expected
    loaded = world.second.by_id("stg_jobo__jobs", "job_id")
    assert loaded.keys() == {*world.second.jobs, *world.jobs_gone}


def test_jobs_have_a_version_per_change_at_jobo(world: World) -> None:
    before = world.first.by_id("stg_jobo__jobs", "job_id")
    after = world.second.versions("jobo__jobs_history", "job_id")
    assert after.keys() == before.keys() | {*world.jobs_back, world.job_added}
    titles = {
        key: [version["title"] for version in versions]
        for key, versions in after.items()
        if len(versions) > 1
    }
    changed, undated = world.job_changed, world.jobs_gone[1]  # whose version is from its reading
    assert titles == {
        changed: [before[changed]["title"], "Changed since"],
        undated: [before[undated]["title"]] * 2,
    }
    assert after[undated][1]["dbt_valid_from"] == before[undated]["read_at"]


def test_hiring_counts_what_opened_and_closed(world: World) -> None:
    for build, gone in ((world.first, ()), (world.second, world.jobs_gone)):
        jobs = build.by_id("stg_jobo__jobs", "job_id")
        reported = build.by_id("stg_jobo__expired_jobs", "job_id")
        opened = Counter((monday(job["created_at"]), job["source"]) for job in jobs.values())
        closed = Counter(
            (monday(reported[key]["reported_at"]), jobs[key]["source"]) for key in gone
        )
        assert {
            (row["week"], row["source"]): (row["opened"], row["closed"])
            for row in build.tables["jobo__hiring_by_week"]
        } == {key: (opened[key], closed[key]) for key in opened | closed}


@pytest.mark.parametrize("world", ["duckdb"], indirect=True)
def test_documentation_describes_the_columns(world: World) -> None:
    target = world.warehouse.dbt.folder / "target"
    described = json.loads((target / "manifest.json").read_text("utf-8"))["nodes"]
    built = json.loads((target / "catalog.json").read_text("utf-8"))["nodes"]
    assert {name.rsplit(".")[-1] for name in built} > {*MARTS, *OTHERS}
    for name, node in built.items():
        columns = described[name]["columns"]
        assert columns.keys() == node["columns"].keys(), name
        assert all(column["description"] for column in columns.values())
    page = (target / "static_index.html").read_text("utf-8")
    assert "Stable id of the job: upsert by it, and join expired_jobs by it." in page
    assert "When a build first saw this version." in page


@pytest.mark.parametrize("world", ["postgres"], indirect=True)
def test_charts_are_drawn_from_the_marts(world: World) -> None:
    charts = runpy.run_path(str(REPOSITORY / "tools/draw_charts.py"))["charts"](world.first.tables)
    assert charts.keys() == set((REPOSITORY / "docs/charts").glob("*.svg"))
    for path, content in charts.items():
        assert path.read_text("utf-8") == content, "run: uv run tools/draw_charts.py"
        assert content.count("(synthetic data)</text>") == 1
