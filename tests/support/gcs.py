"""As much of Google Cloud Storage as the journal needs, on this machine: its XML API in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_ITEM = (
    "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size>"
    "</Contents>"
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.objects: dict[str, tuple[int, bytes, datetime]] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        wanted = self.headers.get("x-goog-if-generation-match")
        with self.server.lock:
            generation = self.server.objects.get(self._key(), (0,))[0]
            if wanted is not None and int(wanted) != generation:
                self._answer(412)
                return
            self.server.objects[self._key()] = generation + 1, body, datetime.now(UTC)
        self._answer(200, key=self._key())

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._list(query.get("prefix", [""])[0])
        elif self._key() in self.server.objects:
            self._answer(200, self.server.objects[self._key()][1], key=self._key())
        else:
            self._answer(404)

    do_HEAD = do_GET  # noqa: N815

    def do_DELETE(self) -> None:
        self._answer(204 if self.server.objects.pop(self._key(), None) else 404)

    def _list(self, prefix: str) -> None:
        items = [
            _ITEM.format(escape(key), at.isoformat(), generation, len(body))
            for key, (generation, body, at) in sorted(self.server.objects.items())
            if key.startswith(prefix)
        ]
        page = f"<ListBucketResult>{''.join(items)}</ListBucketResult>"
        self._answer(200, page.encode())

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).split("/", 2)[2]

    def _answer(self, status: int, body: bytes = b"", *, key: str = "") -> None:
        self.send_response_only(status)
        if key:
            generation, _, at = self.server.objects[key]
            self.send_header("ETag", f'"{generation}"')
            self.send_header("x-goog-generation", str(generation))
            self.send_header("Last-Modified", format_datetime(at, usegmt=True))
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serve_gcs(folder: Path) -> Iterator[dict[str, str]]:
    """Serve an empty bucket; give what the environment has to say to reach it."""
    with _Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = {
            "gcs_base_url": f"http://127.0.0.1:{server.server_port}",
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        (folder / "account.json").write_text(json.dumps(account))
        try:
            yield {
                "GOOGLE_SERVICE_ACCOUNT": str(folder / "account.json"),
                "GOOGLE_ALLOW_HTTP": "true",
            }
        finally:
            server.shutdown()
