"""The commands that `just --list` shows, the Pythons of the workflows, and Meltano Hub."""

import json
import re
import runpy
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tests.support import succeed
from tests.support.repository import REPOSITORY

JUST = Path(sys.executable).with_name("just")


def test_contributing_lists_every_command_and_each_says_what_it_does() -> None:
    run = succeed([str(JUST), "--dump", "--dump-format", "json"], {}, REPOSITORY)
    recipes: dict[str, Any] = json.loads(run.stdout)["recipes"]
    assert all(recipe["doc"] for recipe in recipes.values())
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`uv run just ([a-z-]+)", text))
    assert named == {name for name in recipes if not name.startswith("_")}


def test_pythons_are_those_that_the_package_claims() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    ends = [claimed[0], claimed[-1]]
    text = (REPOSITORY / ".github/workflows/ci.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    pythons = {job: jobs[job]["strategy"]["matrix"]["python"] for job in ("linux", "macos")}
    assert pythons == {"linux": claimed, "macos": ends}
    smoke = jobs["versions"]["strategy"]["matrix"]["include"]
    assert [each["python"] for each in smoke] == [*ends, claimed[-1]]
    definition = yaml.safe_load((REPOSITORY / "plugin.yaml").read_text("utf-8"))
    assert definition["variants"][0]["supported_python_versions"] == claimed
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert f"Python {claimed[0]} to {claimed[-1]}" in readme


def test_the_definition_says_what_meltano_hub_would_guess_wrong() -> None:
    listing = runpy.run_path(str(REPOSITORY / "tools/hub.py"))["definition"]()
    assert listing["select"] == ["career_sites.*"]  # all else costs money or time
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert listing["docs"] in readme  # `meltano add` prints it
    kinds = {setting["name"]: setting["kind"] for setting in listing["settings"]}
    values = {setting["name"]: setting.get("value") for setting in listing["settings"]}
    assert kinds["company_ids_file"] == "string"  # no password
    assert kinds["is_agency"] == "string"  # as a boolean, Meltano would read any odd text as false
    assert kinds["jobs_posted_after"] == "string"  # as a date, Meltano would accept "2 days ago"
    assert values["archive_dir"] is None  # the code finds the folder in the project
