"""The SDK's own tests of a tap, and the specification."""

import json
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from singer_sdk.testing import get_tap_test_class
from singer_sdk.testing.factory import BaseTestClass
from uv import find_uv_bin

from jobo_sandbox import Sandbox
from tap_jobo.tap import TapJobo
from tests.support import STREAMS, entry_of, kept_signals, tap_of
from tests.support import Tap as TapProcess

# The standard tests are made when this module is imported, and keep these settings by reference:
# the fixture below fills in where the sandbox is before they run.
SITES: dict[str, Any] = {"api_key": "unknown", "api_url": "http://127.0.0.1", "archive": False}
PROFILES: dict[str, Any] = {**SITES, "company_ids_file": "unknown"}
# In an environment of its own: it needs versions of its dependencies from 2016.
CHECK_TAP = [find_uv_bin(), "tool", "run", "--quiet", "--from", "singer-tools==0.4.1"]


def _standard_tests(config: dict[str, Any], stream: str) -> type[BaseTestClass]:
    """The SDK's tests of the tap and of one stream: these settings give rows of no other."""
    catalog = TapJobo(config=config).catalog_dict
    for entry in entry_of(catalog, stream)["metadata"]:
        entry["metadata"]["selected"] = True
    tests = get_tap_test_class(TapJobo, config=config, catalog=catalog, parse_env_config=False)
    for name, params in list(tests.params.items()):
        tests.params[name] = [p for p in params if p.values._asdict()["stream"].name == stream]
        if not tests.params[name]:
            delattr(tests, name)
    return tests


with kept_signals():
    TestCareerSites = _standard_tests(SITES, "career_sites")
    TestCompanies = _standard_tests(PROFILES, "companies")
    TestJobs = _standard_tests(SITES, "jobs")
    TestManagedJobs = _standard_tests(SITES, "managed_jobs")
    TestExpiredJobs = _standard_tests(SITES, "expired_jobs")


@pytest.fixture(scope="module", autouse=True)
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with kept_signals(), Sandbox(size=20, jobs=120, rows_with_updated_at=True) as sandbox:
        for config in (SITES, PROFILES):
            config.update(api_key=sandbox.api_key, api_url=sandbox.url)
        path = tmp_path_factory.mktemp("companies") / "ids.txt"
        path.write_text(next(iter(sandbox.world.rows())))
        PROFILES["company_ids_file"] = str(path)
        yield sandbox


@pytest.mark.exhaustive
def test_a_sync_conforms_to_the_singer_specification(sandbox: Sandbox, tmp_path: Path) -> None:
    run = tap_of(sandbox, tmp_path, *STREAMS).succeed()
    check = subprocess.run(
        [*CHECK_TAP, "singer-check-tap"],
        input=run.stdout,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stderr
    assert "The output is valid." in check.stdout
    assert f"messages for {len(STREAMS)} streams." in check.stdout


def test_fast_path_writes_the_same_records_as_the_sdk(sandbox: Sandbox, tmp_path: Path) -> None:
    tap = TapProcess(sandbox, tmp_path)
    quick = tap.run(archive=False, batch_size=10)
    # A map that changes nothing, but is one: each record then takes the SDK's way.
    slow = tap.run(archive=False, batch_size=10, stream_maps={"career_sites": {"id": "id"}})
    assert len(quick.records) == 20
    assert slow.records == quick.records
    assert slow.metrics["record_count"] == quick.metrics["record_count"] == 20
    assert all(before != after for before, after in pairwise(quick.states))
    assert slow.schema_message["key_properties"] == quick.schema_message["key_properties"]
    for run in (slow, quick):
        messages = [json.loads(line) for line in run.stdout.split("\n") if '"RECORD"' in line]
        assert {frozenset(message) for message in messages} == {
            frozenset({"type", "stream", "record", "time_extracted"})
        }
