"""Runs of the tap whose rows have what loaders stumble over."""

from __future__ import annotations

from pathlib import Path

from jobo_sandbox import Sandbox
from tests.support.process import Run, Tap, discover

_TEXT = "NUL \x00, quotes \" ', back\\slash, \\N, tab\t, line\r\n, {a}, [b], 日本語 🎉, \u2028;"
_LIST = ["a,b", 'c"d', "e'f", "{g}", "NULL", "", "h\\i"]


def odd_runs(folder: Path) -> list[Run]:
    """Run the tap twice over a world that changes in between, with every stream selected."""
    catalog = discover(folder)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = True
    with Sandbox(size=60, jobs=120, seed=1, rows_with_updated_at=True) as sandbox:
        world, tap = sandbox.world, Tap(sandbox, folder)
        sites, jobs = list(world.rows()), list(world.jobs())
        world.touch(sites[0], name=_TEXT, summary=_TEXT, industries=[], website=None)
        world.touch(sites[1], summary="long " * 40_000, industries=_LIST)
        world.touch_job(jobs[0], description=_TEXT + "<p>" * 100_000, benefits=[], locations=[])
        world.touch_job(jobs[1], responsibilities=None, compensation=None, benefits=_LIST)
        world.touch_job(jobs[3], date_posted="2026-01-04T01:30:00.25+02:00")
        first = tap.run(catalog=catalog)
        world.touch(sites[0], summary=None, industries=["one"])
        world.touch(sites[1], industries=None)
        world.touch_job(jobs[0], description=None, benefits=["one"])
        world.add()
        world.add_job()
        world.expire_job(jobs[2])
        second = tap.run(catalog=catalog, state=first.state)
    for run in (first, second):
        if run.returncode:
            raise RuntimeError(run.stderr)
    return [first, second]
