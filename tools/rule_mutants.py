"""Breaks the rules of the archive, one at a time, and checks that their tests notice.

`just rule-mutants` takes some minutes. Each mutant has another expression in one function of the
tap. The scripted histories of tests/sync/test_traps.py have to find it, or random ones.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_COPIED: Final = ("tap_jobo", "tests/sync/rules", "tools/histories.py", "tests/sync/test_traps.py")
_OF_SYNC: Final = "filters=sync.filters, start_date=sync.start_date"
_SECONDS: Final = 300  # a mutant can make a run endless
_PYTEST: Final = ("-m", "pytest", "--noconftest", "-x", "-q", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Mutant:
    """A wrong rule.

    Attributes:
        name: What is wrong.
        place: The module in `tap_jobo` and the function, such as `sync/start where`.
        old: The expression, or a `return`, in any format. The function has it once.
        new: What is there instead.
    """

    name: str
    place: str
    old: str
    new: str

    @property
    def module(self) -> str:
        """The module's file."""
        return f"tap_jobo/{self.place.split()[0]}.py"

    def apply(self, source: str) -> str:
        """Return the module's source with the wrong rule. Exits if there is no such expression."""
        wanted = ast.unparse(ast.parse(self.old))
        found = [
            node
            for function in ast.walk(ast.parse(source))
            if isinstance(function, ast.FunctionDef) and function.name == self.place.split()[1]
            for node in ast.walk(function)
            if isinstance(node, ast.expr | ast.Return) and ast.unparse(node) == wanted
        ]
        if len(found) != 1:
            sys.exit(f"{self.name}: {self.place} has {len(found)} of {self.old}")
        lines = source.encode().splitlines(keepends=True)
        start = sum(map(len, lines[: found[0].lineno - 1])) + found[0].col_offset
        last = (found[0].end_lineno or 0) - 1
        end = sum(map(len, lines[:last])) + (found[0].end_col_offset or 0)
        new = self.new if isinstance(found[0], ast.Return) else f"({self.new})"
        content = source.encode()
        return b"".join([content[:start], new.encode(), content[end:]]).decode()


