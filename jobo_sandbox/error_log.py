"""What the wrapped command writes to standard error: passed on, and its last error remembered."""

import os
import re
import sys
import threading
from typing import Self

_CHUNK = 1 << 16
_KEPT = 200
"""Lines to look for an error in: Meltano adds a few after the one that matters."""
_GRACE = 2.0
"""Seconds to wait for the rest once the command has ended: a process it left may hold the log."""
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERRORS = (
    re.compile(r"\bcritical\b[\s|\]]*(.*)", re.IGNORECASE),  # what the tap ends with
    re.compile(r"(.*\berror\b.*)", re.IGNORECASE),
)


class ErrorLog:
    """A stand-in for standard error, which is a terminal if that is one.

    Attributes:
        descriptor: Where the command is to write.
    """

    def __init__(self) -> None:
        self._source, self.descriptor = _terminal() if sys.stderr.isatty() else os.pipe()
        self._lines: list[str] = []
        self._rest = b""
        self._reader = threading.Thread(target=self._pass_on, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        self._reader.join(_GRACE)

    def last_error(self) -> str:
        """Return the text of the last critical line or, failing that, the last line of an error."""
        for pattern in _ERRORS:
            for line in reversed(self._lines):
                if found := pattern.search(line):
                    return found[1]
        return ""

    def _pass_on(self) -> None:
        while chunk := _read(self._source):
            sys.stderr.buffer.write(chunk)
            sys.stderr.flush()
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            plain = (
                " ".join(_STYLE.sub("", line.decode(errors="replace")).split()) for line in lines
            )
            self._lines = [*self._lines, *filter(None, plain)][-_KEPT:]


def _read(source: int) -> bytes:
    try:
        return os.read(source, _CHUNK)
    except OSError:  # how Linux reports that nobody has a terminal open any more
        return b""


def _terminal() -> tuple[int, int]:
    """Open a terminal of the same size, so that the command still shows its progress bar."""
    import pty  # noqa: PLC0415 - not on Windows
    import termios  # noqa: PLC0415
    import tty  # noqa: PLC0415

    source, descriptor = pty.openpty()
    tty.setraw(descriptor)  # the real terminal adds the carriage returns
    termios.tcsetwinsize(descriptor, termios.tcgetwinsize(sys.stderr))
    return source, descriptor
