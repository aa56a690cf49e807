"""Quirks: what the Jobo API may do although no page says so, or against what a page says."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from jobo_sandbox.instants import SECOND
from jobo_sandbox.queries import Query
from jobo_sandbox.wire import Shape

CursorCarries = Literal["filters", "everything"]


@dataclass(kw_only=True, eq=False)
class Quirks:
    """Options of `Core`. Unlike a `Fault`, each affects every request.

    Attributes:
        error_shape: The shape of error bodies.
        ignored: Members of a request that are ignored, such as `updated_after` or a filter.
        overlap: Seconds before `updated_after` from which rows are returned too.
        cursor_carries: What a cursor keeps of the request before it. By default, what live users
            have seen: all but the page size, so that a page without a size is as large as can be.
            The official Node client relies on `everything`.
        public_profiles: Profiles need no API key.
    """

    error_shape: Shape = "problem"
    ignored: Collection[str] = ()
    overlap: float = 0
    cursor_carries: CursorCarries = "filters"
    public_profiles: bool = False

    def with_overlap(self, query: Query, since: str) -> Query:
        """Return a query that starts earlier by the overlap, if `since` names its start so."""
        overlap = round(self.overlap * SECOND) if since == "updated_after" else 0
        return replace(query, newer_than=max(0, query.newer_than - overlap))
