"""A dlt pipeline of its `rest_api` source, into Postgres.

Objects and lists are columns and rows are upserted, as target-postgres does both.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import dlt
from dlt.sources.rest_api import rest_api_source

url, path, rows, size, database, *working_folder = sys.argv[1:]
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
resource = {
    "name": rows,
    "primary_key": "id",
    "write_disposition": {"disposition": "merge", "strategy": "upsert"},
    "max_table_nesting": 0,
    "endpoint": endpoint,
}
config: Any = {
    "client": {"base_url": url, "headers": {"X-Api-Key": os.environ["JOBO_API_KEY"]}},
    "resources": [resource],
}
with tempfile.TemporaryDirectory() as temporary:
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(database),
        dataset_name="public",
        pipelines_dir=working_folder[0] if working_folder else temporary,
    )
    pipeline.run(rest_api_source(config))
