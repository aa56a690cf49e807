"""A tap with singer-python, as most older ones are: a loop, and its Transformer for each row."""

from __future__ import annotations

import json
import os
import sys

import requests
import singer
from singer import Transformer

url, path, rows, size, text = sys.argv[1:6]
schema = json.loads(text)
session = requests.Session()
session.headers["X-Api-Key"] = os.environ["JOBO_API_KEY"]
body: dict[str, object] = {"batch_size": int(size)}
singer.write_schema(rows, schema, ["id"])
with Transformer() as transformer:
    while True:
        response = session.post(f"{url}{path}", json=body, timeout=120)
        response.raise_for_status()
        page = response.json()
        for row in page[rows]:
            singer.write_record(rows, transformer.transform(row, schema))
        singer.write_state({"bookmarks": {rows: {"cursor": page.get("next_cursor")}}})
        if not page["has_more"]:
            break
        body["cursor"] = page["next_cursor"]
