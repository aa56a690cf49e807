"""Jobs: those of the world's companies that have not expired."""

from collections.abc import Iterator

from jobo_sandbox.feed import Feed
from jobo_sandbox.filters import any_of, in_places, since, trait
from jobo_sandbox.instants import parse
from jobo_sandbox.job_data import Job
from jobo_sandbox.pricing import price_of_jobs
from jobo_sandbox.queries import Cursor
from jobo_sandbox.world import Position, World


def _walk(world: World, cursor: Cursor) -> Iterator[tuple[Position, Job]]:
    for position, job in world.board.walk(cursor.after):
        if job.updated_at > cursor.query.newer_than:
            yield position, job


def _was_posted(wanted: int, job: Job) -> bool:
    posted = job.row["date_posted"]
    return bool(job.created_at >= wanted or (posted and parse(posted) >= wanted))


FEED = Feed(
    path="/api/jobs/feed",
    item_key="jobs",
    walk=_walk,
    row=lambda world, key: world.board.row(key),
    filters={
        "locations": in_places(lambda job: job.row["locations"]),
        "sources": any_of(lambda job: job.row["source"], field="source"),
        "work_models": any_of(trait("work_model")),
        "employment_types": any_of(trait("employment")),
        "experience_levels": any_of(trait("experience")),
        "posted_after": since(_was_posted),
    },
    largest_page=1_000,
    since_is_inclusive=True,
    price=price_of_jobs,
    estimates=True,
    order="created_at",
)
