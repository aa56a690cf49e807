"""An API of sockets, for responses that no HTTP server sends."""

import json
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any
from uuid import UUID

Respond = Callable[[socket.socket], None]
"""Reads from a connection what it wants, and writes a response."""


class Server(socketserver.ThreadingTCPServer):
    """Serves each connection with the next of its handlers, the last one for all that follow."""

    daemon_threads = True

    def __init__(self, *handlers: Respond) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._handlers = handlers
        self.address = f"127.0.0.1:{self.server_address[1]}"  #: its host and port
        self.connections = 0  #: how many there were
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    def finish_request(self, request: Any, *_: object) -> None:
        handler = self._handlers[min(self.connections, len(self._handlers) - 1)]
        self.connections += 1
        with suppress(OSError):
            handler(request)

    def close(self) -> None:
        """Take no more connections."""
        self.shutdown()
        self.server_close()


class RawApi(Server):
    """Serves the clock, and each page as it is told."""

    def __init__(self) -> None:
        self.respond: Respond = send_page  #: writes a page; the default is a last page of two rows
        self.pages = 0  #: how many pages were requested
        super().__init__(self._answer)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request and (part := connection.recv(1 << 16)):
            request += part
        if request.startswith(b"POST"):
            self.pages += 1
            self.respond(connection)
        elif request:
            send_clock(connection)


def page(rows: int = 2, **more: Any) -> bytes:
    """The body of a page."""
    items = [{"id": str(UUID(int=n)), "name": f"Company {n}"} for n in range(1, rows + 1)]
    body = {"career_sites": items, "has_more": False, "next_cursor": None, **more}
    return json.dumps(body).encode()


def head(length: int | None, *headers: str, deducted: int | None = 100) -> bytes:
    """The head of a response with these headers."""
    lines = [
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        f"Date: {formatdate(usegmt=True)}",
    ]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if deducted is not None:
        lines.append(f"X-Credits-Deducted: {deducted}")
    return "\r\n".join([*lines, *headers, "Connection: close", "", ""]).encode()


def send_page(connection: socket.socket) -> None:
    """Send a last page of two rows."""
    send(connection, page())


def send(connection: socket.socket, body: bytes, *headers: str, deducted: int | None = 100) -> None:
    connection.sendall(head(len(body), *headers, deducted=deducted) + body)


def send_clock(connection: socket.socket) -> None:
    """Send the 404 of an unknown company, whose header has the time."""
    date = formatdate(usegmt=True)
    text = (
        f"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: {date}\r\nConnection: close\r\n\r\n"
    )
    connection.sendall(text.encode())


def drip(content: bytes, pause: threading.Event) -> Respond:
    """Return what sends one byte after the other, and never ends by itself."""

    def respond(connection: socket.socket) -> None:
        for byte in content:
            connection.sendall(bytes([byte]))
            if pause.wait(0.05):
                return
        while not pause.wait(0.05):
            connection.sendall(b" ")

    return respond
