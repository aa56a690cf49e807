import json
import re
import subprocess
import sys
from pathlib import Path

from jobo_sandbox import Fault, Sandbox
from tap_jobo.streams import SETTINGS
from tests.support import (
    STREAMS,
    Tap,
    discover,
    entry_of,
    environment,
    execute,
    selecting,
    tap_of,
)
from tests.support.archives import files_at

OFFLINE = """
import os, sys

def refuse(event, _):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        os._exit(99)

sys.addaudithook(refuse)
from tap_jobo.cli import run

run()
"""

INTERRUPTED = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Interrupt(MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "singer_sdk":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from tap_jobo.__main__ import main

main()
"""

DISCOVER = """
import contextlib, io, json, sys
from tap_jobo.cli import run

with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    run()
print(json.dumps(sorted({"iso3166", "obstore"} & sys.modules.keys())))
"""


def test_discovery_needs_neither_a_setting_nor_a_connection(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OFFLINE, "--discover"]
    run = execute(command, environment(tmp_path), tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == discover()
    assert list(tmp_path.iterdir()) == []


def test_modules_that_only_some_runs_need_are_loaded_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DISCOVER, "--discover"]  # which `execute` starts warm
    loaded = subprocess.check_output(command, env=environment(tmp_path), cwd=tmp_path)
    assert json.loads(loaded) == []


def test_interrupt_while_modules_are_loaded(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED]  # which `execute` starts warm
    run = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


class TestTestMode:
    def test_it_bills_exactly_one_row(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.succeed("--test")
        assert run.stderr.splitlines()[-1].endswith(f" | {run.lines('INFO')[-1]}")
        assert re.fullmatch(
            r"Connection OK: 127\.0\.0\.1 .*, balance \$9,999\.95; .* \$0\.05\.",
            run.lines("INFO")[-1],
        )
        assert [message["type"] for message in run.messages] == ["SCHEMA", "RECORD"]
        clock, request = sandbox.ledger
        assert clock.endpoint == "clock"
        assert request.body["batch_size"] == 1
        assert sandbox.rows_billed == 1
        assert len(run.records) == 1
        assert run.lines("ERROR") == run.lines("WARNING") == run.lines("CRITICAL") == []

    def test_it_reads_no_archive_and_stores_only_its_bill(self, tap: Tap, sandbox: Sandbox) -> None:
        state = tap.succeed(country_codes=["DE"]).state
        archive = tap.folder / "archive"
        files = files_at(str(archive))
        files.damage(files.pages[-1])
        before = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
        other = str(tap.folder / "another")
        tap.succeed(archive_dir=other)
        tap.fail(code="archive-damaged", state=state, country_codes=["DE"])
        for how in ({}, {"archive_dir": other}):
            run = tap.succeed("--test", state=state, country_codes=["FR"], **how)
            assert (len(run.records), run.states) == (1, [])
            assert run.loaded == 0
        after = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
        assert before.keys() == after.keys()
        changed = [path.parent.parent.name for path in before if before[path] != after[path]]
        assert changed == ["pending"]
        assert sandbox.rows_billed == 13 + 120 + 2

    def test_it_passes_without_any_row(self, tmp_path: Path) -> None:
        with Sandbox(size=0) as sandbox:
            assert Tap(sandbox, tmp_path).succeed("--test").records == []

    def test_it_estimates_what_the_jobs_cost(self, tmp_path: Path) -> None:
        """Also if a page was free."""
        with Sandbox(jobs=600, seed=1) as sandbox:
            tap = tap_of(sandbox, tmp_path, "jobs")
            some = tap.succeed("--test", jobs_sources=["workday"])
            free = Fault(headers={"X-Credits-Deducted": "0"}, times=None)
            sandbox.faults.add(free, endpoint="jobs")
            every = tap.succeed("--test")
            run = tap.succeed(jobs_batch_size=100)
        found = re.search(r" (\d+) jobs match: \$(.*); .* \$0\.003\.$", some.lines("INFO")[-1])
        assert found
        assert 0 < int(found[1]) < 600
        assert float(found[2]) == round(int(found[1]) * 0.003, 2)
        assert "600 jobs match: $1.80;" in every.stderr
        assert "about 600 rows: $1.80 at 3 credits per row." in run.stderr

    def test_it_tests_the_selected_streams_only(self, tap: Tap, sandbox: Sandbox) -> None:
        catalog = selecting(discover(), career_sites=False, expired_jobs=True)
        run = tap.run("--test", catalog=catalog)
        assert {message["stream"] for message in run.messages} == {"expired_jobs"}
        assert re.search(r"key is valid; .* \$0\.00\.", run.lines("INFO")[-1])

        company_id = next(iter(sandbox.world.rows()))
        path = tap.folder / "ids.txt"
        path.write_text(company_id)
        catalog = selecting(catalog, expired_jobs=False, companies=True)
        run = tap.run("--test", catalog=catalog, company_ids_file=str(path))
        assert run.ids == [company_id]
        assert re.search(r" responded; .* \$0\.00\.", run.lines("INFO")[-1])
        line = tap.refuse("--test", stream_maps={"career_sites": None}, code="no-stream")
        assert "'stream_maps'" in line
        assert sandbox.credits_billed == 0

    def test_schemas_are_those_that_every_target_takes(self, tap: Tap, sandbox: Sandbox) -> None:
        names = {*STREAMS} - {"billed_pages"}
        old = selecting(discover(), **dict.fromkeys(names, True))
        for name in names:  # as earlier versions discovered it
            entry_of(old, name)["schema"]["$schema"] = (
                "https://json-schema.org/draft/2020-12/schema"
            )
        maps = {"jobs": {"id": "id", "__else__": None}}
        run = tap.run("--test=schema", catalog=old, stream_maps=maps)
        assert [message["type"] for message in run.messages] == ["SCHEMA"] * len(names)
        for message in run.messages:
            assert "$schema" not in message["schema"]
            assert message["schema"]["properties"]["id"]["maxLength"] == 36
        assert sandbox.ledger == []

    def test_it_gives_up_soon(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(status=503, times=None))
        run = tap.quick.run("--test")
        spent = re.search(r"Gave up after (\d+) s\b", run.complaint)
        assert spent
        assert len(sandbox.feed_requests) > 1
        assert int(spent[1]) <= 10

    def test_it_does_not_follow_about(self, tap: Tap, sandbox: Sandbox) -> None:
        for args in (("--about", "--test"), ("--test", "--about")):
            run = tap.run(*args)
            assert all(f"TAP_JOBO_{each.name.upper()}" in run.stdout for each in SETTINGS)
            assert sandbox.api_key not in run.stdout + run.stderr
        assert sandbox.ledger == []
