"""Changes the tap, one place at a time, and checks that the near tests fail: `just mutants COUNT`.

It takes COUNT random changes of `sync`, `archive`, and `api`: another comparison, `and` for `or`, a
part of a condition less, a condition that always holds or never, `max` for `min`, a number that is
one higher, a statement less. Each is made in a copy of the tree, in which the tests
near the module then run until the first one fails. It shows a table by module and the mutants that
survive. mutants.toml explains, by function, why some change nothing that matters.

The tools on PyPI did not fit: mutmut changes only what pytest imports, but most tests run the
installed command; cosmic-ray knows one test command for all modules and takes no sample.
"""

from __future__ import annotations

import argparse
import ast
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from uv import find_uv_bin

from jobo_sandbox.patience import patient

ROOT: Final = Path(__file__).parents[1]
EXPLAINED: Final = Path(__file__).with_suffix(".toml")
GOAL: Final = 0.95
PACKAGES: Final = {
    "api": ("api", "streams", "archive/test_monthly_limit.py"),
    "archive": ("archive",),
    "sync": (
        "sync/test_rules.py",
        "sync/test_traps.py",
        "sync/test_histories.py",
        "sync",
        "streams",
        "archive",
        "singer/test_billed_pages.py",
    ),
}
"""The tests near the modules of each package: those that fail for most mutants come first."""
MODULES: Final = sorted(
    path.relative_to(ROOT / "tap_jobo").with_suffix("").as_posix()
    for package in PACKAGES
    for path in (ROOT / "tap_jobo" / package).glob("*.py")
)
_SWAPS: Final[dict[type[Any], type[Any]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A change of one place.

    Attributes:
        module: Such as `sync/start`.
        function: The class and function around it.
        start: The place's first byte.
        end: The byte after its last one.
        old: What is there.
        new: What stands there instead.
    """

    module: str
    function: str
    start: int
    end: int
    old: str
    new: str

    @property
    def path(self) -> Path:
        """The module's file, from the root of the tree."""
        return Path("tap_jobo", f"{self.module}.py")

    @property
    def place(self) -> str:
        """The function, as mutants.toml names it."""
        return f"{self.module} {self.function}"

    @property
    def name(self) -> str:
        """The function and the change."""
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.place}: {old} -> {new}"

    @property
    def near(self) -> tuple[str, ...]:
        """The tests that may notice it."""
        return PACKAGES[self.module.partition("/")[0]]

    def apply(self, source: bytes) -> bytes:
        """Return the module's source with the change."""
        return source[: self.start] + self.new.encode() + source[self.end :]


def mutants_of(module: str) -> Iterator[Mutant]:
    """Yield all mutants of a module."""
    source = (ROOT / "tap_jobo" / f"{module}.py").read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node, function in _walk(ast.parse(source), ()):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        old = source[start:end].decode()
        for new in _changed(node, function):
            yield Mutant(module, ".".join(function) or "module", start, end, old, new)


def _walk(
    node: ast.AST, function: tuple[str, ...]
) -> Iterator[tuple[ast.stmt | ast.expr, tuple[str, ...]]]:
    """Yield statements and expressions that may change anything, with the function around them."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = (*function, node.name)
    if isinstance(node, ast.stmt | ast.expr):
        yield node, function
    for name, value in ast.iter_fields(node):
        if name not in {"annotation", "returns", "decorator_list", "bases"}:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _changes_nothing(child):
                    yield from _walk(child, function)


def _changes_nothing(node: ast.AST) -> bool:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.keyword) and node.arg == "frozen":  # as in decorators
        return True
    return isinstance(node, ast.JoinedStr | ast.Assert)  # places in f-strings are wrong before 3.12


def _changed(node: ast.stmt | ast.expr, function: Sequence[str]) -> Iterator[str]:
    """Yield what mutants have in place of a node."""
    if isinstance(node, ast.stmt):
        is_set_up = bool(function) and function[-1].endswith("init__")
        if _can_be_removed(node) and not is_set_up:
            yield "pass"
        return
    for changed in (*_changed_conditions(node), *_changed_values(node)):
        yield f"({ast.unparse(changed)})"


def _can_be_removed(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Call()) | ast.Assign(targets=[ast.Attribute()]):
            return True
    return isinstance(node, ast.Raise | ast.AugAssign | ast.Continue | ast.Break)


def _changed_conditions(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(left, [operator], others) if type(operator) in _SWAPS:
            yield ast.Compare(left, [_SWAPS[type(operator)]()], others)
            yield from (ast.Constant(value) for value in (True, False))
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(_SWAPS[type(operator)](), values)
            for place in range(len(values)):
                yield ast.BoolOp(operator, values[:place] + values[place + 1 :])
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.IfExp(_, body, other):
            yield from (body, other)


def _changed_values(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in _SWAPS:
            yield ast.BinOp(left, _SWAPS[type(operator)](), right)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Call(ast.Name("min" | "max" as name), arguments, keywords):
            other = ast.Name("max" if name == "min" else "min")
            yield ast.Call(other, arguments, keywords)


class Copy:
    """A copy of the tree with an environment of its own, whose command is the copy's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)  # noqa: S603
        for name in filter(None, names.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self._environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
        sync = [find_uv_bin(), "sync", "--quiet"]
        subprocess.run(sync, cwd=folder, env=self._environment, check=True)  # noqa: S603

    def test(self, mutant: Mutant) -> str:
        """Return what became of a mutant: `killed`, `timed out`, or `survived`."""
        file = self.folder / mutant.path
        source = file.read_bytes()
        file.write_bytes(mutant.apply(source))
        try:
            return self.run(mutant.near, "-n0", timeout=TIMEOUT)
        finally:
            file.write_bytes(source)

    def run(self, tests: Iterable[str], *options: str, timeout: float | None = None) -> str:
        """Return what became of the code as it is now."""
        files = [f"tests/{name}" for name in dict.fromkeys(tests)]
        command = [".venv/bin/python", "-m", "pytest", "-x", "-q", "-pno:cacheprovider"]
        with subprocess.Popen(  # noqa: S603
            [*command, *options, *files],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            self._process = process
            try:
                return "killed" if process.wait(timeout) else "survived"
            except subprocess.TimeoutExpired:
                return "timed out"
            finally:
                self.end()
                self._process = None

    def end(self) -> None:
        """End the tests that run in it, if any do."""
        if process := self._process:
            with suppress(ProcessLookupError):  # nothing of it is left
                os.killpg(process.pid, signal.SIGKILL)


TIMEOUT: Final = patient(600)
"""Seconds for the tests of one mutant: it must not end a slow machine's tests."""


def try_out(mutants: Sequence[Mutant], workers: int) -> dict[Mutant, str]:
    """Test mutants, so many at a time; return what became of each. Ends if tests fail anyway."""
    results: dict[Mutant, str] = {}
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    is_over = threading.Event()

    def work(tree: Copy) -> None:
        while not (waiting.empty() or is_over.is_set()):
            mutant = waiting.get()
            began = time.monotonic()
            result = tree.test(mutant)
            if is_over.is_set():  # so it was not tested to its end
                return
            results[mutant] = result
            seconds = time.monotonic() - began
            _write(f"{len(results):4} {results[mutant]:9} {seconds:4.0f} s  {mutant.name}")

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees = [Copy(Path(folder, str(number))) for number in range(workers)]
        _require_success(trees[0], mutants)
        with ThreadPoolExecutor(workers) as pool:
            working = [pool.submit(work, tree) for tree in trees]
            try:
                for each in working:
                    each.result()
            finally:  # also after Ctrl-C, which reaches none of the tests
                is_over.set()
                while not all(each.done() for each in working):
                    for tree in trees:
                        tree.end()
                    time.sleep(0.1)
    return results


def _require_success(tree: Copy, mutants: Iterable[Mutant]) -> None:
    near = dict.fromkeys(name for mutant in mutants for name in mutant.near)
    if tree.run(near) != "survived":
        files = " ".join(f"tests/{name}" for name in near)
        sys.exit(f"The tests fail without a mutant. See why: uv run pytest -x {files}")


def report(results: dict[Mutant, str], explained: Mapping[str, str]) -> float:
    """Write the table and the survivors; return the share that was killed."""
    counts = {module: Counter[str]() for module in sorted({each.module for each in results})}
    survivors = []
    for mutant, result in results.items():
        is_explained = result == "survived" and mutant.place in explained
        counts[mutant.module]["explained" if is_explained else result] += 1
        if result == "survived":
            why = f" ({explained[mutant.place]})" if is_explained else ""
            survivors.append(f"{mutant.name}{why}")
    columns = ("killed", "timed out", "survived", "explained")
    _write(f"{'':20}" + "".join(f"{name:>11}" for name in columns))
    total: Counter[str] = sum(counts.values(), Counter())
    for module, count in [*counts.items(), ("all", total)]:
        _write(f"{module:20}" + "".join(f"{count[name]:>11}" for name in columns))
    for name in sorted(survivors):
        _write(f"survived: {name}")
    tested = total.total() - total["explained"]
    return 1 - total["survived"] / tested if tested else 1.0


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("less than 1")
    return number


def main() -> None:
    """Test some mutants, and exit with 1 if too few are killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=_at_least_one)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(16))
    parser.add_argument(
        "--of", nargs="+", default=MODULES, choices=MODULES, metavar="MODULE", help="as sync/start"
    )
    parser.add_argument("--workers", type=_at_least_one, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to clean up then, too
    every = [mutant for module in arguments.of for mutant in mutants_of(module)]
    explained = tomllib.loads(EXPLAINED.read_text())["explained"]
    places = {mutant.place for module in MODULES for mutant in mutants_of(module)}
    if gone := sorted(explained.keys() - places):
        sys.exit(f"{EXPLAINED.name} explains mutants of what is gone: {', '.join(gone)}")
    chosen = random.Random(arguments.seed).sample(every, min(arguments.count, len(every)))  # noqa: S311
    _write(f"{len(chosen)} of {len(every):,} mutants, chosen with --seed {arguments.seed}:")
    share = report(try_out(chosen, arguments.workers), explained)
    _write(f"{share:.0%} killed.")
    sys.exit(share < GOAL)


if __name__ == "__main__":
    main()
