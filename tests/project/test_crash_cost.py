"""What a crash costs: the programs that need no other environment, against a small sandbox."""

from __future__ import annotations

from pathlib import Path

from benchmarks.crash_cost import MARKS, PAGES, in_this_environment, table, with_table
from benchmarks.feed import KEY, Feed
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


def test_only_the_table_between_the_marks_is_replaced() -> None:
    start, end = MARKS
    assert with_table(f"a\n{start}old\n{end}b\n", "new\n") == f"a\n{start}new\n{end}b\n"
    assert with_table("a\n", "new\n") == "a\n"


def test_every_page_has_the_same_table() -> None:
    start, end = MARKS
    texts = [page.read_text("utf-8") for page in PAGES]
    tables = {text.split(start)[1].split(end)[0] for text in texts if start in text}
    assert len(tables) == 1
