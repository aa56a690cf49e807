"""What an archive of many entries costs a run: no more than one of ten."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tap_jobo.archive import layout
from tests.archive.helpers import change
from tests.support import Tap
from tests.support.archives import Files, files_at
from tests.support.s3 import S3, Weather

pytestmark = pytest.mark.slow

FEW, MANY = 10, 2_020
LAST = 40
"""How many of the last entries are there: no run looks for those between the first and them."""


def begin(tap: Tap, files: Files, entries: int) -> dict[str, Any]:
    """Let the archive have so many entries, and a row change; return the state at the last one."""
    first = tap.succeed()
    change(tap, first.ids[0], name="Before")
    state: dict[str, Any] = tap.succeed(state=first.state).state
    head = files.pages[-1]
    key = layout.PAGE.fullmatch(head)
    assert key
    for number in range(max(5, entries - LAST), entries + 1):
        files.store.replace(layout.page_name(key["key"], number), files.store.read(head))
    change(tap, first.ids[0], name="Since")
    state["bookmarks"]["career_sites"]["offset"] = entries
    return state


def run_in(tap: Tap, location: str, entries: int, clear: Callable[[], None]) -> None:
    """Run the tap in an archive of so many entries; what has happened before is cleared."""
    tap.settings |= {"archive_dir": location, "max_credits_per_month": 10**6}
    state = begin(tap, files_at(location), entries)
    clear()
    run = tap.succeed(state=state)
    assert (len(run.ids), run.lines("WARNING")) == (1, [])
    assert run.bookmark["offset"] == entries + 1


def test_a_run_beside_a_large_archive_opens_and_lists_as_many_files(tap: Tap) -> None:
    counts = []
    log = tap.folder / "opened"
    for entries in (FEW, MANY):
        archive = f"{tap.folder}/{entries}"
        run_in(tap, archive, entries, lambda: tap.oddities.update(TEST_OPENED=str(log)))
        del tap.oddities["TEST_OPENED"]
        opened = log.read_text().replace(archive, "ARCHIVE").splitlines()
        log.unlink()
        unnumbered = [re.sub(r"(?<=/)\d{6,9}|\.\w{8}(?=\.tmp)", "", line) for line in opened]
        counts.append(Counter(line for line in unnumbered if "ARCHIVE" in line))
    few, many = counts
    assert few == many
    assert 10 < few.total() < 45


def test_a_run_beside_a_large_archive_sends_as_many_requests(
    tap: Tap, s3: S3, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the bucket lists only some of its names in each request."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", str(LAST // 2))
    counts = []
    for entries in (FEW, MANY):
        run_in(tap, f"{s3.url}/{entries}", entries, weather.requests.clear)
        counts.append(Counter(method for method, _ in weather.requests))
    few, many = counts
    assert few == many
    assert 10 < few.total() < 45
