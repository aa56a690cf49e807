"""A dlt pipeline's extract step: it writes rows to files, as a tap writes them to its output."""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING, Any

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

if TYPE_CHECKING:
    from collections.abc import Iterator

is_jobs = sys.argv[2:] == ["jobs"]
path, rows = ("/api/jobs/feed", "jobs") if is_jobs else ("/api/career-sites/feed", "career_sites")
client = RESTClient(
    base_url=sys.argv[1],
    headers={"X-Api-Key": "key"},
    paginator=JSONResponseCursorPaginator(
        cursor_path="next_cursor", cursor_body_path="cursor", has_more_path="has_more"
    ),
)


@dlt.resource(name=rows, primary_key="id", write_disposition="merge")  # type: ignore[untyped-decorator]
def feed() -> Iterator[Any]:
    """Yield the pages of the feed."""
    body = {"batch_size": 1_000 if is_jobs else 50}
    yield from client.paginate(path, method="POST", json=body, data_selector=rows)


with tempfile.TemporaryDirectory() as folder:
    pipeline = dlt.pipeline("bench", destination="dummy", pipelines_dir=folder)
    pipeline.extract(feed())
    metrics = pipeline.last_trace.last_extract_info.metrics
    steps = [step for load in metrics.values() for step in load]
    counts = [step["resource_metrics"].get(rows) for step in steps]
    print(sum(each.items_count for each in counts if each))  # noqa: T201
