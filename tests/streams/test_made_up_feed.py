"""A feed that Jobo does not have, declared here: it syncs, resumes and costs like the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from singer_sdk import typing as th

from tap_jobo.cli import run
from tap_jobo.clock import parse_timestamp
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.fields import RESCUED_DATA, instant, key, text
from tap_jobo.tap import TapJobo
from tests.support import Run, complaint, entry_of, environment, execute, kept_signals
from tests.support.repository import REPOSITORY

SPEC = FeedSpec(
    name="badges",
    path="/api/badges/feed",
    item_key="badges",
    schema=th.PropertiesList(
        key("Id."), text("name", "Name."), instant("updated_at", "Last change."), RESCUED_DATA
    ),
    method="GET",
    since="changed_since",
    since_is_inclusive=True,
    page_cap=7,
    list_price=2,
)
ROWS = 20
"""Three pages: 7, 7 and 6."""


class MadeUpTap(TapJobo):
    """The tap with one feed more."""

    feeds: ClassVar[Sequence[FeedSpec]] = (*FEEDS, SPEC)


def main() -> None:
    """Run the command with that tap."""
    with patch("tap_jobo.cli.TapJobo", MadeUpTap):
        run()


def _rows(start: int, count: int) -> list[dict[str, object]]:
    return [{"id": str(UUID(int=n)), "name": f"row {n}"} for n in range(start, start + count)]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path.startswith("/api/companies/"):  # for the clock
            self._answer(404, {})
            return
        query = dict(parse_qsl(address.query))
        self.server.requests.append((address.path, query))
        start = int(query.get("cursor", "0"))
        if len(self.server.requests) in self.server.failing:
            self._answer(400, {"detail": "made-up failure"})
            return
        left = 0 if SPEC.since in query else ROWS - start
        rows = _rows(start, min(left, int(query["batch_size"])))
        following = str(start + len(rows)) if len(rows) < left else None
        body = {"badges": rows, "next_cursor": following, "has_more": following is not None}
        self._answer(200, body)

    def do_POST(self) -> None:
        """Answer as the career sites: one page of three."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        sites = [
            {**row, "ats": "lever", "listing_url": "https://example.com"} for row in _rows(1000, 3)
        ]
        self._answer(200, {"career_sites": sites, "next_cursor": None, "has_more": False})

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if isinstance(content, dict) and "badges" in content:
            self.send_header("X-Credits-Deducted", str(2 * len(content["badges"])))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    """The API.

    Attributes:
        requests: The path and the parameters of each request.
        failing: The numbers of the requests that fail.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.failing: set[int] = set()

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


@dataclass
class MadeUp:
    """The made-up tap as a process, and the API that it reads."""

    server: _Server
    folder: Path

    def run(self, stream: str = SPEC.name, state: object = None, **settings: Any) -> Run:
        """Sync one stream."""
        with kept_signals():
            catalog = MadeUpTap(validate_config=False).catalog_dict
        for entry in catalog["streams"]:
            (whole,) = (each for each in entry["metadata"] if not each["breadcrumb"])
            whole["metadata"]["selected"] = entry["tap_stream_id"] == stream
        config = {
            "api_key": "jbe_test_made_up",
            "api_url": f"http://127.0.0.1:{self.server.server_port}",
            "journal_dir": str(self.folder / "journal"),
            "max_credits": 10**9,  # without a limit, a first sync logs a WARNING
            **settings,
        }
        program = f"from {__name__} import main; main()"
        command = [sys.executable, "-c", program]
        for name, content in {"config": config, "state": state or {}, "catalog": catalog}.items():
            path = self.folder / f"{name}.json"
            path.write_text(json.dumps(content))
            command += [f"--{name}", str(path)]
        return execute(command, environment(self.folder), cwd=REPOSITORY)


@pytest.fixture
def made_up(tmp_path: Path) -> Iterator[MadeUp]:
    server = _Server()
    with server.serving():
        yield MadeUp(server, tmp_path)


def _bookmark(run: Run) -> dict[str, Any]:
    part: dict[str, Any] = run.state["bookmarks"]["badges"]
    return part


def test_it_is_discovered() -> None:
    with kept_signals():
        catalog = MadeUpTap(validate_config=False).catalog_dict
    entry = entry_of(catalog, "badges")
    assert entry["replication_method"] == "INCREMENTAL"
    assert list(entry["schema"]["properties"]) == ["id", "name", "updated_at", "_rescued_data"]


def test_it_syncs_page_by_page_with_the_cursor_in_the_query(made_up: MadeUp) -> None:
    run = made_up.run()
    assert run.returncode == 0, run.stderr
    assert [row["name"] for row in run.records] == [f"row {number}" for number in range(ROWS)]
    first = {"batch_size": "7"}
    queries = [first, {**first, "cursor": "7"}, {**first, "cursor": "14"}]
    assert made_up.server.requests == [("/api/badges/feed", query) for query in queries]
    assert run.lines("WARNING") == run.lines("ERROR") == []
    (summary,) = (line for line in run.lines("INFO") if line.startswith("Summary"))
    assert summary == ("Summary: badges: 20 rows in 3 pages, 40 credits ($0.04); sync complete.")


def test_its_state_has_a_bookmark_and_the_next_sync_starts_there(made_up: MadeUp) -> None:
    run = made_up.run()
    assert run.states[0]["bookmarks"]["badges"]["scan"]["cursor"] == "7"
    part = _bookmark(run)
    assert part["completed_scan"] == run.states[0]["bookmarks"]["badges"]["scan"]["id"]
    assert part["scan"]["started_at"] is None
    bookmark = parse_timestamp(part["replication_key_value"])

    again = made_up.run(state=run.state)
    assert again.returncode == 0, again.stderr
    assert again.records == []
    (query,) = (query for _, query in made_up.server.requests[3:])
    assert (bookmark - parse_timestamp(query["changed_since"])).total_seconds() == 15 * 60


def test_it_is_resumed_from_the_journal_after_a_failure(made_up: MadeUp) -> None:
    made_up.server.failing = {3}
    assert "made-up failure" in complaint(made_up.run())

    again = made_up.run()  # without a state: the target stored nothing
    assert again.returncode == 0, again.stderr
    assert [row["name"] for row in again.records] == [f"row {number}" for number in range(ROWS)]
    assert [query.get("cursor") for _, query in made_up.server.requests] == [None, "7", "14", "14"]
    assert again.metrics["jobo_rows_replayed"] == 14
    assert again.metrics["jobo_credits"] == 12


def test_it_resumes_from_its_state_after_a_failure(made_up: MadeUp) -> None:
    made_up.server.failing = {3}
    run = made_up.run()
    assert _bookmark(run)["scan"]["cursor"] == "14"
    again = made_up.run(state=run.state)
    assert [row["name"] for row in again.records] == [f"row {number}" for number in range(14, 20)]
    assert len(made_up.server.requests) == 4


def test_career_sites_never_replay_its_pages(made_up: MadeUp) -> None:
    made_up.server.failing = {3}
    complaint(made_up.run())
    other = made_up.run("career_sites")
    assert other.returncode == 0, other.stderr
    assert [row["name"] for row in other.records] == ["row 1000", "row 1001", "row 1002"]
    assert other.metrics["jobo_rows_replayed"] == 0
    assert made_up.server.requests[3:] == [("/api/career-sites/feed", {"batch_size": 50})]

    again = made_up.run(state=other.state)
    assert again.metrics["jobo_rows_replayed"] == 14
    assert len(made_up.server.requests) == 5


def test_budget_below_its_page_is_refused_before_a_request(made_up: MadeUp) -> None:
    line = complaint(made_up.run(max_credits=13))
    assert "14 credits of one page of 7 rows of badges" in line
    assert "Set it to 14 or more. If your plan" in line
    assert made_up.server.requests == []
    assert made_up.run(max_credits=14).metrics["jobo_credits"] == 14
