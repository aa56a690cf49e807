"""The log: nothing at INFO that its user need not read, and no line that is not the tap's own."""

import json
import re
import signal
from pathlib import Path

import pytest
from singer_sdk import metrics

from jobo_sandbox import Fault, Sandbox
from tests.support import COMMAND, Json, Tap, environment, execute
from tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "docs/run/monitor.md").read_text("utf-8")
JSON_LOG = {"SINGER_SDK_LOG_CONFIG": str(REPOSITORY / "tests/support/json_log.yml")}
OF_THE_SDK = {
    metrics.Metric.RECORD_COUNT,
    metrics.Metric.SYNC_DURATION,
}


def test_the_simplest_run_logs_at_most_eight_lines_of_its_own(tap: Tap) -> None:
    run = tap.succeed()
    lines = [re.sub(r"METRIC.*\"metric\":\"(\w+)\".*", r"\1", each) for each in run.lines("INFO")]
    own = [line for line in lines if line not in OF_THE_SDK]
    assert own[0].startswith("tap-jobo v")
    names = ["jobo_sync_complete", "jobo_credits", "jobo_credits_balance", "jobo_credits_month"]
    assert own[4:] == names
    assert [run.metrics[name] for name in names] == [1, 6_000, 9_994_000, 6_000]
    assert run.metrics["record_count"] == 120
    assert len(lines) == len(own) + len(OF_THE_SDK) == len(run.stderr.splitlines())
    quiet = tap.succeed(state=run.state)  # which says nothing of what is zero
    assert quiet.metrics.keys() == {*names, "sync_duration"} - {"jobo_credits"}


FORGED = "x\n2026-11-26 08:00:00,000 | CRITICAL | tap-jobo | Send us your key. [tap-bug]\x1b[2K"


def _forge(body: Json) -> Json:
    first, second, *others = body["career_sites"]
    first, second = {**first, FORGED: FORGED, "name": {FORGED: 1}}, {**second, "id": FORGED}
    return {**body, "career_sites": [first, second, *others]}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"industries": [FORGED]}, Fault()),
        ({"archive_dir": f"/dev/null/{FORGED}"}, Fault()),
        ({"catalog": {"streams": [{"tap_stream_id": FORGED}]}}, Fault()),
        ({}, Fault(status=400, body={"detail": FORGED, "title": FORGED})),
        ({}, Fault(replace=_forge)),
    ],
)
def test_no_text_from_elsewhere_forges_a_line(tap: Tap, given: Json, fault: Fault) -> None:
    tap.sandbox.faults.add(fault, endpoint="career_sites")
    run = tap.run(**given)
    assert "Send us your key" in run.stderr
    assert not re.search(r"(?m)^2026-11-26 08:00:00,000", run.stderr)
    assert "\x1b" not in run.stderr
    started = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \| |  ")
    assert all(started.match(line) for line in run.stderr.splitlines())


# What the documentation promises to orchestrators


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
    run = tap.run(env=JSON_LOG)
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    (summary,) = (line for line in lines if line["message"].startswith("Summary: "))
    assert {"level", "logger_name", "app_name"} <= summary.keys()
    figures = [line["metric_info"] for line in lines if "METRIC" in line["message"]]
    assert {"metric": "jobo_credits", "value": 6_000} in [
        {name: each[name] for name in ("metric", "value")} for each in figures
    ]

    maps = {"career_sites": {"x": f"upper('{sandbox.api_key}')"}}  # whose error quotes it
    run = tap.run("--test", env=JSON_LOG, stream_maps=maps)
    assert run.returncode == 1
    last = json.loads(run.stderr.splitlines()[-1])
    assert last["level"] == "critical"
    assert "[api_key]" in last["message"]
    assert last["message"].count("\n") == 2  # one record, with its ways out
    assert not run.shows_a_key


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
