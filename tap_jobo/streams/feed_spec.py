"""The declaration of a feed: everything in which one feed of the API differs from another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from singer_sdk import typing as th

from tap_jobo.model import Filters
from tap_jobo.records.converter import RESCUED_DATA
from tap_jobo.records.values import ERASED
from tap_jobo.settings.setting import Setting
from tap_jobo.wording import dollars


@dataclass(frozen=True, kw_only=True)
class FeedSpec:
    """A feed of the API. To add a feed, declare one of these and register it with one line."""

    name: str  #: of the stream
    summary: str  #: what its rows are, as in "companies and where they list their jobs"
    path: str  #: of the endpoint
    method: str = "POST"  #: of the requests
    item_key: str  #: the member of the response that holds the page's items
    schema: th.PropertiesList  #: of the stream, including `id`
    replication_key: str = "updated_at"  #: the field that orders rows by age
    never_null: tuple[str, ...] = ()  #: the fields that the API never leaves null
    undocumented: tuple[str, ...] = ()  #: the fields that the API may never send
    #: converts an item to a row, given the start of the sync (ISO 8601 UTC)
    to_row: Callable[[Any, str], Any] | None = None
    since_parameter: str  #: the request parameter that names the start of the window
    since_is_inclusive: bool = False  #: whether rows updated exactly at `since` are returned
    longest_lookback: timedelta | None = None  #: how far back `since` may lie
    ends_rows_of: tuple[str, ...] = ()  #: the streams whose rows it reports as gone
    filters: tuple[Setting, ...] = ()  #: the settings that select rows
    setting_prefix: str = ""  #: of the names of its settings, which the request parameters lack
    page_cap: int  #: maximum and default rows per page
    page_size_setting: Setting | None = None  #: the setting for fewer rows per page
    list_price: float  #: credits per row, until a response shows another price
    #: whether a response with a balance or quota, but without a deduction, is free
    missing_charge_means_free: bool = False
    is_account_bound: bool = False  #: whether what the feed returns depends on the account
    is_selected_by_default: bool = False  #: unless the catalog says otherwise

    @property
    def is_free(self) -> bool:
        """Whether its rows never cost anything."""
        return self.list_price == 0

    def describe_price(self, last: float = 0) -> str:
        """Return what rows cost, for a message.

        Args:
            last: The credits of a row on the last page. Later ones cost at least the list price.
        """
        price = max(last, self.list_price)
        return f"{dollars(price * 1_000)} per 1,000 rows" if price else "free"

    @property
    def field_names(self) -> set[str]:
        """The fields of a row, as the API names them."""
        return set(self.schema.to_dict()["properties"]) - {RESCUED_DATA}

    @property
    def filter_parameters(self) -> dict[str, str]:
        """The request parameters of the filters, by the names of their settings."""
        return {each.name: each.name.removeprefix(self.setting_prefix) for each in self.filters}

    def rows(self, items: list[Any], started_at: str) -> list[Any]:
        """Return the rows of a page's items: by default, the items themselves."""
        if self.to_row is None:
            return items
        return [item if item == ERASED else self.to_row(item, started_at) for item in items]

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings that belong to this feed."""
        page_size = (self.page_size_setting,) if self.page_size_setting else ()
        return (*page_size, *self.filters)

    @property
    def page_size_name(self) -> str | None:
        """The name of the setting for fewer rows per page, None if there is none."""
        return self.page_size_setting.name if self.page_size_setting else None

    def page_size(self, config: Mapping[str, Any]) -> int:
        """Return the rows per page that the settings ask for."""
        return int(config.get(self.page_size_name or "", self.page_cap))

    def filters_of(self, config: Mapping[str, Any]) -> Filters:
        """Return the filters that are set, each normalized."""
        found = {each.name: each.type.normalize(config.get(each.name)) for each in self.filters}
        return {name: value for name, value in found.items() if value is not None}
