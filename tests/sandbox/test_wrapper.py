import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from dotenv import dotenv_values

from jobo_sandbox.patience import patient
from tests.support import COMMAND, Run, environment, execute

pytestmark = pytest.mark.slow

# Prints the environment, fetches a page, and prints the URL and the status.
BUY = (
    sys.executable,
    "-c",
    """
import json, os, requests
from jobo_sandbox.patience import patient
print(json.dumps(dict(os.environ)))
url = os.environ["TAP_JOBO_API_URL"]
answer = requests.post(
    url + "/api/career-sites/feed",
    json={"batch_size": 5},
    headers={"X-Api-Key": os.environ["TAP_JOBO_API_KEY"]},
    timeout=patient(5),
)
print(url, answer.status_code)
""",
)
# Ends as Meltano does when the tap fails, with colors.
LOAD = """
import os, psycopg
url = os.environ["TARGET_POSTGRES_SQLALCHEMY_URL"]
assert url.startswith("postgresql+psycopg://postgres@127.0.0.1:"), url
with psycopg.connect(url.replace("+psycopg", "")) as connection:
    connection.execute("CREATE SCHEMA IF NOT EXISTS jobs")
    connection.execute("CREATE TABLE IF NOT EXISTS jobs.career_sites "
        "(id text PRIMARY KEY, name text, ats text, industries jsonb, listing_url text)")
    number = connection.execute("SELECT count(*) FROM jobs.career_sites").fetchone()[0]
    connection.execute("CREATE TABLE IF NOT EXISTS jobs.jobs AS SELECT 1 AS id")
    connection.execute("INSERT INTO jobs.career_sites VALUES (%s, %s, 'lever', %s, %s)",
        [str(number), f"Company {number}", '["fintech", "saas"]',
         "https://jobs.lever.co/" + "x" * 99])
"""


def wrap(folder: Path, *arguments: str, **environment: str) -> Run:
    command = [sys.executable, "-m", "jobo_sandbox", *arguments]
    return execute(command, os.environ | environment, folder)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-m", "jobo_sandbox", *arguments], subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def test_the_command_meets_the_sandbox_whose_balance_and_port_last_until_a_reset(
    tmp_path: Path,
) -> None:
    """And nothing real."""
    real = {"TAP_JOBO_API_URL": "https://connect.jobo.world", "TAP_JOBO_API_KEY": "real"}
    buy = ("--no-postgres", *BUY)
    first = wrap(tmp_path, "--size", "20", *buy, **real, MELTANO_ENVIRONMENT="prod")
    seen = json.loads(first.stdout.splitlines()[0])
    state = tmp_path / ".sandbox"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", seen["TAP_JOBO_API_URL"])
    assert seen["TAP_JOBO_API_KEY"].startswith("jbe_test_")
    assert seen["TAP_JOBO_ARCHIVE_DIR"] == str(state / "archive")
    assert seen["MELTANO_ENVIRONMENT"] == "sandbox"
    assert seen["MELTANO_DATABASE_URI"] == f"sqlite:///{state / 'meltano.db'}"
    assert seen["MELTANO_SEND_ANONYMOUS_USAGE_STATS"] == "false"
    assert "127.0.0.1" in seen["NO_PROXY"]
    assert seen["PATH"] == os.environ["PATH"]
    url, status = first.stdout.splitlines()[1].split()
    assert status == "200"
    assert re.search(r"1 request, 5 rows billed: .* \$0\.25 ", first.stderr)
    assert "Balance:   $9,999.75 (9,999,750 credits)" in first.stderr
    assert "Warehouse" not in first.stderr

    second = wrap(tmp_path, *buy)
    assert second.stdout.splitlines()[1].startswith(url)
    # No outgoing connection can take it between two runs.
    assert int(url.rpartition(":")[2]) < 32_768
    assert "9,999,500 credits" in second.stderr
    other = wrap(tmp_path, "--size", "21", *buy)
    assert other.returncode == 1
    assert "size 20" in other.stderr
    assert "--reset" in other.stderr
    again = wrap(tmp_path, "--reset", "--size", "21", *buy)
    assert again.returncode == 0
    assert "9,999,750 credits" in again.stderr


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], 137, ""),
        (["there-is-no-such-command"], 127, "there-is-no-such-command: not found"),
    ],
)
def test_the_box_has_the_exit_code(
    tmp_path: Path, command: list[str], code: int, error: str
) -> None:
    result = wrap(tmp_path, "--no-postgres", *command)
    assert result.returncode == code
    before, _, box = result.stderr.partition(" Jobo sandbox ")
    assert f"\nFAILED with exit code {code}: {command[0][:20]}" in box
    assert error in before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_command(tmp_path: Path, number: signal.Signals) -> None:
    waiting = (
        "import signal, sys, threading\n"
        f"signal.signal({number:d}, lambda *_: sys.exit(42))\n"
        "print('ready', flush=True)\n"
        "threading.Event().wait()\n"
    )
    with start(tmp_path, "--no-postgres", sys.executable, "-c", waiting) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if number == signal.SIGINT:  # which a terminal sends to both
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, errors = process.communicate(timeout=patient(10))
    assert process.returncode == 42
    assert "FAILED with exit code 42" in errors


