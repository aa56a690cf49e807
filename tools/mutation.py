"""Shows which changed lines the tests would not notice: mutation testing with cosmic-ray.

`uv run just mutation` for every module of the packages below, `uv run just mutation api/budget` for
some. Each processor works on a module of its own, in a copy of the project with an environment of
its own, so that the tap that tests start as a process is the changed one and your files stay as
they are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
COPIED: Final = (
    *("tap_jobo", "jobo_sandbox", "tests", "tools"),
    *("pyproject.toml", "uv.lock", "README.md", "CHANGELOG.md", "LICENSE"),
)
TESTS: Final = {
    "api": ("api",),
    "api/account": ("api/test_account", "api/test_budget"),
    "api/balance": ("api/test_account", "api/test_budget"),
    "api/budget": ("api/test_account", "api/test_budget"),
    "api/feed_reader": (
        *("sync/test_bookmark", "streams/test_career_sites", "api/test_page"),
        "api/test_budget",
    ),
    "api/page": ("api/test_page", "streams/test_career_sites", "records/test_rows"),
    "api/rate_limit": ("api/test_rate_limit", "api/test_profiles"),
    "api/retry": ("api/test_retry", "api/test_profiles"),
    "journal": ("journal", "sync/test_promises"),
    "scan": ("sync/test_bookmark", "sync/test_scan"),
    "sync": ("sync",),
    "sync/delivery": (
        *("sync/test_promises", "streams/test_career_sites", "api/test_page"),
        *("sync/test_scan", "api/test_budget"),
    ),
    "sync/start": ("sync/test_scan", "sync/test_bookmark"),
}
"""The tests of each package and, where others notice sooner, of a module in it."""
JUSTIFIED: Final = {
    r"if not TYPE_CHECKING:": "what only types need may be imported",
    r"@dataclass\(.*False": "it keeps us from mistakes, mypy does so too",
    r"(?m)^\+.*\bself, .*/, |^\+ +/,$": "it only asks for names",
    r"return msgspec\.json\.decode\(body\), False": "the slow way leads to the same rows",
    r"on_filter_change (>= \"resync\"|<= \"error\")": "the three words have this order",
    r"skew >= timedelta\(0\)": "only a skew of minutes is reported",
    r"min\(asked, 999999999\.0\)": "a second of 30 years",
    r"self\._(last_slot|interval) = -1\.0": "a turn that is over is no turn",
}
"""Changes that make no difference which a test should notice, and why not."""
CONFIG: Final = """
[cosmic-ray]
module-path = "tap_jobo/{module}.py"
test-command = "{python} -m pytest -x -q -n 0 -p tools.mutation_plugin {tests}"
timeout = 150.0

[cosmic-ray.distributor]
name = "local"

