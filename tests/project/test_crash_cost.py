"""What a crash costs: the programs that need no other environment, against a small sandbox."""

from __future__ import annotations

from pathlib import Path

from benchmarks.crash_cost import NAME, in_this_environment, table
from benchmarks.feed import KEY, Feed
from benchmarks.report import CRASH_COST, README, marks, write
from jobo_sandbox import Sandbox


def test_the_table_is_what_the_sandbox_bills(tmp_path: Path) -> None:
    with Sandbox(size=200, api_key=KEY, rows_with_updated_at=True) as sandbox:
        feed = Feed(tmp_path, sandbox.url, 0)
        lines = [*table(feed, sandbox, in_this_environment(feed), interval=3, tries=3)]
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in lines[2:]}
    ours, plain, resuming = cells.values()
    assert "tap-jobo" in next(iter(cells))
    done, not_done = "$12.50, done in 2 runs", "$22.50, not done after 3"
    assert ours == ["$12.50", "$12.50", done, f"{done} |"]
    assert plain == ["$15.00", "$15.00", not_done, f"{not_done} |"]
    assert resuming == ["$15.00", "$12.50", not_done, f"{done} |"]


def test_only_the_text_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    before, after = marks("a table")
    page.write_text(f"above\n{before}old\n{after}below\n")
    write(page, "a table", "new\n")
    write(page, "another table", "new\n")
    assert page.read_text() == f"above\n{before}new\n{after}below\n"


def test_both_pages_have_the_same_table() -> None:
    before, after = marks(NAME)
    texts = [page.read_text("utf-8") for page in (README, CRASH_COST)]
    tables = {text.split(before)[1].split(after)[0] for text in texts if before in text}
    assert len(tables) == 1
