"""The stream of billed pages, whose rows the tap makes and writes along with those of the feeds."""

from collections.abc import Mapping, Sequence
from typing import Final

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_jobo.errors import ConfigError
from tap_jobo.messages import message
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream, json_schema
from tap_jobo.streams.fields import boolean, instant, integer, key, text
from tap_jobo.wording import completeness, plural

SUMMARY: Final = "what each page cost"
SCHEMA: Final = th.PropertiesList(
    key(
        "Derived from the sync, the page, and the run that was billed. Loading a page again keeps "
        "its id. A page that is billed again gets a new one."
    ),
    text("stream", "Stream of the page's rows."),
    text("sync_id", "Id of the sync, as in the state and the log."),
    integer("page", "Number of the page in its sync, from 1."),
    instant("received_at", "When the page arrived, by the API's clock."),
    integer("rows", "Rows that Jobo sent."),
    integer("credits", "Credits that Jobo billed. 1,000 credits are $1."),
    boolean(
        "is_confirmed",
        "Whether Jobo's response stated the cost. If not, credits is the amount by which the "
        "balance fell, or the cost of the rows at the last known price.",
    ),
    text("filters", "Filters of the sync, as a JSON object keyed by setting."),
)


class BilledPagesStream(JoboStream):
    """What each page cost. It sends no request of its own, and has no state.

    A feed writes the row of a page before the state moves past it.

    Attributes:
        leaders: The feeds that are billed.
    """

    name = "billed_pages"
    selected_by_default = False
    leaders: Sequence[JoboStream] = ()
    schema = json_schema(SCHEMA)

    def __init__(self, tap: Tap, run: RunContext) -> None:
        super().__init__(tap, run)
        self.forced_replication_method = REPLICATION_FULL_TABLE

    @property
    @override
    def is_following(self) -> bool:
        return True

    @override
    def check_selection(self) -> None:
        """Raise ConfigError if no feed is read whose pages are billed."""
        if self.is_read and not any(feed.is_read for feed in self.leaders):
            names = ", ".join(feed.name for feed in self.leaders)
            fact = "No stream with a bill for billed_pages is selected. Nothing was billed."
            raise ConfigError(message("no-stream", fact, select=f"one or more of {names}"))

    @property
    @override
    def is_complete(self) -> bool:
        return all(feed.is_done for feed in self.leaders if feed.is_read)

    @override
    def log_summary(self) -> Mapping[str, int | None]:
        rows = plural(self.record_count, "row")
        how = completeness(is_complete=self.is_complete)
        self.logger.info("Summary: %s: %s, 0 credits ($0.00); %s.", self.name, rows, how)
        return {"jobo_sync_complete": int(self.is_complete)}
