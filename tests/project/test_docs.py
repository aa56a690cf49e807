"""The README and the project file against the code, and the README's commands as they stand."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from singer_sdk import metrics
from singer_sdk.singerlib import Catalog
from uv import find_uv_bin

from jobo_sandbox import vocabulary
from tap_jobo.streams.registry import SETTINGS
from tests.support import COMMAND, Run, execute, psql
from tests.support import environment as tap_environment
from tests.support.meltano import environment
from tests.support.plugins import PYTHON_OF_DBT
from tests.support.repository import REPOSITORY, files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobo_sandbox import Sandbox

README = (REPOSITORY / "README.md").read_text("utf-8")
NAMING = [
    *files("tap_jobo"),
    *files("jobo_sandbox"),
    *files("dbt", "*.sql"),
    *files("dbt", "*.yml"),
    REPOSITORY / "meltano.yml",
]
"""Where names come from that the documents may quote."""
TESTS = {
    path.stem
    for path in files("tests", "test_*.py")
    if path.parent.name != "sandbox"  # whose names are those of other files
}
DOCUMENTS = [
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "docs/*.md", "examples/*.md", "dbt/*.md")
    for path in sorted(REPOSITORY.glob(pattern))
]
GENERATED: Mapping[Path, str] = runpy.run_path(str(REPOSITORY / "tools/generate.py"))["generated"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_generated_parts_are_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == GENERATED[path], "run: uv run tools/generate.py"


def test_costs_are_what_the_sandbox_bills() -> None:
    readme = runpy.run_path(str(REPOSITORY / "tools/costs.py"))["readme"]()
    assert readme == README, "run: uv run tools/costs.py"


def test_every_command_of_the_readme_runs(open_folder: Path) -> None:
    first, tests, *others = _blocks("shell")
    (models,) = (block for block in others if "dbt-postgres:build" in block)
    others.remove(models)
    assert tests == "pip install uv && uv run pytest\n"  # which runs this
    _copy_of_the_repository(open_folder)

    (rows, billed) = _figures(_run(open_folder, first))
    assert rows == billed >= 300
    second = _run(open_folder, models)
    (rows_after, billed_after) = _figures(second)
    assert rows <= rows_after <= rows + 5
    assert billed_after <= 20
    assert "WARN=0 ERROR=0 SKIP=0" in second
    assert f" {rows_after} rows in analytics.jobo__directory" in second
    assert len(re.findall(r"(?m)^  analytics\.jobo__\w+:$", second)) == 2

    output = _run(open_folder, _against_the_sandbox(open_folder, others))
    assert output.count("This block has run.") == len(others)
    for state in ("", ":dach", ":fintech"):
        assert f"sandbox:tap-jobo-to-target-postgres{state}\n" in output
    assert " profiles, 0 credits ($0.00); complete." in output  # none skipped
    state = json.loads((open_folder / "state.json").read_text())
    assert state["bookmarks"]["career_sites"]["replication_key_value"]


def test_the_script_for_cron_fails_when_the_tap_does(tmp_path: Path) -> None:
    (script,) = (block for block in _blocks("shell") if "| target-jsonl > states.jsonl" in block)
    (tmp_path / "config.json").write_text('{"api_key": ""}')
    commands = f'tap-jobo() {{ {COMMAND} "$@"; }}\ntarget-jsonl() {{ cat; }}\n'
    run = execute(["bash", "-c", commands + script], tap_environment(tmp_path), cwd=tmp_path)
    assert run.returncode == 1
    assert "api_key" in run.stderr
    assert (tmp_path / "state.json").read_text() == "{}\n"


def test_the_script_for_cron_finds_its_programs(tmp_path: Path) -> None:
    (script,) = (block for block in _blocks("shell") if "| target-jsonl > states.jsonl" in block)
    programs = tmp_path / ".local/bin"
    programs.mkdir(parents=True)
    for name, state in (("tap-jobo", ""), ("target-jsonl", '{"loaded": true}')):
        (programs / name).write_text(f"#!/bin/sh\necho '{state}'\n")
        (programs / name).chmod(0o755)
    of_cron = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    run = execute(["bash", "-c", script], of_cron, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "state.json").read_text() == '{"loaded": true}\n'


def test_the_script_for_a_catalog_selects_what_it_names(tmp_path: Path) -> None:
    (script,) = (block for block in _blocks("shell") if "--discover" in block)
    commands = f'tap-jobo() {{ {COMMAND} "$@"; }}\n'
    run = execute(["bash", "-c", commands + script], tap_environment(tmp_path), cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    catalog = Catalog.from_dict(json.loads((tmp_path / "catalog.json").read_text()))
    selected = {name for name, entry in catalog.items() if entry.metadata.root.selected}
    assert selected == {"career_sites", "companies"}


def test_a_state_is_saved_once_both_loaders_have_all(sandbox: Sandbox, tmp_path: Path) -> None:
    (script,) = (block for block in _blocks("shell") if "messages.jsonl" in block)
    config = {"api_key": sandbox.api_key, "api_url": sandbox.url, "journal_dir": "journal"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    commands = f"""tap-jobo() {{ {COMMAND} "$@"; }}
