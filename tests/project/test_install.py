"""The wheel, as a user gets it: in an empty environment, and in a new Meltano project."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from jobo_sandbox import Sandbox
from tests.support import succeed
from tests.support.docs import block
from tests.support.repository import REPOSITORY, files

MODULES = {
    path.relative_to(REPOSITORY).with_suffix("").as_posix().replace("/", ".")
    for path in files("tap_jobo")
}


@pytest.mark.slow
def test_wheel_holds_the_tap_alone_and_its_readme_has_links_that_work(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (name,) = (each for each in names if each.endswith(".dist-info/METADATA"))
        readme = archive.read(name).decode()
    metadata = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    assert {name.split("/")[0] for name in names} == {"tap_jobo", metadata}
    assert {name for name in names if not name.startswith(metadata)} == {
        "tap_jobo/messages.md",
        "tap_jobo/py.typed",
        *(f"{module.replace('.', '/')}.py" for module in MODULES),
    }
    assert "Description-Content-Type: text/markdown" in readme
    links = re.findall(r"\]\((.*?)\)", readme)
    assert len(links) > 20
    assert [link for link in links if not link.startswith("https://")] == []


@pytest.mark.exhaustive
def test_a_new_meltano_project_runs_the_tap(wheel: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    """From the definition, and then from the plugin of the documentation, typed by hand."""
    meltano = shutil.which("meltano") or "meltano"
    succeed([meltano, "init", "--no-usage-stats", "project"], os.environ, tmp_path)
    project = tmp_path / "project"
    file = project / "meltano.yml"
    empty = yaml.safe_load(file.read_text("utf-8"))
    definition = (REPOSITORY / "plugin.yaml").read_text("utf-8")
    assert definition.count("pip_url: tap-jobo\n") == 1
    reference = tmp_path / "plugin.yaml"
    reference.write_text(definition.replace("pip_url: tap-jobo\n", f"pip_url: {wheel}\n"))
    succeed([meltano, "add", "--from-ref", str(reference), "tap-jobo"], os.environ, project)
    assert re.search(r"warning.*\[no-limit\]", _run(project, sandbox))
    listed = succeed([meltano, "invoke", "tap-jobo:archive", "list"], os.environ, project)
    assert "billed" in listed.stdout

    plugins = yaml.safe_load(block("own-plugin"))["plugins"]
    plugins["extractors"][0]["pip_url"] = str(wheel)
    file.write_text(yaml.safe_dump(empty | {"plugins": plugins}))
    assert re.search(r"info +\] tap-jobo .*not billed again", _run(project, sandbox))


def _run(project: Path, sandbox: Sandbox) -> str:
    """Let the project's tap load all rows, which are billed once; return Meltano's log.

    It shows the levels of the tap's lines.
    """
    _add_target(project / "meltano.yml")
    settings = {"TAP_JOBO_API_KEY": sandbox.api_key, "TAP_JOBO_API_URL": sandbox.url}
    command = ("meltano", "run", "--full-refresh", "tap-jobo", "target-jsonl")
    run = succeed(command, os.environ | settings, project)
    (table,) = project.glob("*.jsonl")
    assert table.name == "career_sites.jsonl"
    rows = [json.loads(line) for line in table.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == sorted(sandbox.world.rows())
    assert sandbox.rows_billed == len(rows)
    assert (project / "archive/tap-jobo/v4").exists()
    table.unlink()
    return run.stdout + run.stderr


def _add_target(path: Path) -> None:
    """Add the target-jsonl of the repository's project to another, which installs it when run."""
    ours = yaml.safe_load((REPOSITORY / "meltano.yml").read_text("utf-8"))["plugins"]["loaders"]
    project = yaml.safe_load(path.read_text("utf-8"))
    assert project["plugins"]["extractors"][0]["select"] == ["career_sites.*"]
    project["plugins"]["loaders"] = [item for item in ours if item["name"] == "target-jsonl"]
    path.write_text(yaml.safe_dump(project))
