"""What the API answers: replies, and errors in both of its body shapes."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

Shape = Literal["problem", "message"]

JSON = "application/json"
PROBLEM = "application/problem+json"
HTML = "text/html"


@dataclass
class Reply:
    """A status, a body (JSON, unless it is text or bytes by its type), and headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON

    def payload(self) -> bytes:
        """The body as it goes over the wire."""
        if self.content_type not in {JSON, PROBLEM}:
            return self.body if isinstance(self.body, bytes) else str(self.body).encode()
        try:
            return json.dumps(self.body, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # lone surrogates have no UTF-8, only an escape
            return json.dumps(self.body).encode()


def error(status: int, detail: str, shape: Shape, **members: Any) -> Reply:
    """An error of the API.

    Args:
        status: The HTTP status.
        detail: A sentence for the user.
        shape: An RFC 9457 problem document, or `{"status", "error", "message"}`.
        members: What the body has besides.
    """
    title = HTTPStatus(status).phrase
    if shape == "problem":
        body = {"title": title, "status": status, "detail": detail} | members
        return Reply(status, body, content_type=PROBLEM)
    return Reply(status, {"status": status, "error": title, "message": detail} | members)


def invalid_cursor(shape: Shape) -> Reply:
    """What a cursor gets that was never issued, was issued elsewhere, or has expired."""
    return error(400, "Invalid cursor", shape)


def restart_required(shape: Shape) -> Reply:
    """What a cursor gets that can no longer be continued."""
    detail = "The feed has changed; start it over without a cursor."
    return error(409, detail, shape, code="feed_cursor_restart_required")
