"""GitHub's workflows, which cannot run here, against what they name."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

from tests.support.repository import REPOSITORY

CI: dict[str, Any] = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text("utf-8"))


def _commands(job: str) -> list[str]:
    return [step["run"] for step in CI["jobs"][job]["steps"] if "run" in step]


def test_lint_is_that_of_ci_run() -> None:
    script = (REPOSITORY / ".ci/run").read_text("utf-8").splitlines()
    assert _commands("lint") == [line for line in script if line.startswith("uv run ")]


def test_pythons_are_those_that_the_package_claims_and_the_next() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    versions = [*claimed, "3.14"]  # which is not claimed before it ran
    ends = [versions[0], versions[-1]]
    pythons = {
        job: CI["jobs"][job]["strategy"]["matrix"]["python"]
        for job in ("linux", "macos", "windows")
    }
    assert pythons == {"linux": versions, "macos": ends, "windows": ends}


def test_every_named_test_file_exists() -> None:
    named = re.findall(r"tests/\S+", " ".join(_commands("macos") + _commands("windows")))
    assert len(named) > 10
    assert [name for name in named if not (REPOSITORY / name).is_file()] == []
