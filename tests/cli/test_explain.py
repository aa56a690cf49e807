"""`tap-jobo explain`: the entry of each code, from the wheel."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap_jobo.explain import entries
from tests.support import COMMAND, Run, environment, execute
from tests.support.repository import REPOSITORY, files

CODE = re.compile(r"\[([a-z]+(?:-[a-z]+)+|gap)\]")


def explain(folder: Path, *arguments: str) -> Run:
    return execute([str(COMMAND), *arguments], environment(folder))


def _codes_of(path: Path) -> Iterator[str]:
    """The codes in a module: at the end of a message, or of a question."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from CODE.findall(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "question":
            code = node.args[1]
            assert isinstance(code, ast.Constant), f"{path}:{node.lineno} computes a code"
            yield str(code.value)


def test_every_code_has_an_entry() -> None:
    used = {code for path in files("tap_jobo") for code in _codes_of(path)}
    assert used == entries().keys()


def test_every_entry_is_short_and_has_no_markdown_of_links(tmp_path: Path) -> None:
    for code in entries():
        run = explain(tmp_path, "explain", code)
        assert run.returncode == 0
        assert run.stdout.startswith(f"{code}\n\n")
        assert "](" not in run.stdout
        assert max(map(len, run.stdout.splitlines())) <= 80
        assert len(run.stdout.split()) < 130, code


def test_an_entry_ends_with_the_page_that_it_links_to(tmp_path: Path) -> None:
    run = explain(tmp_path, "explain", "no-limit")
    assert run.stdout.endswith("\n\nSee 'Limit the cost > Cap a run' in the documentation.\n")
    assert "in the documentation" not in explain(tmp_path, "explain", "tap-bug").stdout


def test_each_link_to_a_page_has_the_title_that_the_page_has() -> None:
    for target in re.findall(r"\]\((?!http|#)(.*?)\)", "".join(entries().values())):
        link = re.fullmatch(r'\.\./(.*?)(?:#(.*))? "(.*)"', target)
        assert link, target
        headings = re.findall(r"(?m)^#+ (.*)", (REPOSITORY / link[1]).read_text("utf-8"))
        anchors = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
        section = [headings[anchors.index(link[2])]] if link[2] else []
        assert link[3] == " > ".join([headings[0], *section])


def test_without_a_code_all_are_listed(tmp_path: Path) -> None:
    run = explain(tmp_path, "explain")
    assert re.findall(r"(?m)^\S+", run.stdout) == [*entries()]


@pytest.mark.parametrize("code", ["filter-changed", "[filter-changed]"])
def test_an_unknown_code_is_one_error(tmp_path: Path, code: str) -> None:
    run = explain(tmp_path, "explain", code)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "filter-changed" in run.stderr


def test_options_before_it_do_no_harm(tmp_path: Path) -> None:
    """Meltano's `invoke tap-jobo explain CODE` passes the files of a run."""
    (tmp_path / "config.json").write_text("{}")
    config = ("--config", str(tmp_path / "config.json"))
    run = explain(tmp_path, *config, "explain", "[gap]")
    assert run.stdout.startswith("gap\n\n")
