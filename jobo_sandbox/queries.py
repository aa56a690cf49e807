"""What a request asks for, and the cursor that carries it from page to page."""

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass

from jobo_sandbox.company_data import Json
from jobo_sandbox.world import Position

ALWAYS = 0
"""An instant before every update."""
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Query:
    """A scan through the feed.

    Attributes:
        filters: The filters that were sent, by their names in the body.
        newer_than: Only rows updated (or expired) after this instant, in microseconds since 1970.
        batch_size: Rows per page.
    """

    filters: Json
    newer_than: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page of a scan starts: after a row, after so many pages. Signed."""

    endpoint: str
    query: Query
    order: str
    after: Position | None
    pages: int


def write_cursor(cursor: Cursor, secret: bytes) -> str:
    """Encode a cursor as URL-safe text."""
    payload = json.dumps(asdict(cursor), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(payload, secret) + payload).decode().rstrip("=")


def read_cursor(text: str, secret: bytes) -> Cursor:
    """Decode a cursor.

    Raises:
        ValueError: If it was not signed with this secret.
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
