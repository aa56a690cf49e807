"""What the documentation says that things cost: runs, months, the tap beside a script."""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import table
from jobo_sandbox import Entry, Fault, Sandbox
from tests.support import Tap, environment, execute
from tests.support.crash import kill_in_request
from tests.support.repository import REPOSITORY, files
from tests.support.warehouses import Postgres, Row

PAGE = REPOSITORY / "docs/reference/prices-and-limits.md"
PRICES = PAGE.read_text("utf-8")


def _bill(requests: Sequence[Entry]) -> list[str]:
    """The cells of a table: how many requests and rows, and the dollars."""
    rows = sum(len(entry.row_ids) for entry in requests)
    dollars = sum(entry.credits for entry in requests) / 1_000
    return [f"{len(requests):,}", f"{rows:,}", f"${dollars:,.2f}"]


@pytest.mark.exhaustive
def test_runs_cost_what_their_table_says(tmp_path: Path) -> None:
    bills, state, seen = [], None, 0
    with Sandbox(size=10_000, balance=10**9) as sandbox:
        tap = Tap(sandbox, tmp_path)
        for args, changed in ((["--test"], 0), ([], 0), ([], 0), ([], 500)):
            for company in [*sandbox.world.rows()][:changed]:
                sandbox.world.touch(company)
            run = tap.succeed(*args, state=state)
            state = run.states[-1] if run.states else None
            bills.append(_bill(sandbox.feed_requests[seen:]))
            seen = len(sandbox.feed_requests)
    shutil.rmtree(tmp_path / "archive")
    with Sandbox(size=10_000, balance=10**9) as sandbox:
        tap = Tap(sandbox, tmp_path)
        kill_in_request(sandbox, 101, tap.command(), env=_variables(sandbox))
        tap.succeed()
        bills.append(_bill(sandbox.feed_requests))
    assert [cells for _, *cells in [*table(PAGE, "costs")][1:]] == bills


def test_months_cost_what_follows_from_the_prices() -> None:
    lines = re.findall(r"(?m)^\| ([\d,]+) (\w.*?) \| (\d)% \| \$([\d,.]+) \| (.*) \|$", PRICES)
    assert len(lines) >= 4
    for count, stream, percent, backfill, months in lines:
        rows, price = int(count.replace(",", "")), {"career sites": 0.05, "jobs": 0.003}[stream]
        assert float(backfill.replace(",", "")) == rows * price
        billed = rows * int(percent) / 100 * 30 * price
        assert months.split(" | ") == [
            f"${billed * (1 + 15 / minutes) + 1e-9:,.2f}" for minutes in (24 * 60, 6 * 60, 60)
        ]


# The table of README.md: a script that saves its pages, and the tap, in the same trouble

SCRIPT = REPOSITORY / "benchmarks/contenders/landing_script.py"
README = (REPOSITORY / "README.md").read_text("utf-8")
PAGE_CREDITS, PAGES = 2_500, 6


@pytest.fixture
def api() -> Iterator[Sandbox]:
    with Sandbox(size=300, seed=1) as sandbox:
        yield sandbox


def _script(api: Sandbox, postgres: Postgres, folder: Path, **filters: object) -> list[str]:
    """Return the command line of the script, which keeps its pages in `pages`."""
    place = (api.url, postgres.url, str(folder / "pages"))
    return [sys.executable, str(SCRIPT), *place, json.dumps(filters)]


def _rows(postgres: Postgres) -> list[Row]:
    return postgres.rows("SELECT count(*) AS count FROM sites")


@pytest.mark.exhaustive
def test_a_crash_a_second_warehouse_and_a_lost_folder_cost_what_the_table_says(
    api: Sandbox, postgres: Postgres, tmp_path: Path
) -> None:
    ours, script = Tap(api, tmp_path), _script(api, postgres, tmp_path)
    for number, command in enumerate((script, ours.command()), start=1):
        kill_in_request(api, 3, command, env=_variables(api))
        assert _exit_code(api, command) == 0
        assert api.credits_billed == number * (PAGES + 1) * PAGE_CREDITS
    assert _rows(postgres) == [{"count": 300}]
    assert _cells("killed halfway") == ["the page in flight, $2.50"] * 2

    before = api.credits_billed
    postgres.execute("DROP TABLE loaded, sites")
    assert _exit_code(api, script) == 0
    assert _rows(postgres) == [{"count": 300}]
    again = ours.run()
    assert again.loaded == 300
    assert api.credits_billed == before
    assert _cells("second warehouse") == ["free"] * 2

    shutil.rmtree(ours.folder / "archive")
    assert ours.run(state=again.state).returncode == 0
    assert api.credits_billed == before
    shutil.rmtree(tmp_path / "pages")
    assert _exit_code(api, script) == 0
    assert api.credits_billed == before + PAGES * PAGE_CREDITS
    lost = ["everything is billed again", "goes on from the state; a new warehouse lacks the rest"]
    assert _cells("folder of pages is lost") == lost


@pytest.mark.exhaustive
def test_a_503_and_a_wider_filter_do_what_the_table_says(
    api: Sandbox, postgres: Postgres, tmp_path: Path
) -> None:
    ours = Tap(api, tmp_path)
    germany = _script(api, postgres, tmp_path, country_codes=["DE"])
    wider: dict[str, Any] = {"country_codes": ["DE", "FR"]}
    prices = []
    api.faults.add(Fault(status=503))
    assert [_exit_code(api, germany) for _ in range(2)] == [1, 0]
    before = api.credits_billed
    assert _exit_code(api, _script(api, postgres, tmp_path, **wider)) == 0
    prices.append(api.credits_billed - before)

    api.faults.add(Fault(status=503))
    run = ours.run(country_codes=["DE"])
    assert run.returncode == 0
    before = api.credits_billed
    assert ours.run(state=run.state, on_filter_change="resync", **wider).returncode == 0
    prices.append(api.credits_billed - before)
    both, france = (f"${price / 1_000:.2f}" for price in prices)
    assert _cells("France added") == [f"buys both: {both}", f"buys France: {france}"]
    assert _cells("503") == ["the run fails, the next one resumes", "retries in the same run"]


def test_the_code_is_about_as_long_as_the_table_says() -> None:
    theirs = len(SCRIPT.read_text("utf-8").splitlines())
    ours = sum(len(path.read_text("utf-8").splitlines()) for path in files("tap_jobo"))
    script, tap = _cells("code you would own")
    assert script == f"{theirs} lines"
    assert ours == pytest.approx(int(tap.removesuffix(" lines").replace(",", "")), rel=0.04)


def _exit_code(sandbox: Sandbox, command: Sequence[str]) -> int:
    return execute(command, _variables(sandbox)).returncode


def _variables(sandbox: Sandbox) -> dict[str, str]:
    return environment(REPOSITORY, {"JOBO_API_KEY": sandbox.api_key})


def _cells(row: str) -> list[str]:
    """Return what the table has in this row for the script and for the tap."""
    ((script, ours),) = re.findall(rf"(?m)^\| [^|]*{row}[^|]* \| (.*?) \| (.*?) \|$", README)
    return [script, ours]
