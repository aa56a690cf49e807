"""What the documentation promises to orchestrators: exit codes, figures, and logs in JSON."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support import COMMAND, Tap, environment, execute, shows_a_key
from tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "docs/run/monitor.md").read_text("utf-8")


def test_exit_codes_are_what_happens(tap: Tap, sandbox: Sandbox) -> None:
    codes = {
        tap.run(max_credits=2_500).returncode,
        tap.run(api_key="wrong").returncode,
        tap.run("--full-refresh").returncode,
        *(128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)),
        128 + signal.SIGKILL,
    }
    assert sandbox.credits_billed == 2_500
    table = "\n".join(line for line in PAGE.splitlines() if re.match(r"\| \d", line))
    cells = [line.split("|")[1] for line in table.splitlines()]
    assert codes == {int(code) for cell in cells for code in cell.split(",")}


def test_the_log_is_json_and_without_the_key(tap: Tap, sandbox: Sandbox) -> None:
    path = REPOSITORY / "tests/support/json_log.yml"
    variables = {"SINGER_SDK_LOG_CONFIG": str(path)}
    run = tap.run(env=variables)
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    (summary,) = (line for line in lines if line["message"].startswith("Summary: "))
    assert {"level", "logger_name", "app_name"} <= summary.keys()
    figures = [line["metric_info"] for line in lines if "METRIC" in line["message"]]
    assert {"metric": "jobo_credits", "value": 6_000} in [
        {name: each[name] for name in ("metric", "value")} for each in figures
    ]

    maps = {"career_sites": {"x": f"upper('{sandbox.api_key}')"}}  # whose error quotes it
    run = tap.run("--test", env=variables, stream_maps=maps)
    assert run.returncode == 1
    last = json.loads(run.stderr.splitlines()[-1])
    assert last["level"] == "critical"
    assert "[api_key]" in last["message"]
    assert not shows_a_key(run)


@pytest.mark.parametrize(
    "variables", [{"TAP_JOBO_LOGLEVEL": "LOUD"}, {"SINGER_SDK_LOG_CONFIG": "README.md"}]
)
def test_a_wrong_logging_configuration_is_one_line(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    run = execute([str(COMMAND)], environment(tmp_path, variables), REPOSITORY)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: Logging ")
    assert all(name.removeprefix("TAP_JOBO_") in line for name in variables)
    assert line.endswith(" [invalid-file]")
