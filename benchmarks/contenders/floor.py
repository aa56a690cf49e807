"""The least that reading the feed can cost in Python: `http.client` and orjson."""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

import orjson

connection = http.client.HTTPConnection(urlsplit(sys.argv[1]).netloc)
is_jobs = sys.argv[2:] == ["jobs"]
path, rows = ("/api/jobs/feed", "jobs") if is_jobs else ("/api/career-sites/feed", "career_sites")
body = {"batch_size": 1_000 if is_jobs else 50}
while True:
    connection.request("POST", path, orjson.dumps(body), {"X-Api-Key": "key"})
    page = orjson.loads(connection.getresponse().read())
    for row in page[rows]:
        sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    if not page["has_more"]:
        break
    body["cursor"] = page["next_cursor"]
