"""The archive's files, seen from outside, and what runs say of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tap_jobo.archive.page import decode_page, encode_page
from tap_jobo.model import BilledPage, PageHeader
from tests.support import Run, Tap, complaint, execute


def pages(folder: Path) -> list[Path]:
    """The files of all pages, in the order in which they were written."""
    return sorted(folder.glob("v2/*/[0-9]*/*.page"))


def name_of(page: Path) -> str:
    """What messages and the command call a page."""
    sync = json.loads((page.parent / "sync.json").read_text())
    return f"{sync['id']}.{int(page.stem)}"


def names(folder: Path) -> list[str]:
    return [name_of(page) for page in pages(folder)]


def header(page: Path) -> PageHeader:
    return decode_page(page.read_bytes()).header


def rewrite(page: Path, **changes: Any) -> None:
    """Change the header or the body of a page."""
    found = decode_page(page.read_bytes())
    body = changes.pop("body", found.body)
    page.write_bytes(encode_page(BilledPage(replace(found.header, **changes), body)))


def damage(page: Path, position: int = -3) -> None:
    """Change one byte of a page."""
    content = bytearray(page.read_bytes())
    content[position] ^= 1
    page.write_bytes(content)


def quarantined(folder: Path) -> list[Any]:
    files = sorted(folder.glob("v2/*/quarantine/*"))
    return [json.loads(file.read_text()) for file in files if file.suffix != ".disputed"]


def succeeded(run: Run) -> Run:
    assert run.returncode == 0, run.stderr
    return run


def replayed(run: Run) -> float:
    """The rows that a run which ended well read from the archive."""
    return succeeded(run).metrics["jobo_rows_replayed"]


def refused(tap: Tap, state: object) -> str:
    """The complaint of a run that ends before its first request, and writes no state but its own.

    Unlike one that `Tap.refuse` runs, it may have begun.
    """
    requests = len(tap.sandbox.ledger)
    run = tap.run(state=state)
    assert len(tap.sandbox.ledger) == requests
    assert run.records == []
    assert all(each == state for each in run.states)
    return complaint(run)


def run_unprivileged(tap: Tap) -> Run:
    """Run as a user to whom the modes of files apply, also where the tests run as root."""
    command = tap.command()
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        assert setpriv, "as root, the tests need setpriv of util-linux"
        without = "-dac_override,-dac_read_search"
        command = [setpriv, "--bounding-set", without, "--inh-caps", without, *command]
    return execute(command, tap.environment())


def archive_command(tap: Tap, *args: str, yes: bool = True) -> Run:
    """Run `tap-jobo-archive` on the tap's archive."""
    folder = {"TAP_JOBO_ARCHIVE_DIR": str(tap.folder / "archive")}
    more = ["--yes"] if args[0] == "drop" and yes else []
    command = [sys.executable, "-m", "tap_jobo.archive", *args, *more]
    return execute(command, tap.environment(folder))
