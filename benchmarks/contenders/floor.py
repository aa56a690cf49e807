"""The least that reading the feed can cost in Python: `http.client` and orjson."""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

import orjson

connection = http.client.HTTPConnection(urlsplit(sys.argv[1]).netloc)
body = {"batch_size": 50}
while True:
    connection.request("POST", "/api/career-sites/feed", orjson.dumps(body), {"X-Api-Key": "key"})
    page = orjson.loads(connection.getresponse().read())
    for row in page["career_sites"]:
        sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    if not page["has_more"]:
        break
    body["cursor"] = page["next_cursor"]
