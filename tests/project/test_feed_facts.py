"""What tells one feed from another stands in its declaration and nowhere else in the tap."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository import REPOSITORY, files

TAP = REPOSITORY / "tap_jobo"
DECLARATIONS = TAP / "streams"
NAMES = re.compile(r"career[-_]sites|managed_jobs|expired_jobs|updated_after|expired_since")
KNOWN = {
    "tap.py": {"career_sites"},  # an example in a message
    "sync/state.py": {"updated_after"},  # a key of the state, the same for every feed
    # The stream that it follows, in an error; and the companies of a list between two states.
    "singer/companies_stream.py": {"career_sites", "50"},
}
"""What other modules may name, and why."""
PAGE_OR_PRICE = {50, 2_500}
"""Rows per page, credits per row, and what a full page costs."""


def _constants(path: Path) -> Iterator[object]:
    """Yield the texts and numbers of a module's code, without docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    texts = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in texts:
            yield node.value


def _facts(path: Path) -> set[str]:
    found: set[str] = set()
    for value in _constants(path):
        if isinstance(value, str):
            found |= set(NAMES.findall(value))
        elif type(value) in {int, float} and value in PAGE_OR_PRICE:
            found.add(str(value))
    return found


def test_no_other_module_names_a_fact_of_a_feed() -> None:
    others = (path for path in files("tap_jobo") if DECLARATIONS not in path.parents)
    found = {path.relative_to(TAP).as_posix(): _facts(path) for path in others}
    assert {name: facts for name, facts in found.items() if facts} == KNOWN


def test_declarations_name_the_facts_of_their_feed() -> None:
    assert _facts(DECLARATIONS / "career_sites.py") == {
        *("50", "career-sites", "career_sites", "updated_after"),
    }
    for name in ("__init__", "feed_spec", "fields"):
        assert _facts(DECLARATIONS / f"{name}.py") == set()
