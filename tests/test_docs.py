"""The README and the project file against the code, and the README's commands as they stand."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import execute
from tests.test_meltano import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).parents[1]
GENERATED: Mapping[Path, str] = runpy.run_path(str(REPOSITORY / "tools/generate.py"))["generated"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_generated_parts_are_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == GENERATED[path], "run: uv run tools/generate.py"


def test_first_command_fills_postgres_and_the_second_run_buys_next_to_nothing(
    open_folder: Path,
) -> None:
    _copy_of_the_repository(open_folder)
    command = ["bash", "-euc", _shell_blocks()[0]]

    first = execute(command, environment(), cwd=open_folder)
    assert first.returncode == 0, first.stderr
    (rows, billed) = _figures(first.stdout + first.stderr)
    assert rows == billed >= 300

    second = execute(command, environment(), cwd=open_folder)
    assert second.returncode == 0, second.stderr
    (rows_after, billed_after) = _figures(second.stdout + second.stderr)
    assert rows <= rows_after <= rows + 5
    assert billed_after <= 20


def test_second_command_runs_the_tests() -> None:
    assert _shell_blocks()[1].strip() == "pip install uv && uv run pytest"


def _shell_blocks() -> list[str]:
    return re.findall(
        r"(?s)^```shell\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.MULTILINE
    )


def _copy_of_the_repository(folder: Path) -> None:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in files.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)


def _figures(output: str) -> tuple[int, int]:
    """Return the rows in the warehouse and the rows billed, of the sandbox's summary."""
    rows = re.search(r"Warehouse: ([\d,]+) rows", output)
    billed = re.search(r"([\d,]+) rows billed", output)
    assert rows, output
    assert billed, output
    return int(rows[1].replace(",", "")), int(billed[1].replace(",", ""))


def test_architecture_names_what_there_is() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text("utf-8")
    modules, invariants = (table.split("\n\n")[0] for table in text.split("|---|\n")[1:])
    sources = {path.stem: path.read_text() for path in (REPOSITORY / "tap_jobo").glob("[a-z]*.py")}
    assert set(_quoted(modules, column=1)) == sources.keys()
    for name in _quoted(invariants, column=2):
        definition = rf"(def|class) {name.split('.')[-1]}\b"
        assert name in sources or any(re.search(definition, code) for code in sources.values())
    for name in _quoted(invariants, column=3):
        assert not name.startswith("test_") or (REPOSITORY / f"tests/{name}.py").exists()


def _quoted(table: str, column: int) -> list[str]:
    """Return what stands between backticks in a column of a Markdown table."""
    return [
        name for row in table.splitlines() for name in re.findall("`(.+?)`", row.split("|")[column])
    ]
