"""What people would write without the tap: a loop over `requests.Session`, a JSON line a row."""

from __future__ import annotations

import json
import sys

import requests

session = requests.Session()
session.headers["X-Api-Key"] = "key"
is_jobs = sys.argv[2:] == ["jobs"]
path, rows = ("/api/jobs/feed", "jobs") if is_jobs else ("/api/career-sites/feed", "career_sites")
body = {"batch_size": 1_000 if is_jobs else 50}
while True:
    answer = session.post(f"{sys.argv[1]}{path}", json=body, timeout=120)
    answer.raise_for_status()
    page = answer.json()
    for row in page[rows]:
        print(json.dumps(row))  # noqa: T201
    if not page["has_more"]:
        break
    body["cursor"] = page["next_cursor"]