# A type's `|` is no code, and one way to get a sum wrong is enough.
[cosmic-ray.filters.operators-filter]
exclude-operators = [
    "core/ReplaceBinaryOperator_(?!Add_Sub|Sub_Add|Mul_Div|Div_Mul|Pow_Mul)",
    "core/ReplaceComparisonOperator_(?!Is_|IsNot_).*_(Is|IsNot)$",
]
"""


@dataclass
class Outcome:
    """What became of the mutants of a module.

    Attributes:
        module: Its name.
        killed: How many made a test fail.
        timeouts: How many of those made the tests hang.
        justified: How many are to survive.
        survivors: The other changes that no test noticed.
    """

    module: str
    killed: int = 0
    timeouts: int = 0
    justified: int = 0
    survivors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.module}: {self.killed} changes noticed ({self.timeouts} by timeout), "
            f"{self.justified} that make no difference, {len(self.survivors)} not noticed"
        )


def main() -> int:
    """Test the modules named on the command line, or all of them."""
    chosen = sys.argv[1:] or modules()
    if unknown_names():
        sys.exit(f"TESTS names what is not there: {', '.join(unknown_names())}.")
    if unknown := set(chosen) - {*modules()}:
        sys.exit(f"No tests are named for {', '.join(unknown)}: there are {', '.join(modules())}.")
    survived = False
    with TemporaryDirectory(prefix="tap-jobo-mutation-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        workers = min(len(chosen), os.cpu_count() or 1)
        for number in range(workers):
            copies.put(_copy(Path(folder) / str(number)))
        with ThreadPoolExecutor(workers) as pool:
            for done in as_completed(pool.submit(_test, module, copies) for module in chosen):
                outcome = done.result()
                survived = survived or bool(outcome.survivors) or not outcome.killed
                sys.stdout.write("\n".join([str(outcome), *outcome.survivors, ""]))
                sys.stdout.flush()
    return int(survived)


def modules() -> list[str]:
    """Return the modules of the packages that have tests here, the longest first."""
    found: dict[str, int] = {}
    for path in (ROOT / "tap_jobo").rglob("*.py"):
        module = path.relative_to(ROOT / "tap_jobo").with_suffix("").as_posix()
        if module.split("/")[0] in TESTS and path.name != "__init__.py":
            found[module] = path.stat().st_size
    return sorted(found, key=lambda module: -found[module])


def unknown_names() -> list[str]:
    """Return what `TESTS` names and that is not there, be it moved or renamed."""
    known = [f"{module}/" for module in modules()]
    unknown = [name for name in TESTS if not any(each.startswith(f"{name}/") for each in known)]
    paths = {path for tests in TESTS.values() for path in map(_path_of, tests)}
    return unknown + [str(path) for path in paths if not (ROOT / path).exists()]


def _tests_of(module: str) -> list[Path]:
    package = module.split("/", maxsplit=1)[0]
    return [_path_of(test) for test in TESTS.get(module, TESTS[package])]


def _path_of(test: str) -> Path:
    """Return the folder or the file that an entry of `TESTS` means."""
    folder = Path("tests") / test
    return folder if (ROOT / folder).is_dir() else folder.with_name(f"{folder.name}.py")


def _copy(folder: Path) -> Path:
    """Copy the project and install it."""
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    groups = ["--no-default-groups", "--group=sandbox", "--group=test", "--group=mutation"]
    environment = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
    _run(folder, "uv", "sync", "--quiet", *groups, env=environment)
    return folder


def _test(module: str, copies: SimpleQueue[Path]) -> Outcome:
    """Let cosmic-ray change a module in a free copy, line by line."""
    folder = copies.get()
    try:
        tools = folder / ".venv" / "bin"
        name = module.replace("/", "-")
        config, session = f"{name}.toml", f"{name}.sqlite"
        (folder / config).write_text(
            CONFIG.format(
                module=module, tests=" ".join(map(str, _tests_of(module))), python=tools / "python"
            )
        )
        _run(folder, tools / "cosmic-ray", "baseline", config)
        _run(folder, tools / "cosmic-ray", "init", config, session)
        _run(folder, tools / "cr-filter-operators", session, config)
        _run(folder, tools / "cosmic-ray", "exec", config, session)
        return _outcome(module, _run(folder, tools / "cosmic-ray", "dump", session))
    finally:
        copies.put(folder)


def _outcome(module: str, dump: str) -> Outcome:
    outcome = Outcome(module)
    for _, result in map(json.loads, dump.splitlines()):
        if result["worker_outcome"] != "normal":
            continue
        change = "\n".join(_change(result["diff"]))
        if result["test_outcome"] != "survived":
            outcome.killed += 1
            outcome.timeouts += result["output"] == "timeout"
        elif any(re.search(pattern, change) for pattern in JUSTIFIED):
            outcome.justified += 1
        else:
            outcome.survivors.append(change)
    return outcome


def _change(diff: str) -> Iterator[str]:
    """Yield the lines of a diff that matter: where it is, and what it changes."""
    for line in diff.splitlines():
        if line.startswith(("@", "-", "+")) and not line.startswith(("---", "+++")):
            yield line


def _run(folder: Path, *command: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a command in a copy and return its output; what it has to complain goes to ours."""
    done = subprocess.run(  # noqa: S603
        list(map(str, command)), cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
