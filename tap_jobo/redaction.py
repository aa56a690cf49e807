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

    JSON may write any character of it as an escape. To look for that takes as long as half of the
    request, so it is done only where an escape could be one of the key's characters.
    """
    body = body.replace(key.encode(), REPLACEMENT.encode())
    any_escape, escaped_key = _escaped(key)
    return escaped_key.sub(REPLACEMENT.encode(), body) if any_escape.search(body) else body


@cache
def _escaped(key: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns of any escaped character of the key, and of the key with escapes in it."""
    escapes = {character: _after_backslash(character) for character in key}
    any_escape = rf"\\(?:{'|'.join(escapes.values())})"
    escaped_key = "".join(rf"(?:{re.escape(c)}|\\(?:{escapes[c]}))" for c in key)
    return re.compile(any_escape.encode()), re.compile(escaped_key.encode())


def _after_backslash(character: str) -> str:
    """Return a pattern of what JSON may write for a character, behind a backslash."""
    by_number = f"u(?i:{ord(character):04x})"
    return f"{by_number}|{re.escape(character)}" if character in '"\\/' else by_number


def without_key(text: str) -> str:
    """Return a message of the command line without keys that were typed into it."""
    return re.sub(r"jbe_(live|test)_\S+", REPLACEMENT, text)
