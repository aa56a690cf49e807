"""The commands that `just --list` shows, GitHub's workflows, and what holds before a release."""

import json
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tests.support import execute
from tests.support.repository import REPOSITORY

JUST = Path(sys.executable).with_name("just")


def _workflow(name: str) -> dict[str, Any]:
    text = (REPOSITORY / f".github/workflows/{name}.yml").read_text("utf-8")
    workflow: dict[str, Any] = yaml.safe_load(text)
    return workflow


CI = _workflow("ci")


def _commands(job: str) -> list[str]:
    return [step["run"] for step in CI["jobs"][job]["steps"] if "run" in step]


def test_contributing_lists_every_command_and_each_says_what_it_does() -> None:
    run = execute([str(JUST), "--dump", "--dump-format", "json"], {}, REPOSITORY)
    assert run.returncode == 0, run.stderr
    recipes: dict[str, Any] = json.loads(run.stdout)["recipes"]
    assert all(recipe["doc"] for recipe in recipes.values())
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`uv run just ([a-z-]+)", text))
    assert named == {name for name in recipes if not name.startswith("_")}


def test_the_list_of_lints_stands_once() -> None:
    checks = ["uv run just lint", "uv run just types"]
    assert _commands("lint") == checks
    ours = (REPOSITORY / ".ci/run").read_text("utf-8").splitlines()
    assert [line for line in ours if line.startswith("uv run just")] == checks


def test_pythons_are_those_that_the_package_claims() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    ends = [claimed[0], claimed[-1]]
    pythons = {job: CI["jobs"][job]["strategy"]["matrix"]["python"] for job in ("linux", "macos")}
    assert pythons == {"linux": claimed, "macos": ends}
    smoke = CI["jobs"]["versions"]["strategy"]["matrix"]["include"]
    assert [each["python"] for each in smoke] == [*ends, claimed[-1]]
    definition = yaml.safe_load((REPOSITORY / "plugin.yaml").read_text("utf-8"))
    assert definition["variants"][0]["supported_python_versions"] == claimed
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert f"Python {claimed[0]} to {claimed[-1]}" in readme


PLACEHOLDER = "EXAMPLE-OWNER"
(CHECK,) = (
    step["run"]
    for step in _workflow("release")["jobs"]["tag"]["steps"]
    if step.get("name") == "No placeholder is left"
)


def _runs(script: str, folder: Path) -> bool:
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, check=False).returncode == 0


def test_a_tag_is_refused_while_a_placeholder_is_left(tmp_path: Path) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    for name in ("pyproject.toml", "RELEASING.md", ".github/workflows/release.yml"):
        (tmp_path / name).write_text(f"by {PLACEHOLDER}\n")
    assert _runs("git init --quiet && git add .", tmp_path)
    assert not _runs(CHECK, tmp_path)
    (tmp_path / "pyproject.toml").write_text("by someone\n")
    assert _runs(CHECK, tmp_path)


def test_every_placeholder_is_on_the_list() -> None:
    listing = ["git", "grep", "--untracked", "--name-only", PLACEHOLDER, "--", "."]
    exceptions = [":!RELEASING.md", ":!.github/workflows", ":!tests"]
    found = subprocess.run(
        [*listing, *exceptions], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    page = (REPOSITORY / "RELEASING.md").read_text("utf-8")
    assert set(found.stdout.split()) == set(re.findall(r"(?m)^\| `(.+?)` \|", page))


# Meltano Hub

# The properties that the Hub allows for an extractor, of those that we use, and for a setting.
LISTING = {
    *("capabilities", "commands", "description", "docs", "domain_url", "executable", "keywords"),
    *("label", "log_parser", "logo_url", "maintenance_status", "name", "namespace", "pip_url"),
    *("quality", "repo", "select", "settings", "settings_group_validation"),
    *("supported_python_versions", "variant"),
}
SETTING = {"description", "kind", "label", "name", "options", "sensitive", "value"}


def test_the_definition_has_the_form_of_the_hub() -> None:
    listing = runpy.run_path(str(REPOSITORY / "tools/hub.py"))["definition"]()
    assert listing.keys() == LISTING
    names = [setting["name"] for setting in listing["settings"]]
    assert names == sorted(names)
    for setting in listing["settings"]:
        assert {"description", "kind", "label", "name"} <= setting.keys() <= SETTING
    assert listing["select"] == ["career_sites.*"]  # all else costs money or time
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert listing["docs"] in readme  # `meltano add` prints it
    # Ours, where the Hub would guess wrong.
    kinds = {setting["name"]: setting["kind"] for setting in listing["settings"]}
    values = {setting["name"]: setting.get("value") for setting in listing["settings"]}
    assert kinds["company_ids_file"] == "string"  # no password
    assert kinds["is_agency"] == "string"  # as a boolean, Meltano would read any odd text as false
    assert kinds["jobs_posted_after"] == "string"  # as a date, Meltano would accept "2 days ago"
    assert values["archive_dir"] is None  # the code finds the folder in the project