target-jsonl() {{ tee first | sed -n 's/^{{"type":"STATE","value":\\(.*\\)}}$/\\1/p'; }}
target-postgres() {{ cat > second; test ! -e out_of_order; }}
"""
    command = ["bash", "-c", commands + script]

    (tmp_path / "out_of_order").touch()
    run = execute(command, tap_environment(tmp_path), cwd=tmp_path)
    assert run.returncode == 1
    assert (tmp_path / "state.json").read_text() == "{}\n"
    assert sandbox.rows_billed == 120

    (tmp_path / "out_of_order").unlink()
    run = execute(command, tap_environment(tmp_path), cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    for loaded in ("first", "second"):  # what this run alone brought
        assert Run(0, (tmp_path / loaded).read_text(), "").ids == sorted(sandbox.world.rows())
    assert sandbox.rows_billed == 120
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["bookmarks"]["career_sites"]["replication_key_value"]


def test_python_of_the_readme_is_python() -> None:
    blocks = _blocks("python")
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "README.md", "exec")


def test_troubleshooting_quotes_what_the_tap_says() -> None:
    table = README.split("## Troubleshooting")[1].split("\n## ")[0].split("|---|---|\n")[1].strip()
    sources = "".join(path.read_text() for path in files("tap_jobo"))
    said = re.sub(r'"\n\s+f?"', "", sources)
    quoted = _quoted(table, column=1)
    assert len(quoted) == len(table.splitlines())
    assert [text for text in quoted if text not in said] == []


def test_filter_values_of_the_sandbox_are_in_the_readme() -> None:
    table = README.split("### Filter values")[1].split("\n## ")[0]
    known = [*vocabulary.INDUSTRIES, *vocabulary.COMPANY_SIZES, *vocabulary.FUNDING_STAGES]
    assert [value for value in known if f"`{value}`" not in table] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_in_the_documents_are_those_of_the_code(document: str) -> None:
    text = (REPOSITORY / document).read_text("utf-8")
    variables = set(re.findall(r"\bTAP_JOBO_([A-Z][A-Z_]*)", text))
    variables -= {"LOGLEVEL"}  # which the SDK reads itself
    assert {name.lower() for name in variables} <= {setting.name for setting in SETTINGS}
    # What has an underscore, is quoted by itself, and is no setting, field, state key or figure.
    known = set(re.findall(r"\w+_\w+", "".join(map(Path.read_text, NAMING))))
    known |= {metric.value for metric in metrics.Metric}  # the SDK's own figures
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)) <= known | TESTS


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = REPOSITORY / document
    for target in re.findall(r"\]\((?!http)(.+?)\)", path.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked), target


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", each.lower()).replace(" ", "-") for each in headings}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"(?s)^```{language}\n(.*?)^```$", README, re.MULTILINE)


_INSTALLING = 400
"""Seconds for commands that also install their programs, on a machine that is busy."""


def _run(folder: Path, script: str) -> str:
    variables = environment() | {"XDG_STATE_HOME": str(folder / "state-home")}
    if sys.version_info >= (3, 14):  # which dbt does not support yet
        find = [find_uv_bin(), "python", "find", "--no-project", PYTHON_OF_DBT]
        found = subprocess.run(find, capture_output=True, text=True, check=True)
        variables["MELTANO_PYTHON"] = found.stdout.strip()
    command = ["bash", "-euo", "pipefail", "-c", script]
    run = execute(command, variables, cwd=folder, timeout=_INSTALLING)
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    return output


def _against_the_sandbox(folder: Path, blocks: list[str]) -> str:
    """Return a command that runs each block as a user would, with the sandbox's key and URLs."""
    programs = folder / "programs"
    programs.mkdir()
    project = (REPOSITORY / "meltano.yml").read_text()
    for name in ("target-jsonl", "target-postgres"):
        (package,) = re.findall(rf"pip_url: (\S*{name}\S*)\n\s+executable: {name}\n", project)
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec uv tool run --from "{package}" {name} "$@"\n')
        program.chmod(0o755)
    script = [
        f'export PATH="{programs}:{psql().parent}:$PATH"',
        'export POSTGRES="${TARGET_POSTGRES_SQLALCHEMY_URL/+psycopg/}"',
        'printf \'{"api_key": "%s", "api_url": "%s"}\' \\',
        '  "$TAP_JOBO_API_KEY" "$TAP_JOBO_API_URL" > config.json',
        'printf \'{"sqlalchemy_url": "%s"}\' "$TARGET_POSTGRES_SQLALCHEMY_URL" > postgres.json',
    ]
    for number, block in enumerate(blocks):
        file = folder / f"block{number}.sh"
        file.write_text(re.sub(r"(?m)^export .*(\.\.\.|user:password).*\n", "", block))
        script += [f"bash -eu {file}", "echo This block has run."]
    whole = folder / "blocks.sh"
    whole.write_text("\n".join([*script, "meltano state list\n"]))
    return f"uv run -m jobo_sandbox --no-rate-limits bash -euo pipefail {whole}"


