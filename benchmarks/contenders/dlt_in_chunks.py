"""A dlt pipeline that loads some pages at a time: its way to resume a long load.

The cursor is in the state of the resource, which dlt commits together with the rows.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import dlt
from dlt.sources.helpers import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

url, path, rows, size, database, folder, pages = sys.argv[1:8]


@dlt.resource(name=rows, primary_key="id", write_disposition="merge", max_table_nesting=0)  # type: ignore[untyped-decorator]
def feed() -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each page, from the cursor in the state."""
    state = dlt.current.resource_state()
    while not state.get("is_complete"):
        cursor = {"cursor": state["cursor"]} if state.get("cursor") else {}
        response = requests.post(
            f"{url}{path}",
            json={"batch_size": int(size), **cursor},
            headers={"X-Api-Key": os.environ["JOBO_API_KEY"]},
        )
        page = response.json()
        state |= {"cursor": page["next_cursor"], "is_complete": not page["has_more"]}
        yield page[rows]


pipeline = dlt.pipeline(
    "bench",
    destination=dlt.destinations.postgres(database),
    dataset_name="public",
    pipelines_dir=folder,
)
while not pipeline.run(feed().add_limit(int(pages))).is_empty:
    pass
