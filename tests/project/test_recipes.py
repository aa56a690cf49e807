"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the repository."""

import os
import re
from pathlib import Path

import pytest
from uv import find_uv_bin

from jobo_sandbox.patience import patient
from tests.support import succeed
from tests.support.docs import block
from tests.support.repository import copy_of_the_repository

FILES = {"add-a-filter": 2, "add-a-feed": 3}
"""The recipes, and how many files each touches by hand."""
NEAR = (
    "tests/cli/test_cli.py tests/project tests/settings tests/singer/test_catalog.py"
    " tests/singer/test_selection.py tests/streams/test_feeds.py"
)
"""The tests that look at every feed or setting. The others name theirs."""


@pytest.mark.exhaustive
def test_a_filter_and_a_feed_are_added_as_contributing_says(tmp_path: Path) -> None:
    copy_of_the_repository(tmp_path)
    _run(tmp_path, "git init --quiet")  # as tests list the files of the repository
    for recipe, files in FILES.items():
        diff = block(recipe)
        assert len(re.findall("(?m)^diff --git", diff)) == files
        (tmp_path / "recipe.diff").write_text(diff)
        _run(tmp_path, "git apply recipe.diff && rm recipe.diff")
    _run(tmp_path, block("after-a-declaration").replace("just fast", f"just fast {NEAR} -n 1"))


def _run(folder: Path, script: str) -> None:
    ours = ("UV_", "VIRTUAL_ENV", "PYTEST_", "COV")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    variables["PATH"] = f"{Path(find_uv_bin()).parent}{os.pathsep}{variables['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", script]
    succeed(command, variables, folder, timeout=patient(800))
