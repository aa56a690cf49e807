"""What a request asks for, and the cursor that carries it from page to page."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from jobo_sandbox.company_data import Json
from jobo_sandbox.instants import parse
from jobo_sandbox.world import Order, Position

MAX_BATCH_SIZE = 50
# Each list filter, and the trait that must equal (or contain) one of its values.
_LISTS = {
    "industries": "industries",
    "company_sizes": "company_size",
    "country_codes": "country_code",
    "funding_stages": "funding_stage",
    "company_types": "company_type",
}
_ALLOWED = {"country_codes": "[A-Z]{2}", "company_types": "for_profit|non_profit"}
# Earlier than every update.
_ALWAYS = 0
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Query:
    """A scan through the feed.

    Attributes:
        filters: The filters that were sent, by their names in the body.
        newer_than: Only rows updated after this instant (microseconds since 1970).
        batch_size: Rows per page.
    """

    filters: Json
    newer_than: int
    batch_size: int

    def matches(self, traits: Json) -> bool:
        """Whether a company with these traits passes the filters."""
        return all(_passes(name, wanted, traits) for name, wanted in self.filters.items())


def read_query(body: Json) -> Query:
    """Read the first request of a scan.

    Raises:
        ValueError: If the API would reject it. The message is meant for the user.
    """
    filters = {name: _list(body, name) for name in _LISTS}
    filters["founded_after"] = _typed(body, "founded_after", int, "an integer")
    filters["is_agency"] = _typed(body, "is_agency", bool, "a boolean")
    after = _typed(body, "updated_after", str, "a date-time")
    size = _typed(body, "batch_size", int, "an integer")
    size = MAX_BATCH_SIZE if size is None else size
    if not 1 <= size <= MAX_BATCH_SIZE:
        raise ValueError(f"batch_size must be between 1 and {MAX_BATCH_SIZE}.")
    try:
        newer_than = _ALWAYS if after is None else parse(after)
    except ValueError:
        raise ValueError("updated_after must be a date-time.") from None
    given = {name: value for name, value in filters.items() if value not in (None, [])}
    return Query(given, newer_than, size)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page of a scan starts. Opaque to the client, and signed.

    Attributes:
        query: What the scan asks for.
        order: The order of its rows.
        after: The position of the last row delivered.
        pages: Number of pages before this one.
        issued_at: When the cursor was issued, in microseconds since 1970.
    """

    query: Query
    order: Order
    after: Position | None
    pages: int
    issued_at: int


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


def _typed(body: Json, name: str, kind: type, what: str) -> Any:
    value = body.get(name)
    if value is not None and type(value) is not kind:  # a bool is not an integer here
        raise ValueError(f"{name} must be {what}.")
    return value


def _list(body: Json, name: str) -> list[str]:
    values: list[str] = _typed(body, name, list, "an array of strings") or []
    pattern = re.compile(_ALLOWED.get(name, ".*"), flags=re.DOTALL)
    for value in values:
        if not (isinstance(value, str) and pattern.fullmatch(value)):
            raise ValueError(f"{name}: {value!r} is not allowed.")
    return values


def _passes(name: str, wanted: Any, traits: Json) -> bool:
    if name == "founded_after":
        return bool((traits["founded_year"] or 0) >= wanted)
    if name == "is_agency":
        return bool(traits["is_agency"] == wanted)
    trait = traits[_LISTS[name]]
    return any(value in wanted for value in (trait if name == "industries" else [trait]))
