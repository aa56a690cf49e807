"""Quirks: what the Jobo API may do although no page says so, or against what a page says."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jobo_sandbox.instants import SECOND
from jobo_sandbox.queries import Query
from jobo_sandbox.wire import Shape

CursorCarries = Literal["position", "filters", "everything"]


@dataclass(kw_only=True, eq=False)
class Quirks:
    """Options of `Core`. Unlike a `Fault`, each affects every request.

    Attributes:
        error_shape: The shape of error bodies.
        ignored: Members of a request that are ignored, such as `updated_after` or a filter.
        overlap: Seconds before `updated_after` from which rows are returned too.
        null_cursor_at_end: The last page says `has_more`, and has no `next_cursor`.
        cursor_carries: What a cursor keeps of the request before it. By default, what live users
            have seen: all but the page size, so that a page without a size is as large as can be.
            The official Node client relies on `everything`. With `position`, filters and window
            apply only if they are beside the cursor.
        cursor_lifetime: Seconds until a cursor is rejected; None if it never is.
        ids_without_dashes: Ids in rows and profiles have no dashes.
        more_fields: Further fields of each career site, job, and profile.
        public_profiles: Profiles need no API key.
    """

    error_shape: Shape = "problem"
    ignored: Collection[str] = ()
    overlap: float = 0
    null_cursor_at_end: bool = False
    cursor_carries: CursorCarries = "filters"
    cursor_lifetime: float | None = None
    ids_without_dashes: bool = False
    more_fields: Mapping[str, Any] = field(default_factory=dict)
    public_profiles: bool = False

    def with_overlap(self, query: Query, since: str) -> Query:
        """Return a query that starts earlier by the overlap, if `since` names its start so."""
        overlap = round(self.overlap * SECOND) if since == "updated_after" else 0
        return replace(query, newer_than=max(0, query.newer_than - overlap))

    def as_sent(self, item: Any) -> Any:
        """Return a row or an id as it is sent."""
        if isinstance(item, str):
            return item.replace("-", "") if self.ids_without_dashes else item
        row = item | self.more_fields
        for part in (row, row.get("company")):
            if isinstance(part, dict) and isinstance(part.get("id"), str):
                part["id"] = self.as_sent(part["id"])
        return row
