"""Managed jobs: those of the companies that the account has under Managed Job Scraping."""

from collections.abc import Iterator
from dataclasses import replace

from jobo_sandbox.feeds import jobs
from jobo_sandbox.job_data import Job
from jobo_sandbox.pricing import Account
from jobo_sandbox.queries import Cursor
from jobo_sandbox.world import Position, World


def _walk(world: World, cursor: Cursor) -> Iterator[tuple[Position, Job]]:
    for position, job in jobs.FEED.walk(world, cursor):
        if world.board.is_managed(job):
            yield position, job


def _refusal(account: Account, world: World) -> str:
    has_sources = account.managed_sources and len(world.board)
    return "" if has_sources else "This API key has no managed job sources."


FEED = replace(
    jobs.FEED,
    path="/api/jobs/feed/managed",
    walk=_walk,
    filters={name: jobs.FEED.filters[name] for name in ("sources", "work_models", "posted_after")},
    refusal=_refusal,
)
