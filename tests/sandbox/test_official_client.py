"""Jobo's official Python client against the sandbox: its models check what the sandbox serves."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from jobo_enterprise import JoboClient, JoboPermissionError, LocationFilter, WorkModel

from jobo_sandbox import Sandbox


@pytest.fixture
def client(hiring: Sandbox) -> Iterator[JoboClient]:
    with JoboClient(hiring.api_key, base_url=hiring.url) as client:
        yield client


def test_it_reads_every_job(hiring: Sandbox, client: JoboClient) -> None:
    hiring.cursor_carries = "everything"  # which it relies on: it sends the cursor alone
    jobs = list(client.feed.iter_jobs(batch_size=40))
    rows = hiring.world.jobs()
    assert [str(job.id) for job in jobs] == list(rows)
    for job in jobs:
        row = rows[str(job.id)]
        assert job.model_dump(mode="json").keys() == row.keys()
        assert (job.title, job.company.name) == (row["title"], row["company"]["name"])
        assert [place.model_dump() for place in job.locations] == row["locations"]
        assert job.qualifications.model_dump() == row["qualifications"]
    assert len(hiring.requests_to("jobs")) == 3
    assert client.feed.get_jobs().estimated_total == 90


def test_its_filters_are_understood(hiring: Sandbox, client: JoboClient) -> None:
    some = client.feed.get_jobs(
        locations=[LocationFilter(country="Germany")],
        work_models=[WorkModel.REMOTE, WorkModel.HYBRID],
        posted_after=hiring.now() - timedelta(days=90),
        updated_after=hiring.now() - timedelta(days=90),
        stable_scan=True,
    ).jobs
    assert 0 < len(some) < 90
    assert all(any(place.country == "Germany" for place in job.locations) for job in some)


def test_it_reads_managed_jobs(hiring: Sandbox, client: JoboClient) -> None:
    jobs = list(client.feed.iter_managed_jobs(batch_size=10))
    assert [str(job.id) for job in jobs] == list(hiring.world.managed_jobs())
    hiring.managed_sources = False
    with pytest.raises(JoboPermissionError):
        client.feed.get_managed_jobs()


def test_it_reads_the_ids_of_expired_jobs(hiring: Sandbox, client: JoboClient) -> None:
    since = hiring.now()
    keys = list(hiring.world.jobs())[:12]
    for key in keys:
        hiring.world.expire_job(key)
    read = list(client.feed.iter_expired_job_ids(expired_since=since, batch_size=5))
    assert read == [UUID(key) for key in keys]
    assert len(hiring.requests_to("expired_jobs")) == 3
