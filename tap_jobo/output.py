"""Standard output: Singer messages, a line each."""

from __future__ import annotations

import os
import select
import sys

from singer_sdk.singerlib.encoding.base import SingerMessageType
from singer_sdk.singerlib.encoding.simple import Message, SimpleSingerWriter

from tap_jobo.errors import OutputError


class StdoutWriter(SimpleSingerWriter):
    """Writes records through a buffer, and everything up to a STATE or SCHEMA with it.

    A target sees a page's rows at the latest with the STATE behind them.
    """

    def write_message(self, message: Message) -> None:
        """Write a message.

        Raises:
            OutputError: Standard output is gone, or the disk behind it full.
        """
        try:
            sys.stdout.write(self.format_message(message) + "\n")
            if message.type is not SingerMessageType.RECORD:
                sys.stdout.flush()
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
