"""Cursors: opaque to the client, signed, and with everything in them that a scan needs."""

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass

from jobo_sandbox.order import Order, Position
from jobo_sandbox.query import Query

_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page of a scan starts.

    Attributes:
        query: What the scan asks for.
        order: The order of its rows.
        after: The position of the last company that was delivered.
        pages: How many pages there were before.
        issued_at: The instant when it was handed out, in microseconds since 1970.
    """

    query: Query
    order: Order
    after: Position | None
    pages: int
    issued_at: int


def write_cursor(cursor: Cursor, secret: bytes) -> str:
    """Make the text of a cursor, safe within a URL."""
    payload = json.dumps(asdict(cursor), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(payload, secret) + payload).decode().rstrip("=")


def read_cursor(text: str, secret: bytes) -> Cursor:
    """Read the text of a cursor.

    Raises:
        ValueError: If it was not written with this secret.
    """
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(payload, secret)):
        raise ValueError("not a cursor of this sandbox")
    fields = json.loads(payload)
    after = fields["after"] and (fields["after"][0], fields["after"][1])
    return Cursor(**fields | {"query": Query(**fields["query"]), "after": after})


def _sign(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, payload, hashlib.sha256)[:_SIGNATURE_BYTES]
