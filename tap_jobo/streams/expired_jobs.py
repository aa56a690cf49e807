"""Expired jobs: the ids of jobs that have expired, free."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from singer_sdk import typing as th

from tap_jobo.streams.feed_spec import Continuation, FeedSpec
from tap_jobo.streams.fields import instant, key

SCHEMA: Final = th.PropertiesList(
    key("Id of the job, the same as in jobs."),
    instant(
        "reported_at",
        "Start of the sync that reported the job as expired. The job has expired if this is later "
        "than both its updated_at and its _sdc_extracted_at in jobs, since jobs can return.",
    ),
)
EXPIRED_JOBS: Final = FeedSpec(
    name="expired_jobs",
    path="/api/jobs/expired",
    item_key="job_ids",
    schema=SCHEMA,
    method="GET",
    since="expired_since",
    since_is_inclusive=True,
    longest_lookback=timedelta(days=7),
    gap_advice=(
        "To recover, run a full refresh of jobs ($3.00 per 1,000 rows at list price), and delete "
        "the rows that it does not return."
    ),
    page_cap=10_000,
    list_price=0,
    continuation=Continuation.QUERY_REPEATED,
    is_journaled=False,
    replication_key="reported_at",
    to_row=lambda item, started_at: {"id": item, "reported_at": started_at},
)
