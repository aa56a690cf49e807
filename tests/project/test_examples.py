"""The SQL of examples/ over what the tap and target-postgres made of the sandbox's companies."""

from __future__ import annotations

import os
import re
import runpy
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import make_profile
from jobo_sandbox.postgres import running_postgres
from tests.support import environment, execute, psql
from tests.support.pipeline import Pipeline
from tests.support.repository import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Row = dict[str, Any]
    Database = psycopg.Connection[Row]

EXAMPLES = REPOSITORY / "examples"
FILES = sorted(path.name for path in EXAMPLES.glob("*.sql"))


@dataclass(frozen=True)
class Warehouse:
    """The Postgres that the pipeline's first run filled, and what the sandbox had then, by id."""

    pipeline: Pipeline
    rows: Mapping[str, Row]
    profiles: Mapping[str, Row]

    def copy(self, name: str) -> str:
        """Copy the database, and return the copy's URL."""
        url = self.pipeline.url
        with psycopg.connect(url, dbname="template1", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE postgres')
        return url.removesuffix("postgres") + name


@pytest.fixture(scope="module")
def warehouse(open_folder: Path) -> Iterator[Warehouse]:
    with Sandbox(size=300, seed=1) as sandbox, running_postgres(open_folder / "data", 0) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        pipeline = Pipeline(sandbox, url, open_folder)
        pipeline.run()
        rows = sandbox.world.rows()
        companies = {key: sandbox.world.company(key) for key in rows}
        profiles = {key: make_profile(1, made) for key, made in companies.items() if made}
        yield Warehouse(pipeline, rows, profiles)


@pytest.fixture
def database(warehouse: Warehouse) -> Iterator[Database]:
    """A transaction over the first run's tables, rolled back at the end."""
    with psycopg.connect(warehouse.pipeline.url, row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


def run(database: Database, file: str) -> psycopg.Cursor[Row]:
    return database.execute((EXAMPLES / file).read_bytes())


def by_id(cursor: psycopg.Cursor[Row]) -> dict[str, Row]:
    return {str(row.pop("id")): row for row in cursor}


def domain(website: str | None) -> str | None:
    return website and str(urlsplit(website).hostname).removeprefix("www.")


def employees(size: str) -> int:
    return int(re.split(r"\D", size)[0])


def percent(count: int, whole: int) -> Decimal:
    return (Decimal(100 * count) / whole).quantize(Decimal("0.1"), ROUND_HALF_UP)


def test_current_directory_has_one_row_per_site(warehouse: Warehouse, database: Database) -> None:
    run(database, "current_directory.sql")
    directory = by_id(database.execute("SELECT * FROM current_directory"))
    stored = by_id(database.execute("SELECT id, _sdc_extracted_at FROM career_sites"))
    as_they_are = ("name", "ats", "listing_url", "summary", "website", "linkedin_url")
    assert directory == {
        key: {
            **{name: row[name] for name in (*as_they_are, "crunchbase_url")},
            "domain": domain(row["website"]),
            "first_industry": row["industries"][0],
            "industries": ", ".join(row["industries"]),
            "updated_at": None,
            "read_at": stored[key]["_sdc_extracted_at"],
        }
        for key, row in warehouse.rows.items()
    }


@pytest.mark.parametrize(
    "website", ["HTTPS://www.Acme.example/", "http://acme.example:80/a", "https://acme.example?b"]
)
def test_domain_is_the_bare_host(database: Database, website: str) -> None:
    run(database, "current_directory.sql")
    database.execute("UPDATE career_sites SET website = %s", [website])
    found = database.execute("SELECT DISTINCT domain FROM current_directory").fetchall()
    assert found == [{"domain": "acme.example"}]


def test_current_directory_shows_the_profile_where_there_is_one(
    warehouse: Warehouse, database: Database
) -> None:
    run(database, "current_directory_profiles.sql")
    alone, *_ = warehouse.rows
    database.execute("DELETE FROM companies WHERE id = %s", [alone])
    directory = by_id(database.execute("SELECT * FROM current_directory_profiles"))
    assert directory.keys() == warehouse.rows.keys()

    site = directory.pop(alone)
    assert site["name"] == warehouse.rows[alone]["name"]
    assert site["ats"] == warehouse.rows[alone]["ats"]
    assert site["has_profile"] is False
    assert site["company_size"] is site["employees_from"] is site["technologies"] is None

    as_they_are = ("country_code", "headquarters_location", "company_size", "company_type")
    for key, site in directory.items():
        profile = warehouse.profiles[key]
        founded, total = profile["founding_year"], profile["total_funding"]
        expected = {
            **{name: profile[name] for name in (*as_they_are, "is_agency", "funding_stage")},
            "has_profile": True,
            "domain": domain(profile["website"]),
            "employees_from": employees(profile["company_size"]),
            "founded": founded and int(founded),
            "total_funding": total and int(total),
            "technologies": ", ".join(profile["technology_list"]),
        }
        assert {name: site[name] for name in expected} == expected


def test_odd_text_is_null_in_the_directory(database: Database) -> None:
    run(database, "current_directory_profiles.sql")
    database.execute(
        "UPDATE companies"
        " SET founding_year = 'c. 1999', total_funding = '$3M', company_size = 'a few'"
    )
    odd = "SELECT DISTINCT founded, total_funding, employees_from FROM current_directory_profiles"
    (row,) = database.execute(odd).fetchall()
    assert set(row.values()) == {None}


def test_ats_share_by_industry(warehouse: Warehouse, database: Database) -> None:
    rows = warehouse.rows.values()
    sites = Counter((tag, row["ats"]) for row in rows for tag in row["industries"])
    totals = Counter(tag for row in rows for tag in row["industries"])
    expected = [
        (-totals[tag], tag, -count, ats, percent(count, totals[tag]))
        for (tag, ats), count in sites.items()
    ]
    answer = run(database, "ats_share_by_industry.sql").fetchall()
    columns = ("of_sites", "industry", "sites", "ats", "percent")
    assert [tuple(row[column] for column in columns) for row in answer] == [
        (-whole, tag, -count, ats, share) for whole, tag, count, ats, share in sorted(expected)
    ]


def test_site_without_ats_counts_once_per_tag(warehouse: Warehouse, database: Database) -> None:
    key = next(iter(warehouse.rows))
    database.execute(
        "UPDATE career_sites SET ats = NULL, industries = '{new,new,NULL}' WHERE id = %s", [key]
    )
    answer = run(database, "ats_share_by_industry.sql").fetchall()
    assert {
        "industry": "new",
        "ats": "unknown",
        "sites": 1,
        "of_sites": 1,
        "percent": 100,
    } in answer
    assert all(row["industry"] for row in answer)


def test_funding_by_ats(warehouse: Warehouse, database: Database) -> None:
    groups: dict[str, list[Row]] = {}
    for key, row in warehouse.rows.items():
        groups.setdefault(row["ats"], []).append(warehouse.profiles[key])
    expected = []
    for ats, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        rounds = [item for profile in group for item in profile["funding_rounds"]]
        expected.append(
            {
                "ats": ats,
                "companies": len(group),
                "countries": len({profile["country_code"] for profile in group}),
                "over_500_people": sum(employees(one["company_size"]) > 500 for one in group),
                "funded": sum(bool(profile["funding_rounds"]) for profile in group),
                "rounds": len(rounds),
                "median_millions": median(int(item["raised_amount"][1:-1]) for item in rounds),
                "unread": 0,
                "last_round_on": max(item["announced_on"] for item in rounds),
            }
        )
    assert run(database, "funding_by_ats.sql").fetchall() == expected


@pytest.mark.parametrize(
    ("amounts", "millions", "unread"),
    [
        (["$1.5B"], "1500", 0),
        (["$250K"], "0.3", 0),
        (["1,200,000"], "1.2", 0),
        (["$2M", "$4M", "undisclosed", "\u20ac9M", None], "3", 3),
        ([], None, 0),
    ],
)
def test_amounts_not_in_dollars_are_counted_and_excluded(
    warehouse: Warehouse,
    database: Database,
    amounts: list[str | None],
    millions: str | None,
    unread: int,
) -> None:
    key = next(iter(warehouse.rows))
    database.execute("UPDATE career_sites SET ats = NULL WHERE id = %s", [key])
    database.execute(
        "UPDATE companies SET funding_rounds = %s::jsonb[] WHERE id = %s",
        [[Jsonb({"raised_amount": amount}) for amount in amounts], key],
    )
    (row,) = (row for row in run(database, "funding_by_ats.sql") if row["ats"] == "unknown")
    assert row["companies"] == 1
    assert row["rounds"] == len(amounts)
    assert row["unread"] == unread
    assert row["median_millions"] == (millions and Decimal(millions))


@pytest.mark.parametrize("file", FILES)
def test_profiles_are_needed_where_the_file_says_so(database: Database, file: str) -> None:
    needs = re.findall(r"(?m)^-- Needs: (.+)$", (EXAMPLES / file).read_text())
    assert len(needs) == 1
    run(database, "first_seen.sql")
    database.execute("DROP TABLE companies")
    if " companies " in needs[0]:
        with pytest.raises(psycopg.errors.UndefinedTable, match='"companies"'):
            run(database, file)
    else:
        run(database, file)


def test_sites_of_a_later_run_are_new(warehouse: Warehouse) -> None:
    pipeline = replace(warehouse.pipeline, url=warehouse.copy("later"))
    world = pipeline.sandbox.world
    known, moved = list(warehouse.rows)[:2]
    first_seen = "SELECT * FROM career_sites_first_seen"
    with psycopg.connect(pipeline.url, row_factory=dict_row, autocommit=True) as database:
        for file in FILES:  # the views must not be in the loader's way
            run(database, file)
        assert by_id(database.execute(first_seen)) == {
            key: {"ats": row["ats"], "first_seen_at": None} for key, row in warehouse.rows.items()
        }
        assert run(database, "new_sites_by_week.sql").fetchall() == []

        world.touch(known, summary="Changed since.")
        world.touch(moved, ats="elsewhere")
        added = [world.add(ats=ats) for ats in ("lever", "ashby", "lever", "ashby", "lever")]
        pipeline.run()
        stored = by_id(database.execute("SELECT id, ats, _sdc_extracted_at FROM career_sites"))
        assert stored.keys() == {*warehouse.rows, *added}
        run(database, "first_seen.sql")
        # As another run does with every row that it reads again.
        database.execute("UPDATE career_sites SET _sdc_extracted_at = now(), ats = 'later'")
        run(database, "first_seen.sql")
        assert by_id(database.execute(first_seen)) == {
            **{
                key: {"ats": row["ats"], "first_seen_at": None}
                for key, row in warehouse.rows.items()
            },
            **{
                key: {"ats": stored[key]["ats"], "first_seen_at": stored[key]["_sdc_extracted_at"]}
                for key in added
            },
        }

        times = ["2026-12-27T23:59:59", "2026-12-28T00:00", "2026-12-28T00:00", "2026-12-31T12:00"]
        for key, time in zip(added, [*times, "2027-01-01T00:00"], strict=True):
            database.execute(
                "UPDATE career_sites_first_seen SET first_seen_at = %s WHERE id = %s",
                [datetime.fromisoformat(time), key],
            )
        answer = [tuple(row.values()) for row in run(database, "new_sites_by_week.sql")]
        assert answer == [
            (date(2026, 12, 28), "ashby", 2),
            (date(2026, 12, 28), "lever", 2),
            (date(2026, 12, 21), "lever", 1),
        ]


def test_readme_shows_what_psql_answers(warehouse: Warehouse, tmp_path: Path) -> None:
    url = warehouse.copy("readme")
    path = f"{psql().parent}{os.pathsep}{os.environ['PATH']}"
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    blocks = re.findall(r"(?s)```shell\n([^`]+)```\n\n```text\n([^`]+)```", readme)
    assert len(blocks) == 3
    for command, shown in blocks:
        variables = {"POSTGRES": url, "PATH": path}
        done = execute(["bash", "-euc", command], environment(tmp_path, variables), REPOSITORY)
        assert done.returncode == 0, done.stderr
        answer = iter(line.rstrip() for line in done.stdout.splitlines())
        for line in shown.splitlines():
            assert line == "..." or line in answer


def test_charts_are_drawn_from_these_answers(database: Database) -> None:
    charts = runpy.run_path(str(REPOSITORY / "tools/draw_charts.py"))["charts"](database)
    assert charts.keys() == set(EXAMPLES.glob("*.svg"))
    for path, content in charts.items():
        assert path.read_text("utf-8") == content, "run: uv run tools/draw_charts.py"