def _copy_of_the_repository(folder: Path) -> None:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in files.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)


def _figures(output: str) -> tuple[int, int]:
    """Return the rows in the warehouse and the rows billed, of the sandbox's summary."""
    rows = re.search(r"Warehouse: ([\d,]+) rows? in", output)
    billed = re.search(r"([\d,]+) rows? billed", output)
    assert rows, output
    assert billed, output
    return int(rows[1].replace(",", "")), int(billed[1].replace(",", ""))


def test_architecture_names_what_there_is() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text("utf-8")
    modules, invariants = (table.split("\n\n")[0] for table in text.split("|---|\n")[1:])
    sources = {path: path.read_text() for path in files("tap_jobo", "[a-z]*.py")}
    named = [
        REPOSITORY / package / f"{module}.py"
        for row in modules.splitlines()
        for package in _quoted(row, column=1)
        for module in _quoted(row, column=2)
    ]
    assert sorted(named) == sorted(sources)
    for name in _quoted(invariants, column=2):
        definition = rf"(def|class) {name.split('.')[-1]}\b"
        is_module = name in {path.stem for path in sources}
        assert is_module or any(re.search(definition, code) for code in sources.values())
    assert set(_quoted(invariants, column=3)) <= TESTS


def _quoted(table: str, column: int) -> list[str]:
    """Return what stands between backticks in a column of a Markdown table."""
    return [
        name for row in table.splitlines() for name in re.findall("`(.+?)`", row.split("|")[column])
    ]
