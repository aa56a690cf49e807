"""The commands that `just --list` shows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support import execute

JUST = Path(sys.executable).with_name("just")
REPOSITORY = Path(__file__).parents[1]


def test_each_command_says_what_it_does() -> None:
    run = execute([str(JUST), "--dump", "--dump-format", "json"], {}, REPOSITORY)
    assert run.returncode == 0, run.stderr
    recipes = json.loads(run.stdout)["recipes"]
    assert {"setup", "lint", "types", "test", "coverage", "generate", "build"} <= recipes.keys()
    assert all(recipe["doc"] for recipe in recipes.values())
