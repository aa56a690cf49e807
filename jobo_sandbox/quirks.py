"""Quirks: what the Jobo API may do although no page says so, or against what a page says."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from jobo_sandbox.instants import SECOND
from jobo_sandbox.ledger import Endpoint
from jobo_sandbox.queries import Query
from jobo_sandbox.wire import Shape


@dataclass(kw_only=True, eq=False)
class Quirks:
    """Options of `Core` that last, other than a `Fault`, which is of some requests.

    Attributes:
        error_shape: The shape of error bodies.
        ignored: Members of a request that are ignored: filters, `updated_after`, `batch_size`, ...
        overlap: Seconds before `updated_after` from which career sites and jobs are returned too.
        null_cursor_at_end: The last page says `has_more`, and has no `next_cursor`.
        cursor_lifetime: Seconds until a cursor is rejected; None if it lives forever.
        ids_without_dashes: Ids in rows and profiles have no dashes.
        more_fields: Further fields of each career site, job, and profile.
        public_profiles: Profiles need no API key.
    """

    error_shape: Shape = "problem"
    ignored: Collection[str] = ()
    overlap: float = 0
    null_cursor_at_end: bool = False
    cursor_lifetime: float | None = None
    ids_without_dashes: bool = False
    more_fields: Mapping[str, Any] = field(default_factory=dict)
    public_profiles: bool = False

    def without_ignored(self, body: Any) -> Any:
        """Return the body of a request without the members that are ignored."""
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if name not in self.ignored}

    def with_overlap(self, query: Query, endpoint: Endpoint) -> Query:
        """Return a query that starts earlier by the overlap."""
        overlap = 0 if endpoint == "expired_jobs" else round(self.overlap * SECOND)
        return replace(query, newer_than=max(0, query.newer_than - overlap))

    def is_expired(self, issued_at: int, now: int) -> bool:
        """Whether a cursor of an instant in microseconds is rejected."""
        return self.cursor_lifetime is not None and now - issued_at > self.cursor_lifetime * SECOND

    def as_sent(self, item: Any) -> Any:
        """Return a row or an id as it is sent."""
        if isinstance(item, str):
            return item.replace("-", "") if self.ids_without_dashes else item
        row = item | self.more_fields
        for part in (row, row.get("company")):
            if isinstance(part, dict) and isinstance(part.get("id"), str):
                part["id"] = self.as_sent(part["id"])
        return row


def with_dashes(key: str) -> str:
    """Return an id as the world has it."""
    try:
        return str(UUID(key))
    except ValueError:
        return key
