"""What stands between the tap and S3, and does not always let requests through."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.support.s3 import S3, environment


class Weather:
    """Passes requests on, except where `decide` says `503`, or `black hole` for no answer.

    Attributes:
        decide: Tells from method and path what becomes of a request.
        requests: Method and path of all requests so far.
    """

    def __init__(self) -> None:
        self.decide: Callable[[str, str], str] = lambda *_: ""
        self.requests: list[tuple[str, str]] = []
        self.env: dict[str, str] = {}
        self.is_over = threading.Event()


@contextmanager
def weather_before(s3: S3) -> Iterator[Weather]:
    """Put it between the tap and a server."""
    weather = Weather()
    behind = urlsplit(s3.address).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            weather.requests.append((self.command, self.path))
            decision = weather.decide(self.command, self.path)
            if decision == "black hole":
                weather.is_over.wait()
                self.close_connection = True
            elif decision == "503":
                self._answer(503, [], b"")
            else:
                connection = http.client.HTTPConnection(behind, timeout=10)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                kept = [
                    (name, value)
                    for name, value in answer.getheaders()
                    if name.lower() not in ("content-length", "transfer-encoding", "connection")
                ]
                length = answer.getheader("Content-Length")
                self._answer(answer.status, kept, answer.read(), length)
                connection.close()

        def _answer(
            self, status: int, headers: list[tuple[str, str]], body: bytes, length: Any = None
        ) -> None:
            with suppress(OSError):  # whoever asked has given up
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", length or str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - http.server's

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        weather.env = environment(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield weather
        finally:
            weather.is_over.set()
            server.shutdown()
