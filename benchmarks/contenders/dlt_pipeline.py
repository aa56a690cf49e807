"""A dlt pipeline of its `rest_api` source: into Postgres, or only its extract step.

The extract step writes rows to files, as a tap writes them to its output, and prints their number.
With `json`, objects and lists are columns and rows are upserted, as target-postgres does both.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import dlt
from dlt.sources.rest_api import rest_api_source

url, path, rows, size = sys.argv[1:5]
database, tables, working_folder = [*sys.argv[5:], "", "", ""][:3]
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
    "client": {"base_url": url, "headers": {"X-Api-Key": os.environ["JOBO_API_KEY"]}},
    "resources": [
        {"name": rows, "primary_key": "id", "write_disposition": "merge", "endpoint": endpoint}
    ],
}
if tables == "json":
    config["resources"][0] |= {
        "write_disposition": {"disposition": "merge", "strategy": "upsert"},
        "max_table_nesting": 0,
    }
with tempfile.TemporaryDirectory() as temporary:
    source, folder = rest_api_source(config), working_folder or temporary
    if database:
        into = dlt.destinations.postgres(database)
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
