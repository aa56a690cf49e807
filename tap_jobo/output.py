"""Standard output: Singer messages, a line each."""

from __future__ import annotations

import os
import select
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from singer_sdk.contrib.msgspec import MsgSpecWriter, serialize_jsonl
from singer_sdk.singerlib.encoding.base import SingerMessageType
from singer_sdk.singerlib.encoding.simple import StateMessage

from tap_jobo.errors import OutputError

if TYPE_CHECKING:
    from singer_sdk.singerlib.encoding.simple import Message


class StdoutWriter(MsgSpecWriter):
    """Writes records through a buffer, and everything up to a STATE or SCHEMA with it.

    A target sees a page's rows at the latest with the STATE behind them.
    """

    def serialize_message(self, message: Message) -> bytearray:
        """Make a line of a message; the SDK would copy a state leaf by leaf to do so."""
        if isinstance(message, StateMessage):
            return serialize_jsonl({"type": "STATE", "value": message.value})
        return super().serialize_message(message)

    def write_message(self, message: Message) -> None:
        """Write a message.

        Raises:
            OutputError: Standard output is gone, or the disk behind it full.
        """
        self._write(self.format_message(message))
        if message.type is not SingerMessageType.RECORD:
            self._write(b"", flush=True)

    def write_record(self, stream: str, record: dict[str, Any]) -> None:
        """Write a RECORD message without the objects that stand for it in between.

        Raises:
            OutputError: As `write_message`.
        """
        now = datetime.now(UTC)
        message = {"type": "RECORD", "stream": stream, "record": record, "time_extracted": now}
        self._write(serialize_jsonl(message))

    def _write(self, line: bytes | bytearray, *, flush: bool = False) -> None:
        if sys.stdout is None:
            raise OutputError("Standard output is closed: the tap's messages go there.")
        try:
            sys.stdout.buffer.write(line)
            if flush:
                sys.stdout.buffer.flush()
        except OSError as error:
            raise _give_up(str(error.strerror)) from error


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
