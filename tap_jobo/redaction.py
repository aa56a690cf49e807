"""Keeps the API key out of everything that leaves the process, except the request header."""

import logging
import re
from copy import copy
from functools import cache

from typing_extensions import override

from tap_jobo.wording import one_line

REPLACEMENT = "[api_key]"


class _RedactingFormatter(logging.Formatter):
    def __init__(self, inner: logging.Formatter, key: str) -> None:
        super().__init__()
        self._inner = inner
        self.key = key

    @override
    def format(self, record: logging.LogRecord) -> str:
        return self._inner.format(_on_its_lines(record)).replace(self.key, REPLACEMENT)


def _on_its_lines(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record without line breaks in what its template quotes, such as a response."""
    if isinstance(record.args, tuple):
        args = [one_line(each) if isinstance(each, str) else each for each in record.args]
        record = copy(record)  # other handlers have it, too
        record.args = tuple(args)
    return record


def redact_logs(key: str) -> None:
    """Make every log handler redact the key, at any level and in tracebacks.

    What a record quotes then stays on its line.
    """
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        formatter = handler.formatter or logging.Formatter()
        if not (isinstance(formatter, _RedactingFormatter) and formatter.key == key):
            handler.setFormatter(_RedactingFormatter(formatter, key))


def redact_body(body: bytes, key: str) -> bytes:
    """Return a response body without the key, before anything else reads or stores it.

    JSON may escape any character of the key. Searching for that takes half as long as the request
    itself, so it happens only if an escape could be one of the key's characters.
    """
    body = body.replace(key.encode(), REPLACEMENT.encode())
    any_escape, escaped_key = _escaped(key)
    return escaped_key.sub(REPLACEMENT.encode(), body) if any_escape.search(body) else body


@cache
def _escaped(key: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns that match an escaped character of the key, and the key with escapes."""
    escapes = {c: rf"u(?i:{ord(c):04x})" + (rf"|\{c}" if c in '"\\/' else "") for c in key}
    any_escape = rf"\\(?:{'|'.join(escapes.values())})"
    escaped_key = "".join(rf"(?:{re.escape(c)}|\\(?:{escapes[c]}))" for c in key)
    return re.compile(any_escape.encode()), re.compile(escaped_key.encode())


def without_key(text: str) -> str:
    """Return a message without any keys, or parts from their start, that it quotes."""
    return re.sub(r"jbe_(live|test)_\S+", REPLACEMENT, text)
