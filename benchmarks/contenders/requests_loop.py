"""What people would write without the tap: a loop over `requests.Session`, a JSON line a row."""

from __future__ import annotations

import json
import sys

import requests

session = requests.Session()
session.headers["X-Api-Key"] = "key"
body = {"batch_size": 50}
while True:
    answer = session.post(f"{sys.argv[1]}/api/career-sites/feed", json=body, timeout=120)
    answer.raise_for_status()
    page = answer.json()
    for row in page["career_sites"]:
        print(json.dumps(row))  # noqa: T201
    if not page["has_more"]:
        break
    body["cursor"] = page["next_cursor"]
