"""What reads a feed to standard output: the tap, and a loop that keeps nothing."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from benchmarks.feed import KEY, PROGRAMS
from benchmarks.processes import Contender

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.feed import Feed

LOOP: Final = "loop over `requests`"
OURS: Final = "tap-jobo"
OFF: Final = "tap-jobo, `archive: false`"


def readers(feed: Feed) -> list[Contender]:
    """Return all readers."""
    return [feed.script(LOOP, "requests_loop.py"), tap(feed), tap(feed, OFF, archive=False)]


def tap(feed: Feed, name: str = OURS, **settings: object) -> Contender:
    """Return the tap, which begins without an archive."""
    config = {"api_key": KEY, "api_url": feed.url, "archive_dir": str(archive_of(feed))}
    files = ["--config", feed.write(name, {**config, **settings})]
    files += ["--catalog", feed.write("catalog", feed.catalog)]
    command = [str(PROGRAMS / "tap-jobo"), *files]
    return Contender(name, command, lambda: forget(feed))


def archive_of(feed: Feed) -> Path:
    """Return the folder of the tap's archive."""
    return feed.folder / "archive"


def forget(feed: Feed) -> None:
    """Remove the tap's archive."""
    shutil.rmtree(archive_of(feed), ignore_errors=True)


def peer(feed: Feed, package: str, file: str, *arguments: str, note: str = "") -> Contender:
    """Return a script in the environment of a package, named by the package and its version."""
    python, (name, _, _) = feed.installed(package, "requests") / "python", package.partition("[")
    code = f"from importlib.metadata import version; print(version({name!r}))"
    command = [str(python), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    title = f"{name} {done.stdout.strip()}{note}"
    return feed.script(title, file, *arguments, package=package)
