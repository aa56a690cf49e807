"""What people would write without the tap: a loop over `requests.Session`, a JSON line per row."""

from __future__ import annotations

import json
import os
import sys

import requests

url, path, rows, size = sys.argv[1:5]
session = requests.Session()
session.headers["X-Api-Key"] = os.environ["JOBO_API_KEY"]
body: dict[str, object] = {"batch_size": int(size)}
while True:
    response = session.post(f"{url}{path}", json=body, timeout=120)
    response.raise_for_status()
    page = response.json()
    for row in page[rows]:
        print(json.dumps(row))  # noqa: T201
    if not page["has_more"]:
        break
    body["cursor"] = page["next_cursor"]
