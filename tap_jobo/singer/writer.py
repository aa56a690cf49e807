"""Writes Singer messages to standard output, one per line."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from singer_sdk.contrib.msgspec import MsgSpecWriter, encoder, serialize_jsonl
from singer_sdk.singerlib.encoding.base import SingerMessageType
from singer_sdk.singerlib.encoding.simple import Message
from typing_extensions import override

from tap_jobo.errors import OutputError
from tap_jobo.messages import Known, message
from tap_jobo.signals import ShutdownSignal

_PIECE: Final = 64 * 1024  # bytes that are collected, and written at once: what a pipe holds
_WIDE_PIPE: Final = 1024 * 1024  # bytes: the most that Linux lets any user ask for
_GRACE: Final = 5.0  # seconds that the target has, after a signal, to read so much


class StdoutWriter(MsgSpecWriter):
    """Collects records, and writes them at the latest with the next message of another type.

    A target receives a page's rows no later than the STATE that follows them.
    """

    def __init__(self) -> None:
        super().__init__()
        _widen_pipe()
        self.shutdown = ShutdownSignal()  #: ends a write that the target does not read
        self.known: Known = {}  #: what the ways out of a message may name
        self._lines = bytearray()
        self._last_state = b""
        self._is_cut_off = False

    @override
    def write_message(self, message: Message) -> None:
        """Write a message, after the records that are not written yet."""
        self._lines += self.format_message(message)
        if message.type is not SingerMessageType.RECORD or len(self._lines) >= _PIECE:
            self.flush()

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write a state, if it is not the last one. The SDK would first copy it leaf by leaf."""
        line = bytes(serialize_jsonl({"type": "STATE", "value": state}))
        if line != self._last_state:
            self._lines += line
            self._last_state = line
        self.flush()

    def write_records(
        self, stream: str, records: Sequence[dict[str, Any]], time_extracted: datetime
    ) -> None:
        """Write RECORD messages, without the SDK's message objects."""
        first, last = {"type": "RECORD", "stream": stream}, {"time_extracted": time_extracted}
        self._lines += encoder.encode_lines([first | {"record": each} | last for each in records])
        if len(self._lines) >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """Write what was collected, unless an earlier write was cut off, perhaps within a line."""
        lines, self._lines = self._lines, bytearray()
        if lines and not self._is_cut_off:
            self._is_cut_off = True  # by a signal or an error, unless it returns
            try:
                if sys.stdout is None:
                    why = "Standard output is closed."
                    raise self._closed(why)
                _write(lines, self.shutdown)
            except OSError as error:
                self.shutdown.raise_if_set()  # Ctrl-C ends the target, too: that is the reason
                why = f"Standard output can't be written ({error.strerror})."
                raise self._closed(why) from error
            self._is_cut_off = False

    def _closed(self, why: str) -> OutputError:
        fact = f"{why} The summary shows what the run was billed."
        return OutputError(message("output-closed", fact, **self.known))


def _widen_pipe() -> None:
    """Let the tap fetch pages while the target is busy with a batch, on Linux."""
    with suppress(ImportError, OSError):  # macOS, not a pipe, or not permitted
        from fcntl import F_GETPIPE_SZ, F_SETPIPE_SZ, fcntl  # noqa: PLC0415 - only on Linux

        if fcntl(1, F_GETPIPE_SZ) == _PIECE:  # keep a size that the reader chose
            fcntl(1, F_SETPIPE_SZ, _WIDE_PIPE)


def _write(lines: bytearray, shutdown: ShutdownSignal) -> None:
    try:
        number = sys.stdout.fileno()
    except OSError:  # the SDK's tests put a buffer in its place
        sys.stdout.buffer.write(lines)
        return
    rest = memoryview(lines)
    while rest:
        with shutdown.abort_after(_GRACE):
            rest = rest[os.write(number, rest[:_PIECE]) :]
