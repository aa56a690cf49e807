"""A tap with singer-python, as most older ones are: a loop, and its Transformer for each row."""

from __future__ import annotations

import json
import sys

import requests
import singer
from singer import Transformer

schema = json.loads(sys.argv[3])
is_jobs = sys.argv[2] == "jobs"
path, rows = ("/api/jobs/feed", "jobs") if is_jobs else ("/api/career-sites/feed", "career_sites")
body = {"batch_size": 1_000 if is_jobs else 50}
session = requests.Session()
session.headers["X-Api-Key"] = "key"
singer.write_schema(rows, schema, ["id"])
with Transformer() as transformer:
    while True:
        answer = session.post(f"{sys.argv[1]}{path}", json=body, timeout=120)
        answer.raise_for_status()
        page = answer.json()
        for row in page[rows]:
            singer.write_record(rows, transformer.transform(row, schema))
        singer.write_state({"bookmarks": {rows: {"cursor": page.get("next_cursor")}}})
        if not page["has_more"]:
            break
        body["cursor"] = page["next_cursor"]