@pytest.mark.exhaustive
def test_a_second_run_goes_on_in_the_same_warehouse(open_folder: Path) -> None:
    folder = open_folder / "with a blank" / ("long" * 25)
    folder.mkdir(parents=True)
    first = wrap(folder, sys.executable, "-c", LOAD)
    assert first.returncode == 0, first.stderr
    assert re.search(
        r"Warehouse: 1 row in jobs\.career_sites, 1 written .*\n +1 row in jobs\.jobs, 1 written ",
        first.stderr,
    )
    second = wrap(folder, sys.executable, "-c", LOAD)
    assert re.search(r"2 rows in jobs\.career_sites, 1 written ", second.stderr)
    assert "jobs.jobs" not in second.stderr  # nothing was written there
    [row] = [line for line in second.stderr.splitlines() if "Company 1" in line]
    assert row.split() == [
        "Company", "1", "lever", "fintech,", "saas", "jobs.lever.co/xxxxxxxxxxxxxx...",
    ]  # fmt: skip
    assert max(map(len, second.stderr.splitlines())) <= 100
    assert not (folder / ".sandbox" / "postgres" / "postmaster.pid").exists()
    reset = wrap(folder, "--reset")
    assert reset.returncode == 0
    assert not (folder / ".sandbox" / "postgres").exists()


@pytest.mark.exhaustive
def test_serving_says_how_refuses_company_and_keeps_the_archive_in_a_bucket(
    open_folder: Path,
) -> None:
    with start(open_folder, "--bucket") as process:
        assert process.stdout
        assert process.stderr
        guide = process.stdout.readline()
        assert guide, process.stderr.read()
        while "docker run" not in guide:
            guide += process.stdout.readline()
        assert not re.search("MELTANO_ENVIRONMENT", guide)  # of this project
        variables = dict(re.findall(r"export (\w+)='(.*)'", guide))
        assert f"  {variables['TAP_JOBO_API_KEY']}\n" in guide
        assert variables["TAP_JOBO_API_URL"] in guide.partition("\n")[0]
        assert variables["MELTANO_STATE_BACKEND_URI"].startswith("s3://")
        database = variables["TARGET_POSTGRES_SQLALCHEMY_URL"]
        with psycopg.connect(database.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert dotenv_values(open_folder / ".sandbox/container.env") == variables
        busy = wrap(open_folder, "--no-postgres", "true")
        assert busy.returncode == 1
        assert "another sandbox" in busy.stderr
        runs = [
            execute([str(COMMAND), "--config", "ENV"], environment(open_folder, variables))
            for _ in range(2)
        ]
        assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
        assert runs[1].loaded == 300
        assert re.search(r"loading 6 pages .*\$15\.00 ", runs[1].stderr)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=patient(10))
    assert process.returncode == 0
    (rows,) = re.findall(r"(\d+) rows billed", errors)
    assert 300 <= int(rows) <= 305  # those that changed meanwhile


def test_a_command_is_needed(tmp_path: Path) -> None:
    assert wrap(tmp_path).returncode == 2
    assert wrap(tmp_path, "--serve", "true").returncode == 2
    assert not (tmp_path / ".sandbox").exists()
