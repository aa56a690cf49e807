"""A dlt pipeline of its `rest_api` source: into Postgres, or only its extract step.

The extract step writes rows to files, as a tap writes them to its output, and prints their number.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import dlt
from dlt.sources.rest_api import rest_api_source

url, path, rows, size = sys.argv[1:5]
endpoint = {
    "path": path,
    "method": "POST",
    "json": {"batch_size": int(size)},
    "data_selector": rows,
    "paginator": {
        "type": "cursor",
        "cursor_path": "next_cursor",
        "cursor_body_path": "cursor",
        "has_more_path": "has_more",
    },
}
config: Any = {
    "client": {"base_url": url, "headers": {"X-Api-Key": "key"}},
    "resources": [
        {"name": rows, "primary_key": "id", "write_disposition": "merge", "endpoint": endpoint}
    ],
}
with tempfile.TemporaryDirectory() as folder:
    source = rest_api_source(config)
    if sys.argv[5:]:
        into = dlt.destinations.postgres(sys.argv[5])
        pipeline = dlt.pipeline(
            "bench", destination=into, dataset_name="public", pipelines_dir=folder
        )
        pipeline.run(source)
    else:
        pipeline = dlt.pipeline("bench", destination="dummy", pipelines_dir=folder)
        pipeline.extract(source)
        metrics = pipeline.last_trace.last_extract_info.metrics
        steps = [step for load in metrics.values() for step in load]
        counts = [step["resource_metrics"].get(rows) for step in steps]
        print(sum(each.items_count for each in counts if each))  # noqa: T201
