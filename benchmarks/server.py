"""A server of a feed: `python -m benchmarks.server ROWS JOB_BYTES LATENCY INTERVAL`.

It sends pages from memory, prints its address, and serves until it is ended. A job has `JOB_BYTES`;
with 0, the rows are career sites. A page takes `LATENCY` seconds, and one is begun every `INTERVAL`
seconds at most: a request that comes too early waits, so that no program needs to handle a 429.
With 0 for both, the server is never the bottleneck.
"""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import time
from contextlib import contextmanager
from email.utils import formatdate
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from benchmarks.pages import Pages
from benchmarks.processes import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: %s\r\n\r\n"
_OK: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"X-Credits-Deducted: %d\r\nX-Credits-Balance: 1000000000\r\nDate: %s\r\n\r\n"
)


@contextmanager
def serving(rows: int, job_bytes: int, latency: float = 0, interval: float = 0) -> Iterator[str]:
    """Run the server in a process of its own and yield its address."""
    arguments = [str(each) for each in (rows, job_bytes, latency, interval)]
    command = [sys.executable, "-m", "benchmarks.server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as server:
        try:
            assert server.stdout  # noqa: S101 - a pipe, as asked for
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


class _Handler(socketserver.StreamRequestHandler):
    server: Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while self.rfile.readline():
            length = 0
            while (header := self.rfile.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if length:
                self._send_page(json.loads(self.rfile.read(length)))
            else:  # the profile of nobody, whose response carries the time
                self.request.sendall(_NOT_FOUND % _date())

    def _send_page(self, request: dict[str, Any]) -> None:
        self.server.wait()
        pages = self.server.pages
        number = int(request.get("cursor") or 0)
        total = 0 if request.get("updated_after") else self.server.rows  # nothing changes
        left = max(total - number * pages.size, 0)
        rows = min(left, pages.size)
        start = pages.start_of(number, rows) if rows else b'{"%s": []' % pages.key.encode()
        end = b', "has_more": false}'
        if left > rows:
            end = b', "has_more": true, "next_cursor": "%d"}' % (number + 1)
        head = _OK % (len(start) + len(end), pages.price * rows, _date())
        self.request.sendall(head + start + end)


class Server(socketserver.ThreadingTCPServer):
    """The server, whose arguments are those of the command."""

    daemon_threads = True

    def __init__(self, rows: int, job_bytes: int, latency: float, interval: float) -> None:
        self.rows, self.pages = rows, Pages(job_bytes)
        self._latency, self._interval = latency, interval
        self._free, self._lock = 0.0, Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def wait(self) -> None:
        """Wait as long as the API would take for a page."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free)
            self._free = begin + self._interval
        time.sleep(begin + self._latency - now)


def _date() -> bytes:
    return formatdate(usegmt=True).encode()


if __name__ == "__main__":
    rows, job_bytes, latency, interval = sys.argv[1:5]
    with Server(int(rows), int(job_bytes), float(latency), float(interval)) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)  # noqa: T201
        server.serve_forever()