MUTANTS: Final = (
    # Where a run starts
    Mutant(
        "a state is a number, not an identity",
        "sync/start where",
        "view.id_of(state.offset) == state.entry",
        "view.file.first - 1 <= state.offset <= view.head",
    ),
    Mutant(
        "the origin is named by its entry alone",
        "sync/start where",
        "(state.entry, state.position) == (origin.entry, origin.position)",
        "state.entry == origin.entry",
    ),
    Mutant(
        "the origin is not compared",
        "sync/start where",
        "origin and (state.entry, state.position) == (origin.entry, origin.position)",
        "False",
    ),
    Mutant(
        "a state ahead buys everything",
        "sync/start where",
        "view.is_complete and not would_buy_all",
        "view.is_complete",
    ),
    Mutant(
        "a state ahead is adopted, although the archive is complete",
        "sync/start where",
        "view.is_complete and not would_buy_all",
        "view.is_complete and not is_ahead",
    ),
    Mutant(
        "a load leaves an entry out", "sync/start where", "state.offset + 1", "state.offset + 2"
    ),
    Mutant(
        "a new warehouse begins at the head",
        "sync/start where",
        "Load(view.beginning)",
        "Load(view.head + 1)",
    ),
    Mutant(
        "a state of another archive is adopted",
        "sync/start where",
        "view.is_empty",
        "True",
    ),
    Mutant(
        "one page that was not written is adopted",
        "sync/start _would_buy_all",
        "is_ahead and not _is_next(view.position, state.position)",
        "is_ahead",
    ),
    Mutant(
        "a page dropped at the head counts as a state ahead",
        "sync/start _would_buy_all",
        "view.is_dropped(state.offset)",
        "False",
    ),
    Mutant(
        "restart does not hold for a state ahead",
        "sync/start _would_buy_all",
        "view.position.bookmark is not None or view.ordered",
        "view.position.bookmark is not None",
    ),
    Mutant(
        "a standing resync is not asked",
        "sync/start other_pipeline",
        "state and settings.filter_as(state.position) and not settings.filter_as(head)",
        "False",
    ),
    Mutant(
        "nobody asks before a load",
        "sync/start other_pipeline",
        "is_asked and (state is None or settings.fit(state.position))",
        "False",
    ),
    Mutant(
        "a start date after the bookmark is not asked",
        "sync/start other_pipeline",
        "settings.fit(head) and not skips",
        "settings.fit(head)",
    ),
    Mutant(
        "a start date in the future is another pipeline's",
        "sync/start other_pipeline",
        "max(head.bookmark, head.start_date or '')",
        "head.bookmark",
    ),
    Mutant(
        "an adoption uses a number again",
        "sync/start adopt",
        "max(state.offset, head) + 1",
        "max(state.offset, head)",
    ),
    # The fold
    Mutant(
        "restart does not complete an archive",
        "sync/position base",
        "not self.position.has_begun or (ordered and ordered.since is None)",
        "not self.position.has_begun",
    ),
    Mutant(
        "restart holds for ever",
        "sync/position ordered",
        "again and again.head in self.end_ids",
        "again",
    ),
    Mutant(
        "a full sync in progress is no base",
        "sync/position base",
        "progress and progress.sync.kind == 'full' and (progress.sync.first or 0) >= first",
        "False",
    ),
    Mutant(
        "a full sync that began elsewhere is a base",
        "sync/position base",
        "(progress.sync.first or 0) >= first",
        "True",
    ),
    Mutant(
        "a full sync from before the archive is a base",
        "sync/position base",
        "base is not None and base >= first",
        "base is not None",
    ),
    Mutant(
        "page 1 is found by counting back",
        "sync/position base",
        "return progress.sync.first",
        "return self.head - progress.pages + 1",
    ),
    Mutant(
        "a warehouse of a free feed begins at the base",
        "sync/position beginning",
        "self.is_free_feed",
        "False",
    ),
    Mutant(
        "the base moves when a full sync begins",
        "sync/position base_after",
        "next_cursor is None",
        "True",
    ),
    Mutant(
        "the base never moves",
        "sync/position base_after",
        "sync.first or header.base",
        "header.base or sync.first",
    ),
    Mutant(
        "a dropped page moves the position",
        "sync/position advance",
        "sync is None or header.is_dropped",
        "sync is None",
    ),
    Mutant(
        "a sync of added values moves the bookmark",
        "sync/position completed",
        "sync.kind == 'added'",
        "False",
    ),
    Mutant(
        "a sync of added values leaves the filters as they were",
        "sync/position completed",
        f"replace(before, {_OF_SYNC}, last=None, progress=None)",
        "replace(before, last=None, progress=None)",
    ),
    Mutant(
        "the bookmark is later than the start of the sync",
        "sync/position completed",
        "max(before.bookmark or '', sync.started_at)",
        "max(before.bookmark or '', sync.started_at)[:11] + '23:59:59.000000Z'",
    ),
    Mutant(
        "the bookmark moves back",
        "sync/position completed",
        "max(before.bookmark or '', sync.started_at)",
        "sync.started_at",
    ),
    Mutant(
        "a gap is forgotten",
        "sync/position completed",
        "sync.gap or (before.gap and sync.kind != 'full')",
        "sync.gap",
    ),
    Mutant(
        "a gap stays after a full sync",
        "sync/position completed",
        "before.gap and sync.kind != 'full'",
        "before.gap",
    ),
    Mutant(
        "an empty page moves nothing, although the position changes",
        "sync/position moves_nothing",
        "replace(after, bookmark=before.bookmark, last=before.last) == before",
        "True",
    ),
    Mutant(
        "an empty page of restart is no entry",
        "sync/position moves_nothing",
        "is_ordered or is_free_feed or sync is None or sync.kind != 'changes' or header.page != 1",
        "is_free_feed or sync is None or sync.kind != 'changes' or header.page != 1",
    ),
    # What is bought
    Mutant(
        "--since may be later than the bookmark",
        "sync/plan _changes",
        "min(since or '', ordered.since or '') or None",
        "ordered.since",
    ),
    Mutant(
        "--since goes on with the sync in progress",
        "sync/plan _go_on",
        "ordered and sync.kind != 'full'",
        "False",
    ),
    Mutant(
        "a sync goes on although the API no longer allows its window",
        "sync/plan _go_on",
        "not new.reaches(sync.since)",
        "False",
    ),
    Mutant(
        "a sync that is given up leaves no gap",
        "sync/plan _plan",
        "is_missing or gives_up_full",
        "is_missing",
    ),
    Mutant("keep leaves no gap", "sync/plan _plan", "is_missing or gives_up_full", "gives_up_full"),
    Mutant(
        "nothing is left to buy although the last sync was loaded",
        "sync/plan _is_recent",
        "age <= s.lookback and p.last in run.finished",
        "age <= s.lookback",
    ),
    Mutant(
        "nothing is left to buy although the last sync began long ago",
        "sync/plan _is_recent",
        "age <= s.lookback",
        "True",
    ),
    Mutant(
        "a sync of added values reads since the bookmark",
        "sync/plan _resync",
        "s.first_since",
        "p.bookmark",
    ),
    Mutant(
        "a sync in progress goes on with other filters",
        "sync/plan _plan",
        "progress and s.fit(p)",
        "progress",
    ),
    Mutant(
        "a sync is given up without a question",
        "sync/plan _plan",
        "is_given_up or is_missing",
        "is_missing",
    ),
    Mutant(
        "a free feed asks",
        "sync/plan plan",
        "isinstance(request, Question) and settings.spec.is_free",
        "False",
    ),
    Mutant(
        "a full sync begins after the first row",
        "sync/settings first_since",
        "earlier(self.start_date, self.spec.margin)",
        "self.start_date",
    ),
    Mutant(
        "wider filters count as narrower",
        "settings/setting list_of",
        "{*new} <= {*old}",
        "bool({*new} & {*old})",
    ),
    # What a load delivers
    Mutant("a load delivers every version", "sync/load older", "not self._hashes", "True"),
    Mutant(
        "a load delivers the older version",
        "sync/load note",
        "_versions(self._reader.rows(entry, page), repeated)",
        "_versions(self._reader.rows(entry, page), repeated) | self._hashes",
    ),
    Mutant(
        "a page that was dropped is no gap once its own sync is complete",
        "sync/load _reads_again",
        "(sync.first or 0) <= number",
        "False",
    ),
    Mutant(
        "a page that was dropped at the head is a gap",
        "sync/load _missing_before",
        "each[1].before != position",
        "True",
    ),
    # What the user orders
    Mutant(
        "drop at the head goes on behind the page",
        "sync/repair dropped",
        "replace(own, is_dropped=True, id=new_id() if is_new else own.id)",
        "replace(own, is_dropped=True, before=replace(own.before, progress=None))",
    ),
    Mutant(
        "drop keeps no id",
        "sync/repair dropped",
        "new_id() if is_new else own.id",
        "new_id()",
    ),
    Mutant(
        "drop keeps no id without a header",
        "sync/repair dropped",
        "(after and after.previous) or new_id()",
        "new_id()",
    ),
    Mutant(
        "drop knows the position without the page before",
        "sync/repair dropped",
        "before is None and number > file.first",
        "False",
    ),
    Mutant(
        "page 1 of the only full sync keeps its id",
        "sync/repair dropped",
        "after is None and _is_only_base(own, file)",
        "False",
    ),
    Mutant(
        "restart is over although its page was dropped",
        "sync/position end_ids",
        "(header := header_of(head)) and header.is_dropped",
        "False",
    ),
    Mutant(
        "restart --since is allowed before the first complete sync",
        "sync/repair restart",
        "position.bookmark is None or is_full",
        "False",
    ),
    Mutant(
        "a sync of added values without a start date begins over with everything",
        "sync/repair since_to_begin_over",
        "sync.since or sync.started_at",
        "sync.since",
    ),
)


