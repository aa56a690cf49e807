"""The bill: a row for each page that was billed and delivered, made by the tap itself."""

from typing import Final

from singer_sdk import typing as th

from tap_jobo.streams.fields import boolean, instant, integer, key, text

SCHEMA: Final = th.PropertiesList(
    key(
        "Made of the sync, the page, and the run that was billed. A page that is billed again has "
        "another id; a page that is replayed has the same."
    ),
    text("stream", "Stream of the page's rows."),
    text("sync_id", "Id of the sync, as in the state and the log."),
    integer("page", "Number of the page in its sync, from 1."),
    instant("received_at", "When the page arrived, by the API's clock."),
    integer("rows", "Rows that Jobo sent."),
    integer("credits", "Credits that Jobo deducted; 1,000 credits are $1."),
    boolean(
        "is_confirmed",
        "Whether Jobo's response said what it deducted. If not, credits is that of rows at list "
        "price.",
    ),
    text("filters", "JSON object of the filters that the sync reads, by setting."),
)
