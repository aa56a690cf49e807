"""The key stays out of everything that leaves the process, except the request's own header."""

from __future__ import annotations

import logging
import re
from functools import cache

REPLACEMENT = "[api_key]"


class _RedactingFormatter(logging.Formatter):
    """Formats with another formatter, then takes the key out of the finished text."""

    def __init__(self, inner: logging.Formatter, key: str) -> None:
        super().__init__()
        self._inner = inner
        self.key = key

    def format(self, record: logging.LogRecord) -> str:
        return self._inner.format(record).replace(self.key, REPLACEMENT)


def redact_logs(key: str) -> None:
    """See to it that no log handler, at any level or in a traceback, writes the key."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        formatter = handler.formatter or logging.Formatter()
        if not (isinstance(formatter, _RedactingFormatter) and formatter.key == key):
            handler.setFormatter(_RedactingFormatter(formatter, key))


def redact_body(body: bytes, key: str) -> bytes:
    """Return an answer's body without the key, before anything else reads or stores it.

    JSON may write any character of it as an escape.
    """
    body = body.replace(key.encode(), REPLACEMENT.encode())
    return _escaped(key).sub(REPLACEMENT.encode(), body) if b"\\" in body else body


@cache
def _escaped(key: str) -> re.Pattern[bytes]:
    """Return a pattern of the key in which each character may be escaped."""
    characters = (rf"(?:\\?{re.escape(c)}|\\u(?i:{ord(c):04x}))" for c in key)
    return re.compile("".join(characters).encode())


def without_key(text: str) -> str:
    """Return what the command line is told of itself, without keys that were put into it."""
    return re.sub(r"jbe_(live|test)_\S+", REPLACEMENT, text)