def main() -> None:
    """Try the mutants, and exit with 1 if one is not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=3_000, help="random ones for each mutant")
    parser.add_argument("--only", default="", help="mutants with this text in their name")
    arguments = parser.parse_args()
    missed = 0
    chosen = [mutant for mutant in MUTANTS if arguments.only in mutant.name]
    for mutant in chosen:
        mutant.apply((ROOT / mutant.module).read_text())
    with tempfile.TemporaryDirectory(prefix="rule-mutants-") as folder:
        tree = Path(folder)
        _copy(tree)
        if found := _find(tree, arguments.histories):
            sys.exit(f"The tests fail without a mutant: {found}")
        for mutant in chosen:
            file = tree / mutant.module
            source = file.read_text()
            file.write_text(mutant.apply(source))
            found = _find(tree, arguments.histories)
            file.write_text(source)
            missed += not found
            sys.stdout.write(f"{'found' if found else 'MISSED':7} {mutant.name}: {found}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - missed} of {len(chosen)} found.\n")
    sys.exit(missed > 0)


def _copy(tree: Path) -> None:
    for name in _COPIED:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    for package in ("tests", "tests/sync"):
        (tree / package / "__init__.py").touch()


def _find(tree: Path, count: int) -> str:
    """Return what finds the mutant in a tree: a scripted history, a random one, or nothing."""
    traps = _run(tree, *_PYTEST, "tests/sync/test_traps.py")
    if traps:
        failed = [line for line in traps.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return failed[0].rpartition("::")[2][:80] if failed else traps[-80:]
    lines = _run(tree, "tools/histories.py", "7", f"{count}").splitlines()
    return f"at random, {lines[1] if len(lines) > 1 else lines[-1]}"[:100] if lines else ""


def _run(tree: Path, *arguments: str) -> str:
    """Run Python in a tree; return what it writes if it fails, empty if it succeeds."""
    environment = os.environ | {"PYTHONPATH": f"{tree}", "PYTHONDONTWRITEBYTECODE": "1"}
    command: Sequence[str] = [sys.executable, *arguments]
    try:
        ended = subprocess.run(  # noqa: S603
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it takes too long"
    return ended.stdout + ended.stderr if ended.returncode else ""


if __name__ == "__main__":
    main()
