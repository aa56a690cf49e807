"""The stream of billed pages, whose rows are written along with those of the feeds."""

from singer_sdk import Tap
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_jobo.errors import ConfigError
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream, json_schema
from tap_jobo.streams.billed_pages import SCHEMA


class BilledPagesStream(JoboStream):
    """What each page has cost. It sends no request of its own, and has no state.

    A feed writes the row of a page before the state moves past it. The SDK syncs this stream
    first, by its name, so that its SCHEMA precedes all records.
    """

    name = "billed_pages"
    path = ""
    selected_by_default = False
    schema = json_schema(SCHEMA)
    needs_key = False

    def __init__(self, tap: Tap, run: RunContext) -> None:
        super().__init__(tap, run)
        self.forced_replication_method = REPLICATION_FULL_TABLE
        self._tap_state = {}  # not the tap's, which has no bookmark of this stream
        self.leaders: list[JoboStream] = []  # the feeds that are billed

    @override
    def check_selection(self) -> None:
        """Check that a feed is read whose pages are billed."""
        if self.is_read and not any(feed.is_read for feed in self.leaders):
            names = ", ".join(feed.name for feed in self.leaders)
            raise ConfigError(f"billed_pages needs a feed that is billed. Select one of {names}.")

    @override
    def _write_state_message(self) -> None:
        """Write none: the feeds write the state."""
