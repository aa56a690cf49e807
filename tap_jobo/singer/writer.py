"""Standard output: Singer messages, a line each."""

from __future__ import annotations

import errno
import os
import select
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.contrib.msgspec import MsgSpecWriter, encoder, serialize_jsonl
from singer_sdk.singerlib.encoding.base import SingerMessageType
from singer_sdk.singerlib.encoding.simple import StateMessage

from tap_jobo.errors import OutputError

if TYPE_CHECKING:
    from singer_sdk.singerlib.encoding.simple import Message


_RECORDS_AT_A_TIME: Final = 100


class StdoutWriter(MsgSpecWriter):
    """Writes records a hundred at a time, and in any case before the next message of another kind.

    A target sees a page's rows at the latest with the STATE behind them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._records: list[dict[str, Any]] = []

    def serialize_message(self, message: Message) -> bytearray:
        """Make a line of a message; the SDK would copy a state leaf by leaf to do so."""
        if isinstance(message, StateMessage):
            return serialize_jsonl({"type": "STATE", "value": message.value})
        return super().serialize_message(message)

    def write_message(self, message: Message) -> None:
        """Write a message, after the records that wait to be written.

        Raises:
            OutputError: Standard output is gone, or the disk behind it full.
        """
        self.write_waiting_records()
        is_record = message.type is SingerMessageType.RECORD
        self._write(self.format_message(message), flush=not is_record)

    def write_record(self, stream: str, record: dict[str, Any]) -> None:
        """Write a RECORD message, soon, without the objects that stand for it in between.

        Raises:
            OutputError: As `write_message`.
        """
        now = datetime.now(UTC)
        self._records.append(
            {"type": "RECORD", "stream": stream, "record": record, "time_extracted": now}
        )
        if len(self._records) >= _RECORDS_AT_A_TIME:
            self.write_waiting_records()

    def write_waiting_records(self) -> None:
        """Write the records of `write_record` that are not written yet.

        Raises:
            OutputError: As `write_message`.
        """
        records, self._records = self._records, []
        if records:
            self._write(encoder.encode_lines(records))

    def _write(self, lines: bytes | bytearray, *, flush: bool = False) -> None:
        if sys.stdout is None:
            raise OutputError("Standard output is closed: the tap's messages go there.")
        try:
            _write_all(lines)
            if flush:
                sys.stdout.buffer.flush()
        except OSError as error:
            raise _give_up(str(error.strerror)) from error


def _write_all(lines: bytes | bytearray) -> None:
    """Write, though a signal cuts a write short where Python does not buffer (PYTHONUNBUFFERED).

    Raises:
        OSError: It cannot be written, or not at once where standard output does not block.
    """
    rest = memoryview(lines)
    while rest:
        count = sys.stdout.buffer.write(rest)
        if count is None:  # nothing, and it was told not to wait
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[count:]


def check_reader() -> None:
    """See, before a page is bought, whether the target is still there to read it.

    Raises:
        OutputError: It is not. (Where the platform cannot tell, the next write does.)
    """
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        events = poll.poll(0)
    except (AttributeError, OSError, ValueError):
        return
    if any(event & (select.POLLERR | select.POLLNVAL) for _, event in events):
        raise _give_up("the reading end is closed")


def _give_up(why: str) -> OutputError:
    # What is still buffered would fail again when the interpreter flushes at exit.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return OutputError(
        f"Standard output cannot be written ({why}): the target went away, or its disk is full. "
        "Its own log says more. The next run goes on from the last state that arrived."
    )
