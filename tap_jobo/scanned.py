"""The SDK kept away from the state of a stream, and from records that need nothing of it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from singer_sdk.mapper import SameRecordTransform

from tap_jobo.base import JoboStream

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record

    from tap_jobo.output import StdoutWriter


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


class QuickStream(ScannedStream):
    """A stream whose records are written as they are, where the catalog and the maps let them be.

    For each record the SDK looks up each field's selection, applies the maps and makes an object
    of the message, which takes as long as all the rest of a run. Where no field is deselected and
    the only map is the one that changes nothing, none of that has an effect. `tests/test_hooks.py`
    fails when the SDK changes the hook.
    """

    _writer: StdoutWriter

    def _write_record_message(self, record: Record) -> None:
        """Write a record."""
        if self._is_as_it_is:
            self._writer.write_record(self.name, record)
        else:
            super()._write_record_message(record)

    @cached_property
    def _is_as_it_is(self) -> bool:
        maps = self.stream_maps
        return (
            len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and not maps[0].flattening_enabled
            and maps[0].stream_alias == self.name
            and all(self.mask["properties", field] for field in self.schema["properties"])
        )
