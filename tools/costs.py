"""Writes the cost table of the documentation: what the sandbox bills for runs of the installed tap.

`uv run tools/costs.py`; a test fails when the table is not what this writes.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from jobo_sandbox import Fault, Hold, Sandbox
from tests.support import Tap, execute
from tests.support.crash import wait_until_quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[1] / "docs/reference/prices-and-limits.md"
SIZE = 10_000
CHANGED = 500


class Account:
    """A sandbox, the tap with its state, and what was billed since the last look."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox = sandbox
        self._tap = Tap(sandbox, folder)
        self._state: object = {}
        self._seen = 0

    def run(self, *arguments: str) -> None:
        """Run the tap to its end and keep the last state."""
        command = self._tap.command(*arguments, state=self._state)
        run = execute(command, self._tap.environment())
        if run.returncode:
            raise RuntimeError(run.stderr)
        self._state = run.state if run.states else self._state

    def run_killed(self, request: int) -> None:
        """Kill the tap while its `request`-th request is in progress; all that it wrote is lost."""
        hold = Hold()
        self._sandbox.faults.add(Fault(hold=hold), on=request)
        command, env = self._tap.command(state=self._state), self._tap.environment()
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=env) as process:  # noqa: S603
            hold.wait(60)
            process.kill()
        hold.release()
        wait_until_quiet(self._sandbox)  # the request is billed, though nobody reads the response

    def change(self, count: int) -> None:
        """Let so many career sites change."""
        for company in islice(self._sandbox.world.rows(), count):
            self._sandbox.world.touch(company)

    def bill(self, what: str) -> str:
        """Return a line of the table about what was billed since the last look."""
        entries = self._sandbox.feed_requests[self._seen :]
        self._seen += len(entries)
        rows = sum(len(entry.row_ids) for entry in entries)
        dollars = sum(entry.credits for entry in entries) / 1_000
        return f"| {what} | {len(entries):,} | {rows:,} | ${dollars:,.2f} |"


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| run | requests | rows billed | cost |"
    yield "|---|---|---|---|"
    with _account() as account:
        account.run("--test")
        yield account.bill("`tap-jobo --test`")
        account.run()
        yield account.bill(f"first sync of {SIZE:,} career sites")
        account.run()
        yield account.bill("incremental run, nothing changed")
        account.change(CHANGED)
        account.run()
        yield account.bill(f"incremental run, {CHANGED} rows changed")
    with _account() as account:
        account.run_killed(SIZE // 100 + 1)
        account.run()
        yield account.bill("first sync, killed halfway, and the next run")


@contextmanager
def _account() -> Iterator[Account]:
    with Sandbox(size=SIZE, balance=10**9) as sandbox, TemporaryDirectory() as folder:
        yield Account(sandbox, Path(folder))


def page() -> str:
    """Return the page with the table as it should be."""
    start, end = "<!-- generated: costs -->\n", "<!-- end of costs -->\n"
    before, rest = PAGE.read_text("utf-8").split(start)
    after = rest.split(end)[1]
    return "".join([before, start, *(f"{line}\n" for line in table()), end, after])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
