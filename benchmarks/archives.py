"""What a load from the archive takes, beside buying the same rows."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.feed import KEY, PROGRAMS, Feed
from benchmarks.processes import Contender, environment, measure
from benchmarks.readers import OURS, archive_of, tap
from benchmarks.server import serving
from tests.support.s3 import serve_in_weather, serve_s3

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

_MEGABYTE: Final = 1_000_000
_LOADED: Final = "tap-jobo, loaded from the archive"
_LATENCY: Final = 0.03  # seconds of a request to the bucket
_ENTRIES: Final = 1_000


def loads(folder: Path, job_bytes: int, options: argparse.Namespace) -> Iterator[str]:
    """Buy a feed, and load the same rows from the archive."""
    rows = options.archived_jobs if job_bytes else options.archived_rows
    with serving(rows, job_bytes) as url:
        feed = Feed(folder, url, job_bytes)
        bought = measure([tap(feed)], 1, rows)[OURS]
        disk = sum(path.stat().st_size for path in archive_of(feed).rglob("*") if path.is_file())
        # Without a state, and with the archive of the run before.
        again = Contender(_LOADED, tap(feed).command)
        loaded = measure([again], options.rounds, rows)[_LOADED]
    yield f"{rows:,} {feed.title}, {disk / _MEGABYTE:.0f} MB in the archive:"
    yield ""
    yield "| how | seconds | rows per second | memory |"
    yield "|---|---|---|---|"
    for name, timing in ((OURS + ", bought", bought), (_LOADED, loaded)):
        seconds = min(timing.seconds)
        yield (
            f"| {name} | {seconds:.1f} | {rows / seconds:,.0f} "
            f"| {timing.memory / _MEGABYTE:.0f} MB |"
        )
    shutil.rmtree(archive_of(feed), ignore_errors=True)


def bucket_loads(folder: Path, job_bytes: int, options: argparse.Namespace) -> Iterator[str]:
    """Load career sites from a bucket whose every request takes 30 ms."""
    del options
    if job_bytes:
        return
    rows = _ENTRIES * 50
    with serving(rows, 0) as url, serve_s3(), serve_in_weather() as (s3, weather):
        feed = Feed(folder, url, 0)
        config = {"api_key": KEY, "api_url": url, "archive_dir": s3.url}
        files = ["--config", feed.write("bucket", config)]
        files += ["--catalog", feed.write("catalog", feed.catalog)]
        command = [str(PROGRAMS / "tap-jobo"), *files]
        env: dict[str, Any] = {**environment(), **s3.env}
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)

        def wait(method: str, _: str) -> str:
            if method == "GET":
                time.sleep(_LATENCY)
            return ""

        weather.decide = wait
        before, began = len(weather.requests), time.perf_counter()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - began
    yield (
        f"{rows:,} career sites in {_ENTRIES:,} pages from a bucket with {_LATENCY * 1_000:.0f} ms "
        f"a request: {seconds:.1f} s, {len(weather.requests) - before:,} requests "
        f"(Python {sys.version_info.major}.{sys.version_info.minor})."
    )
