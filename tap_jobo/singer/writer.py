"""Singer messages, a line each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.contrib.msgspec import MsgSpecWriter, encoder, serialize_jsonl
from singer_sdk.singerlib.encoding.base import SingerMessageType
from singer_sdk.singerlib.encoding.simple import StateMessage

from tap_jobo.singer.output import Output, check_reader

if TYPE_CHECKING:
    from singer_sdk.singerlib.encoding.simple import Message

    from tap_jobo.signals import ShutdownSignal

__all__ = ["StdoutWriter", "check_reader"]

_RECORDS_AT_A_TIME: Final = 100
_BUFFER: Final = 64 * 1024
"""Bytes of single records that are written at once."""


class StdoutWriter(MsgSpecWriter):
    """Writes records a hundred at a time, and in any case before the next message of another kind.

    A target sees a page's rows at the latest with the STATE behind them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._output = Output()
        self._records: list[dict[str, Any]] = []
        self._lines = bytearray()

    def end_with(self, shutdown: ShutdownSignal) -> None:
        """Let a signal end a write that blocks because nobody reads."""
        self._output.check_blocked = shutdown.check_blocked

    def serialize_message(self, message: Message) -> bytearray:
        """Make a line of a message; the SDK would copy a state leaf by leaf to do so."""
        if isinstance(message, StateMessage):
            return serialize_jsonl({"type": "STATE", "value": message.value})
        return super().serialize_message(message)

    def write_message(self, message: Message) -> None:
        """Write a message, after the records that wait to be written.

        Raises:
            OutputError: Standard output is gone, or the disk behind it full.
            InterruptedRunError: A signal came, and nobody reads.
        """
        self._encode_records()
        self._lines += self.format_message(message)
        if message.type is not SingerMessageType.RECORD or len(self._lines) >= _BUFFER:
            self._flush()

    def write_record(self, stream: str, record: dict[str, Any]) -> None:
        """Write a RECORD message, soon, without the objects that stand for it in between.

        Raises:
            OutputError: As `write_message`.
            InterruptedRunError: As `write_message`.
        """
        now = datetime.now(UTC)
        self._records.append(
            {"type": "RECORD", "stream": stream, "record": record, "time_extracted": now}
        )
        if len(self._records) >= _RECORDS_AT_A_TIME:
            self.write_waiting_records()

    def write_waiting_records(self) -> None:
        """Write the records that are not written yet.

        Raises:
            OutputError: As `write_message`.
            InterruptedRunError: As `write_message`.
        """
        self._encode_records()
        self._flush()

    def _encode_records(self) -> None:
        records, self._records = self._records, []
        if records:
            self._lines += encoder.encode_lines(records)

    def _flush(self) -> None:
        lines, self._lines = self._lines, bytearray()
        if lines:
            self._output.write(lines)
