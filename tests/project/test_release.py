"""What has to hold before a tag is released."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from tests.support.repository import REPOSITORY

PLACEHOLDER = "EXAMPLE-OWNER"


def _check_of_placeholders() -> str:
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/release.yml").read_text("utf-8"))
    (check,) = (
        step["run"]
        for step in workflow["jobs"]["tag"]["steps"]
        if step.get("name") == "No placeholder is left"
    )
    return str(check)


def _runs(script: str, folder: Path) -> bool:
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, check=False).returncode == 0


def test_a_tag_is_refused_while_a_placeholder_is_left(tmp_path: Path) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    for name in ("pyproject.toml", "RELEASING.md", ".github/workflows/release.yml"):
        (tmp_path / name).write_text(f"by {PLACEHOLDER}\n")
    assert _runs("git init --quiet && git add .", tmp_path)
    assert not _runs(_check_of_placeholders(), tmp_path)
    (tmp_path / "pyproject.toml").write_text("by someone\n")
    assert _runs(_check_of_placeholders(), tmp_path)


def test_every_placeholder_is_on_the_list() -> None:
    listing = ["git", "grep", "--untracked", "--name-only", PLACEHOLDER, "--", "."]
    exceptions = [":!RELEASING.md", ":!.github/workflows", ":!tests"]
    found = subprocess.run(
        [*listing, *exceptions], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    page = (REPOSITORY / "RELEASING.md").read_text("utf-8")
    assert set(found.stdout.split()) == set(re.findall(r"(?m)^\| `(.+?)` \|", page))
