"""Writes Singer messages, one per line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.contrib.msgspec import MsgSpecWriter, encoder, serialize_jsonl
from singer_sdk.singerlib.encoding.base import SingerMessageType
from singer_sdk.singerlib.encoding.simple import StateMessage

from tap_jobo.singer.output import Output, check_reader, has_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.singerlib.encoding.simple import Message

    from tap_jobo.signals import ShutdownSignal

__all__ = ["StdoutWriter", "check_reader", "has_reader"]

_RECORDS_AT_A_TIME: Final = 100
_BUFFER: Final = 64 * 1024
"""Bytes of individually written records to buffer before a flush."""


class StdoutWriter(MsgSpecWriter):
    """Writes records a hundred at a time, and always before a message of another type.

    A target receives a page's rows no later than the STATE that follows them.

    Attributes:
        omits_states: Whether STATE messages are omitted, as in a test.
    """

    def __init__(self) -> None:
        super().__init__()
        self.omits_states = False
        self._output = Output()
        self._records: list[dict[str, Any]] = []
        self._lines = bytearray()
        self._last_state = b""

    def end_with(self, shutdown: ShutdownSignal) -> None:
        """Let a signal end a write that is blocked because the target does not read."""
        self._output.check_blocked = shutdown.check_blocked
        self._output.check_signal = shutdown.check

    def serialize_message(self, message: Message) -> bytearray:
        """Serialize a message to a line; the SDK would first copy a state leaf by leaf."""
        if isinstance(message, StateMessage):
            return serialize_jsonl({"type": "STATE", "value": message.value})
        return super().serialize_message(message)

    def write_message(self, message: Message) -> None:
        """Write a message, after the records that are not written yet.

        A STATE that says the same as the one before it is not written.

        Raises:
            OutputError: Standard output is closed, or its disk is full.
            InterruptedRunError: A signal arrived, and the output is blocked or closed.
        """
        self._encode_records()
        if self.omits_states and message.type is SingerMessageType.STATE:
            return
        line = bytes(self.format_message(message))  # a copy: the SDK's encoder has one buffer
        if isinstance(message, StateMessage):
            # The SDK's own check copies each state leaf by leaf.
            line, self._last_state = b"" if line == self._last_state else line, line
        self._lines += line
        if message.type is not SingerMessageType.RECORD or len(self._lines) >= _BUFFER:
            self._flush()

    def write_record(self, stream: str, record: dict[str, Any]) -> None:
        """Buffer a RECORD message, as `write_records` does."""
        self.write_records(stream, [record])

    def write_records(self, stream: str, records: Sequence[dict[str, Any]]) -> None:
        """Buffer RECORD messages, without creating the SDK's message objects.

        Raises:
            OutputError: As for `write_message`.
            InterruptedRunError: As for `write_message`.
        """
        now = datetime.now(UTC)
        for first in range(0, len(records), _RECORDS_AT_A_TIME):
            self._records += [
                {"type": "RECORD", "stream": stream, "record": record, "time_extracted": now}
                for record in records[first : first + _RECORDS_AT_A_TIME]
            ]
            if len(self._records) >= _RECORDS_AT_A_TIME:
                self.write_waiting_records()

    def write_waiting_records(self) -> None:
        """Write the records that are not written yet.

        Raises:
            OutputError: As for `write_message`.
            InterruptedRunError: As for `write_message`.
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
