"""What a careful engineer would write without the tap: it saves each page before it parses it."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import requests

url, database, folder, filters = (
    sys.argv[1],
    sys.argv[2],
    Path(sys.argv[3]),
    json.loads(sys.argv[4]),
)
headers = {"X-Api-Key": os.environ["JOBO_API_KEY"]}
columns = ("id", "name", "website", "summary", "ats", "listing_url")


def saved() -> list[Path]:
    """Return the files of the pages, in their order."""
    return sorted(folder.glob("*.json"))


def next_request() -> dict[str, Any]:
    """Return what continues after the last page: the same sync, or one of what changed since."""
    last = json.loads(saved()[-1].read_text()) if saved() else None
    if last is None or last["filters"] != filters:
        return {"began": datetime.now(UTC).isoformat(), "body": filters}
    if last["page"]["has_more"]:
        return {
            "began": last["began"],
            "body": last["body"] | {"cursor": last["page"]["next_cursor"]},
        }
    since = datetime.fromisoformat(last["began"]) - timedelta(minutes=15)
    body = filters | {"updated_after": since.isoformat()}
    return {"began": datetime.now(UTC).isoformat(), "body": body}


def buy() -> None:
    """Save pages until the sync is complete."""
    has_more = True
    while has_more:
        request = next_request()
        response = requests.post(
            f"{url}/api/career-sites/feed", json=request["body"], headers=headers, timeout=300
        )
        response.raise_for_status()
        page = response.json()
        file = folder / f"{len(saved()):06}.json"
        with file.with_suffix(".tmp").open("w") as output:
            json.dump(request | {"page": page, "filters": filters}, output)
            output.flush()
            os.fsync(output.fileno())
        file.with_suffix(".tmp").rename(file)
        has_more = page["has_more"]


def load() -> None:
    """Upsert the rows of the pages that the warehouse does not have."""
    with psycopg.connect(database) as warehouse:
        warehouse.execute("CREATE TABLE IF NOT EXISTS loaded (pages int)")
        warehouse.execute(
            f"CREATE TABLE IF NOT EXISTS sites ({' text, '.join(columns)} text, UNIQUE (id))"
        )
        (done,) = warehouse.execute("SELECT coalesce(max(pages), 0) FROM loaded").fetchone() or (0,)
        for file in saved()[done:]:
            for row in json.loads(file.read_text())["page"]["career_sites"]:
                values = [row.get(column) for column in columns]
                marks = ", ".join(["%s"] * len(columns))
                updates = ", ".join(f"{column} = excluded.{column}" for column in columns)
                warehouse.execute(
                    f"INSERT INTO sites VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}",  # noqa: S608
                    values,
                )
        warehouse.execute("INSERT INTO loaded VALUES (%s)", [len(saved())])


folder.mkdir(exist_ok=True)
try:
    buy()
finally:
    load()
