"""What start-up does not load: what only some runs need."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from tests.support import environment, execute

if TYPE_CHECKING:
    from pathlib import Path

DISCOVER = """
import contextlib, gc, io, json, sys
from tap_jobo.__main__ import main

with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
optional = {"iso3166", "obstore", "tqdm"}
print(json.dumps([sorted(optional & sys.modules.keys()), gc.isenabled()]))
"""


def test_modules_that_only_some_runs_need_are_loaded_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DISCOVER, "--discover"]
    run = execute(command, environment(tmp_path), tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [[], True]
