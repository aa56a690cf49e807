"""Records written without the SDK's work on each of them, where it would change nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

from singer_sdk.mapper import SameRecordTransform

from tap_jobo.base import JoboStream

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Record

    from tap_jobo.output import StdoutWriter
    from tap_jobo.stopping import Stopping


class QuickStream(JoboStream):
    """A stream whose records are written as they are, where the catalog and the maps let them be.

    For each record the SDK looks up each field's selection, applies the maps and makes an object
    of the message, which takes as long as all the rest of a run. Where no field is deselected and
    the only map is the one that changes nothing, none of that has an effect. `tests/test_hooks.py`
    fails when the SDK changes the hook.
    """

    def __init__(self, tap: Tap, *, stopping: Stopping) -> None:
        super().__init__(tap, stopping=stopping)
        self._writer = cast("StdoutWriter", tap.message_writer)

    def _write_record_message(self, record: Record) -> None:
        """Write a record."""
        if self._is_as_it_is:
            self._writer.write_record(self.name, record)
        else:
            super()._write_record_message(record)

    def finish_run(self) -> None:
        """Write the records that wait to be written."""
        self._writer.write_waiting_records()

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
