"""The tests themselves: where they are, what they are called, what they import."""

from __future__ import annotations

import ast
import re
import runpy
from typing import Any

from tests.support.repository import REPOSITORY, files

_DOCUMENTS = [*REPOSITORY.glob("*.md"), *files("docs", "*.md"), REPOSITORY / "justfile"]
MUTATION: dict[str, Any] = runpy.run_path(str(REPOSITORY / "tools/mutation.py"))


def _functions() -> list[str]:
    trees = (ast.parse(path.read_text("utf-8")) for path in files("tests", "test_*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef)]


def test_names_of_tests_are_short() -> None:
    names = [name for name in _functions() if name.startswith("test_")]
    assert len(names) > 300
    assert [name for name in names if len(name) > 60] == []


def test_no_test_module_imports_another() -> None:
    imports = re.compile(r"^\s*(from|import) (tests\S*\.|\.)test_", re.MULTILINE)
    assert [path.name for path in files("tests") if imports.search(path.read_text("utf-8"))] == []


def test_every_package_of_the_tap_has_tests() -> None:
    packages = {path.parent.name for path in files("tap_jobo", "__init__.py")} - {"tap_jobo"}
    assert packages
    for package in packages:
        assert files(f"tests/{package}", "test_*.py")


def test_paths_of_tests_in_the_documents_exist() -> None:
    text = "".join(path.read_text("utf-8") for path in _DOCUMENTS)
    named = set(re.findall(r"tests/[\w/]*\w(?:\.py)?", text))
    assert named
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def test_mutation_names_what_there_is() -> None:
    assert MUTATION["unknown_names"]() == []
    assert len(MUTATION["modules"]()) >= 8
