"""The tap with the streams of jobs, and what a run says of one stream."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jobo_sandbox import Sandbox
from jobo_sandbox.feeds import FEEDS
from tests.support import Tap, discover
from tests.support.companies import Json, selecting

STREAMS = tuple(sorted(["billed_pages", "companies", *FEEDS]))
"""All streams, by the feeds of the sandbox, in the order in which a run reads them."""
PRICED = tuple(name for name in STREAMS if name in FEEDS and FEEDS[name].price)
"""The streams whose rows cost something."""
FILTERS: Json = {
    "jobs_locations": [{"city": "London", "country": "United Kingdom"}, {"country": "Germany"}],
    "jobs_sources": ["ashby", "greenhouse", "lever_co", "personio", "recruitee", "workday"],
    "jobs_work_models": ["onsite", "remote"],
    "jobs_employment_types": ["contract", "full-time"],
    "jobs_experience_levels": ["lead", "mid", "senior"],
    "jobs_posted_after": "2020-01-31",
}
"""A value of each filter of the jobs, as the state keeps it but for the date."""
POSTED_AFTER = "2020-01-31T00:00:00.000000Z"


def tap_of(sandbox: Sandbox, folder: Path, *streams: str) -> Tap:
    """The tap with these streams selected and no others."""
    selected = {name: name in streams for name in STREAMS}
    return Tap(sandbox, folder, catalog=selecting(discover(), **selected))


def instant(text: str) -> datetime:
    """Read an instant of the API or of the state."""
    return datetime.fromisoformat(text).astimezone(UTC)
