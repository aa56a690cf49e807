"""The declaration of a feed: everything in which one feed of the API differs from another."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from singer_sdk import typing as th

from tap_jobo.settings.setting import Setting
from tap_jobo.sync_id import Filters


class Continuation(enum.Enum):
    """How to request the next page."""

    BODY_REPEATED = "the first request's body, with the cursor next to it"
    CURSOR_ALONE = "a body with only the cursor"
    QUERY_REPEATED = "the first request's query parameters, with the cursor next to them"


def _as_it_is(item: Any, _started_at: str) -> Any:
    return item


@dataclass(frozen=True, kw_only=True)
class FeedSpec:
    """A feed of the API. To add a feed, declare one of these and register it with one line.

    Attributes:
        name: The stream's name.
        path: The endpoint's path.
        item_key: The member of the response that holds the page's items.
        schema: The stream's schema, including `id`.
        since: The request parameter that names the start of the window.
        method: The HTTP method.
        since_is_inclusive: Whether rows updated exactly at `since` are returned.
        longest_lookback: How far back `since` may lie, None for no limit.
        gap_advice: What to do about rows further back than that.
        filters: The settings that filter rows.
        page_cap: Maximum and default rows per page.
        page_size_setting: The setting for fewer rows per page, if there is one.
        list_price: Credits per row, until a response shows another price.
        missing_charge_means_free: Whether a response with a balance or quota, but without a
            deduction, is free.
        continuation: How to request the next page.
        never_null: The fields that the API never leaves null.
        is_journaled: Whether pages are kept in the journal; a free feed needs none.
        is_account_bound: Whether what the feed returns depends on the account.
        is_selected_by_default: Whether the stream is selected unless the catalog says otherwise.
        replication_key: The field that orders rows by age.
        to_row: Converts an item to a row, given the start of the sync (ISO 8601 UTC).
        forbidden: What a 403 of this feed means, if it differs from the default.
    """

    name: str
    path: str
    item_key: str
    schema: th.PropertiesList
    since: str
    method: str = "POST"
    since_is_inclusive: bool = False
    longest_lookback: timedelta | None = None
    gap_advice: str = ""
    filters: tuple[Setting, ...] = ()
    page_cap: int
    page_size_setting: Setting | None = None
    list_price: float
    missing_charge_means_free: bool = False
    continuation: Continuation = Continuation.BODY_REPEATED
    never_null: tuple[str, ...] = ()
    is_journaled: bool = True
    is_account_bound: bool = False
    is_selected_by_default: bool = False
    replication_key: str = "updated_at"
    to_row: Callable[[Any, str], Any] = _as_it_is
    forbidden: str | None = None

    @property
    def is_free(self) -> bool:
        """Whether its rows never cost anything."""
        return self.list_price == 0

    @property
    def items_are_rows(self) -> bool:
        """Whether the items of a page are the rows, unchanged."""
        return self.to_row is _as_it_is

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings that belong to this feed."""
        page_size = (self.page_size_setting,) if self.page_size_setting else ()
        return (*page_size, *self.filters)

    def page_size(self, config: Mapping[str, Any]) -> int:
        """Return the rows per page that the settings ask for."""
        name = self.page_size_setting and self.page_size_setting.name
        return int(config.get(name, self.page_cap)) if name else self.page_cap

    def filters_of(self, config: Mapping[str, Any]) -> Filters:
        """Return the filters that the settings ask for, each normalized."""
        return {each.name: each.normalize(config.get(each.name)) for each in self.filters}
