"""Measured tables, each between two marks that name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.feed import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESULTS: Final = REPOSITORY / "benchmarks/RESULTS.md"


def marks(name: str) -> tuple[str, str]:
    """Return the lines before and after a table."""
    return f"<!-- measured: {name} -->\n", f"<!-- end of {name} -->\n"


def write(page: Path, name: str, text: str) -> None:
    """Replace a table of a page, if the page has it."""
    start, end = marks(name)
    before, mark, rest = page.read_text("utf-8").partition(start)
    if mark:
        page.write_text(f"{before}{start}{text}{end}{rest.partition(end)[2]}", "utf-8")


def table(page: Path, name: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a page's table, its heads first."""
    start, end = marks(name)
    for line in page.read_text("utf-8").partition(start)[2].partition(end)[0].splitlines():
        if line.startswith("| "):
            yield line.strip("| ").split(" | ")
