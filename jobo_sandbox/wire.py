"""What goes over the wire: replies, and error bodies in all shapes."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

Shape = Literal["problem", "message", "error", "text"]

JSON = "application/json"
PROBLEM = "application/problem+json"
HTML = "text/html"
TEXT = "text/plain"


@dataclass
class Reply:
    """A status, a body (JSON, unless the content type says otherwise) and headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON

    def payload(self) -> bytes:
        """Encode the body."""
        if self.content_type not in {JSON, PROBLEM}:
            return self.body if isinstance(self.body, bytes) else str(self.body).encode()
        try:
            return json.dumps(self.body, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # UTF-8 cannot encode lone surrogates; JSON can escape them
            return json.dumps(self.body).encode()


def error(status: int, detail: str, shape: Shape, **members: Any) -> Reply:
    """Make an error reply.

    Args:
        status: The HTTP status.
        detail: A message for the user.
        shape: An RFC 9457 problem document, `{"status", "error", "message"}`, `{"error"}` alone,
            or the detail as text.
        members: Further members of a body in one of the first two shapes.
    """
    title = HTTPStatus(status).phrase
    if shape == "text":
        return Reply(status, detail, content_type=TEXT)
    if shape == "error":
        return Reply(status, {"error": detail})
    if shape == "problem":
        body = {"title": title, "status": status, "detail": detail} | members
        return Reply(status, body, content_type=PROBLEM)
    return Reply(status, {"status": status, "error": title, "message": detail} | members)


def invalid_cursor(shape: Shape) -> Reply:
    """Make the reply to a cursor that is malformed, foreign or expired."""
    return error(400, "Invalid cursor", shape)
