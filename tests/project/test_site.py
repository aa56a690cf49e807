"""The built site: what it has, and what its search finds first."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobo_sandbox.patience import patient
from tests.project.conftest import MakeOnce
from tests.support import succeed
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.exhaustive

MESSAGES = "reference/messages.html"
FIRST_RESULTS = {
    # A code, and log lines as they are pasted.
    "filters-changed": f"{MESSAGES}#filters-changed",
    "2026-11-29T22:04:35Z [critical ] tap-jobo  career_sites: "
    "rows with country_codes=FR are missing. Nothing was billed. [filters-changed]": (
        f"{MESSAGES}#filters-changed"
    ),
    "CRITICAL | tap-jobo | Standard output can't be written (Broken pipe). [output-closed]": (
        f"{MESSAGES}#output-closed"
    ),
    # What a team looks for in its first month.
    "two environments": "run/environments.html",
    "reload a table": "change/reload.html",
    "jobs later": "query/jobs.html#add-jobs",
    "alert": "run/monitor.html",
    "without meltano": "start/install.html#without-meltano",
    # The wording of a message without its code, and lines that have none.
    "The archive can't be written": f"{MESSAGES}#archive-unusable",
    "max_credits_per_month: 5,000 of 5,000 used": f"{MESSAGES}#limit-reached",
    "Another run is buying career_sites. This run loads the pages of the other run from the "
    "archive, and waits up to ten minutes for it to end.": f"{MESSAGES}#run-in-progress",
    "ModuleNotFoundError": "start/install.html#upgrade",
    # Other tasks.
    "remove tap": "start/install.html",
    "how many career sites are there": "start/before-you-buy.html#know-the-cost",
    "duplicates": "run/loaders.html#a-table-has-duplicates",
    # Errors of other programs, names, and a mistyped word.
    "401": f"{MESSAGES}#access-denied",
    "timezoen": "run/loaders.html#time-zone",
    "out of disk space": f"{MESSAGES}#archive-unusable",
    "cannot alter type of a column used by a view or rule": "query/jobs.html#query-open-jobs",
    "Run invocation could not be completed as block failed: Extractor failed": (
        "run/monitor.html#exit-codes"
    ),
    "how do I stop spending too much": "run/limit-cost.html",
    # What a message, a shell, or a person says.
    "Failed to parse JSON array from string": (
        "reference/settings.html#a-list-in-a-variable-is-not-accepted"
    ),
    "SIGKILL": "run/monitor.html#exit-codes",
    "restart a sync": "change/reload.html#buy-everything-again",
    # What someone asks before the first dollar.
    "who sees the key": "start/how-it-works.html#can-you-trust-it",
    "qqqqqq": "",
}
SEARCHING = ("language_data.js", "minisearch/umd/index.js", "sections.js", "search.js")
"""The scripts of the page that searches."""
PAGE = """
var Search = {}, Documentation = { TRANSLATIONS: {} }, SearchResultKind = {};
var window = globalThis, document = { addEventListener: (_, start) => start() };
module = undefined; // which a browser does not have
"""
FIND = """
const first = ([name, , anchor]) => `${name}.html${anchor}`;
const find = (query) => Search._performSearch(query).slice(-1).map(first).join("");
console.log(JSON.stringify(process.argv.slice(2).map(find)));
"""


def build(folder: Path) -> None:
    """Build the site."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", str(folder)]
    succeed(command, os.environ, REPOSITORY, timeout=patient(120))


@pytest.fixture(scope="session")
def site(make_once: MakeOnce) -> Path:
    return make_once("site", build)


def test_the_site_builds_without_a_warning(site: Path) -> None:
    page = (site / "start/how-it-works.html").read_text("utf-8")
    assert "jsdelivr" not in page
    assert (site / "_static/mermaid/mermaid.esm.min.mjs").is_file()
    assert "--test=schema" in (site / "reference/cli.html").read_text("utf-8")  # can be pasted
    filters = (site / "change/filters.html").read_text("utf-8")
    link = r'href="../start/how-it-works.html#terms" title="A sync reads .*?">sync</a>'
    assert re.search(link, filters)
    assert "funding_<wbr>rounds" in (site / "change/archive.html").read_text("utf-8")


def test_a_search_looks_through_what_users_read(site: Path) -> None:
    script = (site / "_static/sections.js").read_text("utf-8")
    sections = json.loads(script.removeprefix("const SECTIONS = ").removesuffix(";\n"))
    texts = {section["place"]: section["text"] for section in sections}
    assert not [place for place in texts if place.startswith("project/")]
    assert "jobo_credits_balance" in texts["run/monitor#metrics"]
    assert "jobo_credits_balance" not in texts["run/monitor"]  # only its own text


def test_a_search_finds_first_what_is_asked(site: Path) -> None:
    scripts = [(site / "_static" / name).read_text("utf-8") for name in SEARCHING]
    command = ["node", "-", *FIRST_RESULTS]
    found = subprocess.check_output(command, input="".join([PAGE, *scripts, FIND]), text=True)
    assert dict(zip(FIRST_RESULTS, json.loads(found), strict=True)) == FIRST_RESULTS
