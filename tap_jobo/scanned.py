"""The SDK kept away from the state of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jobo.base import JoboStream

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record


class ScannedStream(JoboStream):
    """A stream whose bookmark is the start of its last complete scan, not a row's value.

    The SDK keeps the largest replication key seen, warns where a row has none, and writes the
    result into the state at the end of every sync, however it ended. Here `tap_jobo.delivery`
    alone writes the state; the two private hooks below are the places where the SDK would.
    `tests/test_sdk.py` fails when the SDK changes them.
    """

    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Leave the state as it is: no row moves it."""

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the state as it is: the scan knows where it starts."""

    def get_replication_key_signpost(
        self,
        context: Context | None = None,  # noqa: ARG002 - the SDK's signature
    ) -> None:
        """Return none: no row's value becomes a bookmark, so none needs a limit."""
        return
