"""`tap-jobo explain`: the entry of each code, from the wheel."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap_jobo import messages
from tap_jobo.messages import entries, message, named_in, placeholders
from tests.support import COMMAND, Run, environment, execute
from tests.support.repository import REPOSITORY, files


def explain(folder: Path, *arguments: str) -> Run:
    return execute([str(COMMAND), *arguments], environment(folder))


def _codes_of(path: Path) -> Iterator[str]:
    """The codes that a module names, in a call of `message` or in a table."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and node.value in entries():
            yield str(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "message":
            code = node.args[0]
            if isinstance(code, ast.Constant):
                assert code.value in entries(), f"{path}:{node.lineno}"


def test_every_code_has_an_entry_and_every_entry_a_message() -> None:
    assert {code for path in files("tap_jobo") for code in _codes_of(path)} == entries().keys()


def test_a_way_names_what_makes_it_true() -> None:
    known = dict.fromkeys(placeholders(), "X")
    for code, entry in entries().items():
        for way in entry.ways:
            assert named_in(way) <= known.keys(), code
            if re.search(r"\b(free|buys?|billed)\b", way):
                assert named_in(way), (code, way)
        every, none = message(code, "Fact.", **known), message(code, "Fact.")
        assert "{" not in every + none
        assert "X" not in none


def test_each_placeholder_is_used() -> None:
    used = {name for entry in entries().values() for name in named_in(entry.text)}
    assert used == placeholders().keys()


def test_every_entry_is_short_and_has_no_markdown_of_links() -> None:
    for code in entries():
        text = messages.explain(code, 80)
        assert text
        assert text.startswith(f"{code}\n\n")
        assert "](" not in text
        assert max(map(len, text.splitlines())) <= 80
        assert len(text.split()) < 170, code


def test_an_entry_ends_with_the_page_that_it_links_to(tmp_path: Path) -> None:
    run = explain(tmp_path, "explain", "no-limit")
    assert run.returncode == 0
    assert run.stdout.endswith("\n\nSee 'Limit the cost > Cap a run' in the documentation.\n")
    assert "in the documentation" not in explain(tmp_path, "explain", "tap-bug").stdout


def test_each_link_to_a_page_has_the_title_that_the_page_has() -> None:
    for target in re.findall(
        r"\]\((?!http|#)(.*?)\)", "".join(each.text for each in entries().values())
    ):
        link = re.fullmatch(r'\.\./(.*?)(?:#(.*))? "(.*)"', target)
        assert link, target
        headings = re.findall(r"(?m)^#+ (.*)", (REPOSITORY / link[1]).read_text("utf-8"))
        anchors = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
        section = [headings[anchors.index(link[2])]] if link[2] else []
        assert link[3] == " > ".join([headings[0], *section])


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
