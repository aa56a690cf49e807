"""What startup does not load, and that it can be loaded later all the same."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from tests.support import environment, execute

if TYPE_CHECKING:
    from pathlib import Path

DISCOVER_THEN_USE = """
import contextlib, io, json, sys
from tap_jobo.__main__ import main

with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
late = {"asyncio", "backoff", "fsspec", "joblib", "upath"}
loaded = sorted(late & sys.modules.keys())

from singer_sdk import target_base
from singer_sdk.helpers import _batch
from singer_sdk.streams import rest

used = [
    str(_batch.UPath("/folder")),
    rest.backoff.full_jitter(0),
    target_base.delayed(len)("abc")[1],
]
import upath

print(json.dumps([loaded, used, upath.UPath is _batch.UPath, upath.__name__]))
"""


def test_modules_for_other_plugins_are_loaded_late(tmp_path: Path) -> None:
    run = execute(
        [sys.executable, "-c", DISCOVER_THEN_USE, "--discover"], environment(tmp_path), tmp_path
    )
    assert run.returncode == 0, run.stderr
    loaded, used, is_real, name = json.loads(run.stdout)
    assert loaded == []
    assert used == ["/folder", 0, ["abc"]]
    assert not is_real  # the SDK has a stand-in: it would load upath at once otherwise
    assert name == "upath"
