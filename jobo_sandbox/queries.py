"""What a request asks for, and the cursor that carries it from page to page."""

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass

from jobo_sandbox.company_data import Json
from jobo_sandbox.filters import FILTERS, Row, instant, typed
from jobo_sandbox.instants import DAY
from jobo_sandbox.ledger import Endpoint
from jobo_sandbox.world import Position

MAX_BATCH_SIZE = 50
MAX_JOBS = 1_000
MAX_EXPIRED = 10_000
# Not documented: clients must not rely on it.
_DEFAULT_EXPIRED = 1_000
_LONGEST_LOOKBACK = 7 * DAY
# Earlier than every update.
_ALWAYS = 0
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

    def matches(self, endpoint: Endpoint, row: Row) -> bool:
        """Whether a row of a feed passes the filters."""
        known = FILTERS[endpoint]
        return all(known[name].passes(wanted, row) for name, wanted in self.filters.items())


def read_query(body: Json, endpoint: Endpoint) -> Query:
    """Read a request for career sites or jobs.

    Raises:
        ValueError: If the API would reject it. The message is meant for the user.
    """
    filters = {name: each.read(body, name) for name, each in FILTERS[endpoint].items()}
    given = {name: value for name, value in filters.items() if value not in (None, [])}
    most, ticks = (MAX_BATCH_SIZE, 0) if endpoint == "feed" else (MAX_JOBS, 1)
    since = instant(body, "updated_after")
    newer_than = _ALWAYS if since is None else since - ticks  # of jobs, `since` is included
    return Query(given, newer_than, _batch_size(body, most, most))


def read_expired_query(parameters: Json, now: int) -> Query:
    """Read a request for expired jobs: the parameters of its URL.

    Raises:
        ValueError: If the API would reject it. The message is meant for the user.
    """
    size = parameters.get("batch_size")
    if size is not None and not size.isdecimal():
        raise ValueError("batch_size must be an integer.")
    number = {"batch_size": None if size is None else int(size)}
    since = instant(parameters, "expired_since")
    if since is None:
        since = now - DAY
    if since < now - _LONGEST_LOOKBACK:
        raise ValueError("expired_since must not be more than 7 days ago.")
    return Query({}, since - 1, _batch_size(number, _DEFAULT_EXPIRED, MAX_EXPIRED))


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page of a scan starts: after a row, after so many pages. Signed.

    With a lifetime, it has the instant of its issue in microseconds since 1970.
    """

    endpoint: Endpoint
    query: Query
    order: str
    after: Position | None
    pages: int
    issued_at: int = 0


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


def _batch_size(body: Json, default: int, most: int) -> int:
    size = typed(body, "batch_size", int, "an integer")
    size = default if size is None else size
    if not 1 <= size <= most:
        raise ValueError(f"batch_size must be between 1 and {most}.")
    return int(size)
