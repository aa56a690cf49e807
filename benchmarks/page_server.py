"""A server of a feed that is quick enough not to count: `python -m benchmarks.page_server ROWS`.

Pages are made beforehand and sent from memory; nothing is checked but where the page starts. It
prints its address and serves until it is ended. A request with `updated_after` gets an empty
page, as a quiet feed would give. With a second argument it serves jobs of so many bytes each
instead of career sites.
"""

from __future__ import annotations

import json
import socketserver
import sys
from email.utils import formatdate
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from benchmarks import job_pages
from benchmarks.job_pages import JobPages

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = 50
_DISTINCT_ROWS: Final = 50_000
"""Rows repeat after so many, but for their ids, so that more rows need no more memory here."""

_NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: %s\r\n\r\n"


def _row(number: int) -> dict[str, Any]:
    company = UUID(int=number << 80, version=4)
    slug = f"company-{number}"
    return {
        "id": str(company),
        "name": f"Company {number} GmbH",
        "website": f"https://www.{slug}.example",
        "logo_url": f"https://cdn.jobo.example/logos/{company}.png",
        "summary": f"Company {number} makes software for people who keep lists of caf\u00e9s. " * 2,
        "industries": ["saas", "fintech", "education"][: number % 3 + 1],
        "linkedin_url": f"https://www.linkedin.com/company/{slug}" if number % 4 else None,
        "crunchbase_url": None,
        "ats": ("greenhouse", "lever", "workday", "personio")[number % 4],
        "listing_url": f"https://boards.greenhouse.io/{slug}",
        "details_url": f"https://connect.jobo.world/api/companies/{company}",
        "updated_at": f"2026-01-{number % 28 + 1:02}T08:00:00Z",
    }


def _pages(rows: int) -> Iterator[bytes]:
    """Yield the bodies of all pages, but for what follows the rows."""
    numbers = iter(range(min(rows, _DISTINCT_ROWS)))
    while page := list(islice(numbers, PAGE)):
        listed = json.dumps([_row(number) for number in page], ensure_ascii=False)
        yield f'{{"career_sites": {listed}'.encode()


class _CareerSites:
    """The pages of career sites."""

    size = PAGE
    price = 50
    empty = b'{"career_sites": []'

    def __init__(self, rows: int) -> None:
        self._pages = list(_pages(rows))

    def page(self, number: int, _rows: int) -> bytes:
        """Return the body of a page, but for what follows its rows."""
        lap, number = divmod(number, len(self._pages))
        return self._pages[number].replace(b"-8000-000000000000", b"-8000-%012x" % lap)


class _Jobs(JobPages):
    """The pages of jobs."""

    size = job_pages.PAGE
    price = 3
    empty = b'{"jobs": []'


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while self.rfile.readline():
            length = 0
            while (header := self.rfile.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if length:
                self._answer(json.loads(self.rfile.read(length)))
            else:  # the profile of nobody, whose answer tells the time
                self.request.sendall(_NOT_FOUND % formatdate(usegmt=True).encode())

    def _answer(self, request: dict[str, Any]) -> None:
        feed = self.server.feed
        number = int(request.get("cursor") or 0)
        before = number * feed.size
        rows = 0 if request.get("updated_after") else max(self.server.rows - before, 0)
        start = feed.page(number, min(rows, feed.size)) if rows else feed.empty
        end = b', "has_more": false}'
        if rows > feed.size:
            end = b', "has_more": true, "next_cursor": "%d"}' % (number + 1)
        headers = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"X-Credits-Deducted: %d\r\nX-Credits-Balance: 1000000000\r\nDate: %s\r\n\r\n"
            % (
                len(start) + len(end),
                feed.price * min(rows, feed.size),
                formatdate(usegmt=True).encode(),
            )
        )
        self.request.sendall(headers + start + end)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, rows: int, job_bytes: int) -> None:
        self.rows = rows
        self.feed: _CareerSites | _Jobs = _Jobs(job_bytes) if job_bytes else _CareerSites(rows)
        super().__init__(("127.0.0.1", 0), _Handler)


if __name__ == "__main__":
    with _Server(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 0) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)  # noqa: T201
        server.serve_forever()
