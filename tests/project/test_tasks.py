"""The commands that `just --list` shows."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.support import execute
from tests.support.repository import REPOSITORY

JUST = Path(sys.executable).with_name("just")


def _recipes() -> dict[str, Any]:
    run = execute([str(JUST), "--dump", "--dump-format", "json"], {}, REPOSITORY)
    assert run.returncode == 0, run.stderr
    recipes: dict[str, Any] = json.loads(run.stdout)["recipes"]
    return recipes


def test_each_command_says_what_it_does() -> None:
    assert all(recipe["doc"] for recipe in _recipes().values())


def test_contributing_lists_every_command() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`uv run just ([a-z]+)", text))
    assert named == {name for name in _recipes() if not name.startswith("_")}


def test_lint_and_types_are_those_of_ci_run() -> None:
    ours = (REPOSITORY / "justfile").read_text("utf-8")
    for command in re.findall("(?m)^uv run .*", (REPOSITORY / ".ci/run").read_text("utf-8")):
        assert f"    {command}\n" in ours
