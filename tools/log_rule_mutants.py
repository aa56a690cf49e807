"""Breaks the rules of the log, one at a time, and checks that their tests notice.

Each mutant has another expression in one function of the tap. The tests of tests/sync/log_rules
have to find it, or random histories.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_COPIED: Final = ("tap_jobo", "tests/sync/log_rules")
_RULES: Final = "tap_jobo/sync"
_SECONDS: Final = 300  # a mutant can make a run endless
_PYTEST: Final = ("-m", "pytest", "--noconftest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider")
_PLAY: Final = """
import sys
from tests.sync.log_rules.histories import find_wrong
sys.exit(find_wrong(7, int(sys.argv[1])) or find_wrong(8, int(sys.argv[1]) // 4, 1) or None)
"""


@dataclass(frozen=True)
class Mutant:
    """A wrong rule.

    Attributes:
        name: What is wrong.
        place: The module and the function, such as `fold advance`.
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
        name = self.place.split()[0]
        return f"{_RULES}/{name}.py"

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
    # Filters
    Mutant(
        "a filter that is not set in the narrower ones counts as narrower",
        "filter_rules _narrows",
        "setting.narrows(old, new) if setting else bool(old == new)",
        "new is None or (setting.narrows(old, new) if setting else old == new)",
    ),
    Mutant(
        "common values are enough",
        "filter_rules _narrows",
        "setting.narrows(old, new)",
        "bool({*old} & {*new}) if isinstance(old, list) and isinstance(new, list) else "
        "setting.narrows(old, new)",
    ),
    Mutant("an unknown filter counts as none", "filter_rules _narrows", "bool(old == new)", "True"),
    Mutant(
        "two filters may have gained values",
        "filter_rules _find_added",
        "len(wider) != 1 or wider[0] not in self._settings",
        "not wider",
    ),
    Mutant(
        "a sync of added values reads all values",
        "filter_rules _find_added",
        "{**new, name: values}",
        "dict(new)",
    ),
    Mutant(
        "a sync of added values reads the old ones",
        "filter_rules _find_added",
        "{**new, name: values}",
        "{**new, name: old[name]}",
    ),
    # Reads
    Mutant(
        "a read includes what starts before it",
        "reads includes",
        "one.start <= other.start",
        "True",
    ),
    Mutant("a read includes what is newer", "reads includes", "one.until >= other.until", "True"),
    Mutant(
        "a read with a gap includes one without",
        "reads includes",
        "one.gap is None or one.gap >= other.until or "
        "(other.gap is not None and one.gap >= other.gap)",
        "True",
    ),
    Mutant(
        "a gap after the other read counts",
        "reads includes",
        "one.gap is None or one.gap >= other.until or "
        "(other.gap is not None and one.gap >= other.gap)",
        "one.gap is None or (other.gap is not None and one.gap >= other.gap)",
    ),
    Mutant(
        "a read includes those of other filters",
        "reads includes",
        "rules.covers(one.filters, other.filters)",
        "True",
    ),
    Mutant(
        "reads are joined over a hole",
        "reads joined",
        "other.start > one.until or one.start > other.until",
        "False",
    ),
    Mutant(
        "reads are joined for the wider filters",
        "reads joined",
        "rules.covers(other.filters, one.filters)",
        "rules.covers(one.filters, other.filters)",
    ),
    Mutant("joined reads have no gap", "reads joined", "worse(one.gap, other.gap)", "None"),
    Mutant(
        "the gap that starts last counts",
        "reads worse",
        "min((gap for gap in gaps if gap is not None), default=None)",
        "max((gap for gap in gaps if gap is not None), default=None)",
    ),
    Mutant("nothing is joined", "fold completed", "joined_to(position.reads, new, rules)", "()"),
    Mutant("before a gap nothing is joined", "reads joined_to", "(*reads, *before_gaps)", "reads"),
    Mutant("only the newest read is kept", "reads pruned", "kept[:MOST]", "kept[:1]"),
    Mutant(
        "nothing is pruned",
        "reads pruned",
        "not any(includes(each, read, rules) for each in kept)",
        "True",
    ),
    Mutant(
        "nothing older than the newest reads is kept",
        "reads pruned",
        "_is_outermost(read, kept)",
        "False",
    ),
    Mutant(
        "only the newest of each filters is kept",
        "reads _is_outermost",
        "read in (alike[0], *whole[:1], min(alike, key=lambda each: each.start))",
        "read == alike[0]",
    ),
    Mutant(
        "only the first start of each filters is kept",
        "reads _is_outermost",
        "read in (alike[0], *whole[:1], min(alike, key=lambda each: each.start))",
        "read == min(alike, key=lambda each: each.start)",
    ),
    # The fold
    Mutant(
        "a read lasts longer than to the start of its sync",
        "fold read_of",
        "sync.started",
        "sync.started[:14] + str(int(sync.started[14:16]) + 3).zfill(2) + sync.started[16:]",
    ),
    Mutant("lost pages leave no gap", "fold read_of", "sync.since if has_gap else None", "None"),
    Mutant(
        "added values move the end of the window",
        "fold _with_added",
        "min(read.until, new.until)",
        "max(read.until, new.until)",
    ),
    Mutant(
        "added values move the start of the window",
        "fold _with_added",
        "max(read.start, new.start)",
        "min(read.start, new.start)",
    ),
    Mutant(
        "added values are not compared with what was read",
        "fold _with_added",
        "rest is not None and rules.covers(sync.reads, rest)",
        "rest is not None",
    ),
    Mutant("added values forget a gap", "fold _with_added", "worse(read.gap, new.gap)", "None"),
    Mutant(
        "keep leaves no gap",
        "fold completed",
        "Read(filters=sync.filters, start=sync.kept, until=sync.started, gap=sync.kept)",
        "Read(filters=sync.filters, start=sync.kept, until=sync.started)",
    ),
    Mutant("keep is forgotten", "fold completed", "sync.kept is not None", "False"),
    Mutant(
        "an order in progress ends with any read",
        "fold completed",
        "[new] if each.sync.order else kept",
        "kept",
    ),
    Mutant(
        "a sync in progress never ends with another one",
        "fold completed",
        "not _has_ended(each, [new] if each.sync.order else kept, rules)",
        "True",
    ),
    Mutant(
        "only one sync is in progress",
        "fold advance",
        "(*_others(position, sync.id), progress)",
        "(progress,)",
    ),
    Mutant(
        "a sync counts whose page 1 is missing",
        "fold advance",
        "(old is None and page.page > 1) or (old and page.page <= old.pages)",
        "old and page.page <= old.pages",
    ),
    Mutant(
        "a page counts that is there already",
        "fold advance",
        "(old is None and page.page > 1) or (old and page.page <= old.pages)",
        "old is None and page.page > 1",
    ),
    Mutant(
        "pages that are skipped leave no gap",
        "fold advance",
        "old.has_gap or page.page > old.pages + 1",
        "old.has_gap",
    ),
    Mutant(
        "a gap of a sync in progress is forgotten",
        "fold advance",
        "old.has_gap or page.page > old.pages + 1",
        "page.page > old.pages + 1",
    ),
    Mutant(
        "a page dropped behind the head leaves no gap",
        "fold advance",
        "page.dropped is not None",
        "False",
    ),
    Mutant("a page dropped at the head counts", "fold advance", "page.dropped == 'head'", "False"),
    Mutant(
        "later pages alone are no beginning",
        "fold advance",
        "replace(position, is_begun=True)",
        "replace(position, is_begun=position.is_begun or page.page == 1)",
    ),
    Mutant("the rows of a sync are those of a page", "fold advance", "old.rows if old else 0", "0"),
    Mutant(
        "an order is never noted",
        "fold _begun",
        "max(position.order, sync.order or '')",
        "position.order",
    ),
    Mutant(
        "the last order counts, not the newest",
        "fold _begun",
        "max(position.order, sync.order or '')",
        "sync.order or position.order",
    ),
    Mutant(
        "page 1 leaves the sync that it begins over",
        "fold _begun",
        "_others(position, sync.replaces)",
        "position.progress",
    ),
    Mutant(
        "8a: reads get no gap",
        "fold gapped",
        "with_gap(position.reads, dropped.since)",
        "position.reads",
    ),
    Mutant(
        "8a: a gap may start before its read",
        "reads with_gap",
        "max(since, read.start)",
        "since",
    ),
    Mutant(
        "8a: a gap may start later than before",
        "reads with_gap",
        "read.until > since and (read.gap is None or read.gap > since)",
        "read.until > since",
    ),
    Mutant(
        "8a: syncs in progress get no gap",
        "fold gapped",
        "dropped.sync in (each.sync.id, None)",
        "False",
    ),
    Mutant("8a is not applied", "fold at_entry", "each.number < number <= each.last", "False"),
    Mutant(
        "8a is applied to headers that were written after the drop",
        "fold at_entry",
        "each.number < number <= each.last",
        "each.number < number",
    ),
    Mutant(
        "8a ends before a sync has read the rows again",
        "fold mark_dropped",
        "own == position",
        "own != position",
    ),
    Mutant(
        "8a is applied to headers below the page",
        "fold at_entry",
        "each.number < number <= each.last",
        "number <= each.last",
    ),
    Mutant(
        "a lost page is the next one of any sync",
        "fold lost_page",
        "advance(before, page, rules) == after",
        "True",
    ),
    Mutant(
        "a lost page is of no sync in progress before it",
        "fold lost_page",
        "(*before.progress, *after.progress)",
        "after.progress",
    ),
    Mutant(
        "a lost page is of no sync in progress after it",
        "fold lost_page",
        "(*before.progress, *after.progress)",
        "before.progress",
    ),
    Mutant(
        "a page dropped behind the head is bought again",
        "fold mark_dropped",
        "all(each.dropped == 'head' for each, _ in following)",
        "True",
    ),
    Mutant(
        "a page dropped at the head is a gap",
        "fold mark_dropped",
        "all(each.dropped == 'head' for each, _ in following)",
        "False",
    ),
    Mutant(
        "a page is at the head only if no entry follows",
        "fold mark_dropped",
        "all(each.dropped == 'head' for each, _ in following)",
        "not [*following]",
    ),
    Mutant(
        "a page of an unknown sync leaves no gap",
        "fold mark_dropped",
        "sync.since if sync else ''",
        "sync.since if sync else '9'",
    ),
    # Where a run starts
    Mutant(
        "a state is a number, not an identity",
        "start where",
        "state.entry is not None and archive.id_of(state.offset) == state.entry",
        "archive.id_of(state.offset) is not None or state.offset == 0",
    ),
    Mutant(
        "an unknown state loads from the first entry",
        "start where",
        "_last_until(state.time, archive)",
        "0",
    ),
    Mutant(
        "an unknown state begins at the head",
        "start where",
        "_last_until(state.time, archive)",
        "archive.head",
    ),
    Mutant(
        "an unknown state is dropped",
        "start where",
        "return Start(_last_until(state.time, archive), state.position, is_behind=True)",
        "return Start(0, NOTHING)",
    ),
    Mutant(
        "a load leaves an entry out",
        "start where",
        "Start(state.offset, state.position)",
        "Start(state.offset + 1, state.position)",
    ),
    Mutant(
        "an entry of the same time is loaded",
        "start _last_until",
        "found > time",
        "found >= time",
    ),
    Mutant(
        "an entry that can't be read is as old as all",
        "start _last_until",
        "range(number, archive.head + 1)",
        "range(number, number + 1) if archive.time_of(number) else range(1, 2)",
    ),
    # Orders
    Mutant(
        "an order holds for ever",
        "orders applies",
        "order.time > max(own.order, archive.order)",
        "True",
    ),
    Mutant(
        "an order: only the archive counts",
        "orders applies",
        "max(own.order, archive.order)",
        "archive.order",
    ),
    Mutant(
        "an order: only the warehouse counts",
        "orders applies",
        "max(own.order, archive.order)",
        "own.order",
    ),
    Mutant(
        "an order: only the last one counts",
        "orders applies",
        "order.time > max(own.order, archive.order)",
        "order.time not in (own.order, archive.order)",
    ),
    Mutant(
        "an order holds for other filters",
        "orders applies",
        "order.filters != wanted.filters",
        "False",
    ),
    Mutant(
        "an order holds for other start dates",
        "orders applies",
        "wanted.is_free or order.start == wanted.start",
        "True",
    ),
    Mutant(
        "an order of a free feed needs its start date",
        "orders applies",
        "wanted.is_free or order.start == wanted.start",
        "order.start == wanted.start",
    ),
    Mutant(
        "an order over a sync holds for ever",
        "orders applies",
        "own.of(order.over) is not None",
        "True",
    ),
    Mutant(
        "an order since a time needs no read",
        "orders is_refused",
        "not any(rules.covers(read.filters, order.filters) for read in archive.reads)",
        "False",
    ),
    Mutant("an archive without entries takes orders", "orders is_refused", "not is_named", "False"),
    Mutant("an order goes by the clock", "orders time_of_order", "now > newest", "True"),
    # What is bought
    Mutant(
        "best: the oldest read",
        "plan best",
        "(read.until, read.gap is None)",
        "(''.join(chr(255 - ord(each)) for each in read.until), read.gap is None)",
    ),
    Mutant(
        "best: with or without a gap",
        "plan best",
        "(read.until, read.gap is None)",
        "read.until",
    ),
    Mutant(
        "best ignores the start date",
        "plan best",
        "read.start <= wanted.start and wanted.rules.covers(read.filters, wanted.filters)",
        "wanted.rules.covers(read.filters, wanted.filters)",
    ),
    Mutant(
        "best ignores filters",
        "plan best",
        "read.start <= wanted.start and wanted.rules.covers(read.filters, wanted.filters)",
        "read.start <= wanted.start",
    ),
    Mutant(
        "planned by the archive's position",
        "plan plan",
        "best(own, wanted)",
        "best(log.position, wanted) or best(own, wanted)",
    ),
    Mutant(
        "an order over a sync is ignored",
        "plan plan",
        "next((each for each in going if each.sync.id == order.over), None)",
        "None",
    ),
    Mutant(
        "a sync begun over by order is a plain full one",
        "plan plan",
        "return begun_over(over.sync, wanted, new, 'restart')",
        "return _full(wanted, new, order)",
    ),
    Mutant(
        "an order is an answer",
        "plan plan",
        "order and order.since is None and (has or going)",
        "order and order.since is None",
    ),
    Mutant(
        "an order waits for the sync in progress",
        "plan plan",
        "order and order.since is None and (has or going)",
        "order and order.since is None and has and not going",
    ),
    Mutant(
        "the oldest sync in progress goes on",
        "plan going_on",
        "sorted(going, key=lambda each: each.sync.started, reverse=True)",
        "sorted(going, key=lambda each: each.sync.started)",
    ),
    Mutant(
        "no sync goes on",
        "plan going_on",
        "[each for each in own.progress if _goes_on(each, has, wanted)]",
        "[]",
    ),
    Mutant(
        "an order since a time waits",
        "plan plan",
        "order is None and _is_recent(wanted, run, new)",
        "_is_recent(wanted, run, new)",
    ),
    Mutant(
        "a sync of other filters goes on",
        "plan _goes_on",
        "sync.filters != wanted.filters",
        "False",
    ),
    Mutant(
        "a free feed goes on with an old window",
        "plan _goes_on",
        "wanted.is_free and sync.since < before(wanted.start, HOUR)",
        "False",
    ),
    Mutant(
        "a sync of a later start date goes on",
        "plan _goes_on",
        "has is not None or sync.start <= wanted.start",
        "True",
    ),
    Mutant(
        "a sync that keeps a gap is for its window",
        "plan _goes_on",
        "sync.start",
        "sync.since",
    ),
    Mutant("no question", "plan _plan_unread", "wanted.choice == 'error'", "False"),
    Mutant(
        "no question of who has nothing but a sync in progress",
        "plan _plan_unread",
        "not own.is_begun",
        "not own.reads",
    ),
    Mutant(
        "keep buys what changed since any read",
        "plan _until_of_alike",
        "alike or own.reads",
        "own.reads",
    ),
    Mutant(
        "nothing says that another pipeline has the rows",
        "plan _question",
        "best(log.position, wanted)",
        "None",
    ),
    Mutant(
        "a run without a state never lacks rows",
        "plan _question",
        "not run.has_state and log.first.is_begun",
        "False",
    ),
    Mutant(
        "added values in spite of an earlier start date",
        "plan nearest",
        "read.start <= wanted.start and "
        "(rest := wanted.rules.added(read.filters, wanted.filters)) is not None",
        "(rest := wanted.rules.added(read.filters, wanted.filters)) is not None",
    ),
    Mutant(
        "the most values are added",
        "plan nearest",
        "-_count(each[1])",
        "_count(each[1])",
    ),
    Mutant(
        "a sync that was finished leaves the lookback to buy",
        "plan _is_recent",
        "any(age <= wanted.lookback for age in ages)",
        "False",
    ),
    Mutant(
        "nothing is left to buy although the last sync began long ago",
        "plan _is_recent",
        "age <= wanted.lookback",
        "True",
    ),
    Mutant("buys for ever", "plan _is_recent", "bool(run.began)", "False"),
    Mutant("added values are all", "plan note", "sync.reads == sync.filters", "True"),
    Mutant(
        "the archive is never healed",
        "plan is_healed",
        "there is not None and before(has.until, HEAL) <= there.until < has.until",
        "False",
    ),
    Mutant(
        "the archive is healed however old it is",
        "plan is_healed",
        "before(has.until, HEAL) <= there.until < has.until",
        "there.until < has.until",
    ),
    Mutant(
        "restart --since is lost",
        "plan _changes",
        "max(min(since, order.since), wanted.start)",
        "since",
    ),
    Mutant(
        "--since may be later than the last read",
        "plan _changes",
        "min(since, order.since)",
        "order.since",
    ),
    Mutant(
        "--since may be before the start date",
        "plan _changes",
        "max(min(since, order.since), wanted.start)",
        "min(since, order.since)",
    ),
    Mutant(
        "changes carry out no order",
        "plan _changes",
        "_begin(wanted, new, why, since=since, order=order)",
        "_begin(wanted, new, why, since=since, order=None)",
    ),
    Mutant("no lookback", "wanted since", "before(instant, self.lookback)", "instant"),
    Mutant(
        "changes since before the start date",
        "wanted since",
        "max(before(instant, self.lookback), self.start)",
        "before(instant, self.lookback)",
    ),
    # Cursors that are rejected, and pages without rows
    Mutant("a paid sync begins over for ever", "plan after_rejection", "old.restarts > 0", "False"),
    Mutant("a free sync begins over for ever", "plan after_rejection", "run.restarts > 0", "False"),
    Mutant(
        "restarts are not counted",
        "plan begun_over",
        "old.restarts + (why == 'rejected')",
        "0",
    ),
    Mutant("a sync begins over under its own id", "plan begun_over", "new.id", "old.id"),
    Mutant("begun over with its old start", "plan begun_over", "new.now", "old.started"),
    Mutant(
        "begun over as if there were no old one",
        "plan begun_over",
        "return Request(sync, 1, 0, None, why)",
        "return Request(replace(sync, replaces=None), 1, 0, None, why)",
    ),
    Mutant(
        "begun over without its order",
        "plan begun_over",
        "return Request(sync, 1, 0, None, why)",
        "return Request(replace(sync, order=None), 1, 0, None, why)",
    ),
    Mutant(
        "begun over without what was kept",
        "plan begun_over",
        "return Request(sync, 1, 0, None, why)",
        "return Request(replace(sync, kept=None), 1, 0, None, why)",
    ),
    Mutant(
        "begun over for the settings' filters",
        "plan begun_over",
        "return Request(sync, 1, 0, None, why)",
        "return Request(replace(sync, reads=sync.filters), 1, 0, None, why)",
    ),
    Mutant(
        "begun over with the start as since",
        "plan begun_over",
        "return Request(sync, 1, 0, None, why)",
        "return Request(replace(sync, since=old.started), 1, 0, None, why)",
    ),
    Mutant(
        "an empty sync always counts",
        "plan moves_nothing",
        "not wanted.is_free or has.until > before(sync.started, DAY)",
        "False",
    ),
    Mutant(
        "an empty sync of a free feed never counts",
        "plan moves_nothing",
        "not wanted.is_free or has.until > before(sync.started, DAY)",
        "True",
    ),
    Mutant(
        "an empty sync never counts",
        "plan moves_nothing",
        "has is None or sync.kept is not None",
        "False",
    ),
    Mutant("the first page counts without rows", "plan moves_nothing", "not own.is_begun", "False"),
    # How a run calls them
    Mutant(
        "a run goes on after an empty sync",
        "run _is_void",
        "not moves_nothing(self.position, request, self.wanted)",
        "True",
    ),
    Mutant(
        "a question comes after the load",
        "run check",
        "isinstance(self.planned, Question)",
        "False",
    ),
    Mutant(
        "a STATE after every page of a load",
        "versions are_settled",
        "self._outstanding <= number",
        "True",
    ),
    Mutant(
        "a STATE only at the end of a load",
        "versions are_settled",
        "self._outstanding <= number",
        "not self._newest",
    ),
    Mutant(
        "a load delivers all versions",
        "versions take_older",
        "version != self._newest[id_][0]",
        "False",
    ),
    Mutant(
        "a load delivers the first version",
        "versions note",
        "known is None or known[0] != version",
        "known is None",
    ),
    Mutant(
        "a refresh does not begin with a STATE",
        "run _load",
        "self.state is None and last",
        "False",
    ),
    Mutant(
        "a page that can't be written is billed in each run",
        "run _prepare",
        "not self._is_proved",
        "False",
    ),
    Mutant(
        "a STATE before the page is an entry",
        "run _state_at",
        "id_ if lasts else None",
        "'x' if lasts else None",
    ),
    Mutant(
        "a night off keeps its place",
        "run _state_at",
        "id_ if lasts else None",
        "id_ if lasts else self.state and self.state.entry",
    ),
)


def main() -> None:
    """Try the mutants, and exit with 1 if one is not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1_000, help="random ones for each mutant")
    parser.add_argument("--only", default="", help="mutants with this text in their name")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if arguments.only in mutant.name]
    for mutant in chosen:
        mutant.apply((ROOT / mutant.module).read_text())
    missed = 0
    with ThreadPoolExecutor(arguments.workers) as pool:
        found = pool.map(lambda mutant: _try(mutant, arguments.histories), chosen)
        for mutant, by in zip(chosen, found, strict=True):
            missed += not by
            sys.stdout.write(f"{'found' if by else 'MISSED':7} {mutant.name}: {by}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - missed} of {len(chosen)} found.\n")
    sys.exit(missed > 0)


def _try(mutant: Mutant, count: int) -> str:
    """Return what finds a mutant: a test, a random history, or nothing."""
    with tempfile.TemporaryDirectory(prefix="log-rule-mutants-") as folder:
        tree = Path(folder)
        for name in _COPIED:
            leave_out = shutil.ignore_patterns("__pycache__", "test_histories.py")
            shutil.copytree(ROOT / name, tree / name, ignore=leave_out)
        for package in ("tests", "tests/sync"):
            (tree / package / "__init__.py").touch()
        file = tree / mutant.module
        file.write_text(mutant.apply(file.read_text()))
        return _find(tree, count)


def _find(tree: Path, count: int) -> str:
    """Return what finds the mutant in a tree: some random histories, a test, or many of them."""
    return _play(tree, count // 10) or _test(tree) or _play(tree, count)


def _test(tree: Path) -> str:
    output = _run(tree, *_PYTEST, "tests/sync/log_rules")
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].rpartition("::")[2][:80] if failed else output[-80:]


def _play(tree: Path, count: int) -> str:
    lines = _run(tree, "-c", _PLAY, f"{count}").splitlines()
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
