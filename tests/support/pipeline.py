"""The tap and plugins of meltano.yml without Meltano, which is slower."""

import atexit
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from uv import find_uv_bin

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import Json
from tests.support import STREAMS, tap_of
from tests.support.process import Run
from tests.support.repository import REPOSITORY

PYTHON_OF_DUCKDB = ">=3.11,<3.14"
"""What the DuckDB that the loader needs runs on."""
_TEXT = "NUL \x00, quotes \" ', back\\slash, \\N, tab\t, line\r\n, {a}, [b], 日本語 🎉, \u2028;"
_LIST = ["a,b", 'c"d', "e'f", "{g}", "NULL", "", "h\\i"]


def plugin_of(kind: str, name: str) -> Json:
    """Return a plugin's definition: `loaders` or `utilities`, and its name."""
    project = yaml.safe_load((REPOSITORY / "meltano.yml").read_text("utf-8"))
    plugin: Json
    (plugin,) = (plugin for plugin in project["plugins"][kind] if plugin["name"] == name)
    return plugin


def tool_of(plugin: Mapping[str, Any]) -> list[str]:
    """Return a command that runs what follows it in the environment that `pip_url` describes."""
    words = plugin["pip_url"].split()
    command = [find_uv_bin(), "tool", "run", "--quiet"]
    if words[0] == "--excludes":
        command += ["--overrides", overrides_of(words[1])]
        del words[:2]
    package, *others = words
    command += ["--from", package]
    command += [option for other in others for option in ("--with", other)]
    if "duckdb" in plugin["pip_url"]:
        command += ["--python", PYTHON_OF_DUCKDB]
    return command


@cache
def overrides_of(excludes: str) -> str:
    """Return a file with which `uv tool run` leaves out what `uv pip --excludes` does."""
    lines = (REPOSITORY / Path(excludes).name).read_text("utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    folder = TemporaryDirectory(prefix="overrides-")
    atexit.register(folder.cleanup)
    file = Path(folder.name, "overrides.txt")
    file.write_text("".join(f"{name} ; python_version < '0'\n" for name in names))
    return str(file)


def load(run: Run, loader: str, settings: Json, folder: Path) -> None:
    """Give what a run wrote to a loader of meltano.yml, which hands its state back."""
    plugin = plugin_of("loaders", loader)
    config = folder / "loader.json"
    config.write_text(json.dumps(plugin["config"] | settings))
    done = subprocess.run(
        [*tool_of(plugin), plugin["executable"], "--config", str(config)],
        input=run.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == run.state


def odd_runs(folder: Path) -> list[Run]:
    """Run the tap twice, over a world that changes and has what loaders stumble over."""
    with Sandbox(size=60, jobs=120, seed=1, rows_with_updated_at=True) as sandbox:
        world, tap = sandbox.world, tap_of(sandbox, folder, *STREAMS)
        sites, jobs = list(world.rows()), list(world.jobs())
        world.touch(sites[0], name=_TEXT, summary=_TEXT, industries=[], website=None)
        world.touch(sites[1], summary="long " * 40_000, industries=_LIST)
        world.touch_job(jobs[0], description=_TEXT + "<p>" * 100_000, benefits=[], locations=[])
        world.touch_job(jobs[1], responsibilities=None, compensation=None, benefits=_LIST)
        world.touch_job(jobs[3], date_posted="2026-01-04T01:30:00.25+02:00")
        first = tap.run()
        world.touch(sites[0], summary=None, industries=["one"])
        world.touch(sites[1], industries=None)
        world.touch_job(jobs[0], description=None, benefits=["one"])
        world.add()
        world.add_job()
        world.expire_job(jobs[2])
        second = tap.run(state=first.state)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    return [first, second]
