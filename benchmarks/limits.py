"""How much of what Jobo's rate limits and the latency allow the tap makes use of."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from benchmarks.commands import catalog
from benchmarks.processes import environment
from benchmarks.quick_clock import quick
from jobo_sandbox import FEED_LIMITS, PROFILE_LIMITS, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from jobo_sandbox import Entry

_QUICKER: Final = 20
_MINUTES: Final = 5
_ROUND_TRIP: Final = 0.1
"""Seconds that an answer takes, where the limit is how many may be open at once."""


@dataclass(frozen=True)
class Use:
    """What a run made of what was allowed.

    Attributes:
        name: What set the limit.
        share: Of what was possible, how much was made.
        refused: Of the requests that were made, how many were answered with 429.
    """

    name: str
    share: float
    refused: float


def uses(folder: Path) -> Iterator[Use]:
    """Yield what the tap makes of each limit; files of the runs go into a folder."""
    yield _feed_limit(folder)
    yield _profile_limit(folder)
    for workers in (4, 16):
        yield _concurrency(folder, workers, is_named=True)
        yield _concurrency(folder, workers, is_named=False)


def _feed_limit(folder: Path) -> Use:
    limit = FEED_LIMITS[0][0]
    began = time.time()
    clock = partial(quick, began, _QUICKER)
    with Sandbox(size=limit * (_MINUTES + 1), rate_limits=FEED_LIMITS, clock=clock) as sandbox:
        _run(sandbox, folder, {"batch_size": 1}, ["career_sites"], began)
        return _by_the_minute(f"{limit} pages a minute", sandbox.feed_requests, limit)


def _profile_limit(folder: Path) -> Use:
    limit = PROFILE_LIMITS[0][0]
    size = limit * (_MINUTES + 1)
    began = time.time()
    clock = partial(quick, began, _QUICKER)
    with Sandbox(size=size, profile_rate_limits=PROFILE_LIMITS, clock=clock) as sandbox:
        _run(sandbox, folder, _named(sandbox, folder), ["companies"], began)
        return _by_the_minute(f"{limit} profiles a minute", sandbox.profile_requests, limit)


def _by_the_minute(name: str, entries: Sequence[Entry], limit: int) -> Use:
    """Compare the requests of the first minutes with what the limit allows."""
    end = entries[0].time + timedelta(minutes=_MINUTES)
    made = [entry for entry in entries if entry.time < end]
    refused = sum(entry.status == HTTPStatus.TOO_MANY_REQUESTS for entry in made)
    return Use(name, (len(made) - refused) / (limit * _MINUTES), refused / len(made))


def _concurrency(folder: Path, workers: int, *, is_named: bool) -> Use:
    """Compare a run with the least time that so many workers need.

    The profiles of career sites are read page by page, as the state may pass a page only when
    its profiles are out. The least time is then that of each page, and of the page itself.
    """
    with Sandbox(size=400, latency=_ROUND_TRIP) as sandbox:
        settings: dict[str, Any] = {"companies_concurrency": workers}
        settings |= _named(sandbox, folder) if is_named else {}
        _run(
            sandbox, folder, settings, ["companies"] if is_named else ["career_sites", "companies"]
        )
        pages = [len(entry.row_ids) for entry in sandbox.feed_requests] or [len(sandbox.world)]
        last = max(entry.time for entry in sandbox.ledger)
        took = (last - sandbox.ledger[0].time).total_seconds() + _ROUND_TRIP
    rounds = sum(math.ceil(page / workers) for page in pages) + len(sandbox.feed_requests)
    whose = "named companies" if is_named else "the career sites of a run"
    return Use(f"profiles of {whose}, {workers} at once", rounds * _ROUND_TRIP / took, 0)


def _named(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    ids = folder / "ids.txt"
    ids.write_text("\n".join(sandbox.world.rows()))
    return {"company_ids_file": str(ids)}


def _run(
    sandbox: Sandbox,
    folder: Path,
    settings: Mapping[str, Any],
    streams: Sequence[str],
    began: float | None = None,
) -> None:
    """Run the tap; in the sandbox's quicker time, if it says since when that passes."""
    config, selection = folder / "config.json", folder / "catalog.json"
    base = {"api_key": sandbox.api_key, "api_url": sandbox.url, "journal": False}
    config.write_text(json.dumps(base | dict(settings)))
    selection.write_text(json.dumps(catalog(*streams)))
    factor = "1" if began is None else str(_QUICKER)
    clock = [sys.executable, "-m", "benchmarks.quick_clock", str(began or 0), factor]
    subprocess.run(
        [*clock, "--config", str(config), "--catalog", str(selection)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
