"""Keeps the API key out of everything that leaves the process, except the request header."""

import json
import logging
import re

from typing_extensions import override

REPLACEMENT = "[api_key]"


class _RedactingFormatter(logging.Formatter):
    def __init__(self, inner: logging.Formatter, key: str) -> None:
        super().__init__()
        self._inner = inner
        self.key = key

    @override
    def format(self, record: logging.LogRecord) -> str:
        return self._inner.format(record).replace(self.key, REPLACEMENT)


def redact_logs(key: str) -> None:
    """Make every log handler redact the key, at any level and in tracebacks."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        formatter = handler.formatter or logging.Formatter()
        if not (isinstance(formatter, _RedactingFormatter) and formatter.key == key):
            handler.setFormatter(_RedactingFormatter(formatter, key))


def redact_body(body: bytes, key: str) -> bytes:
    """Return a response body without the key, before anything else reads or stores it."""
    quoted = json.dumps(key)[1:-1]
    for form in {key, quoted, quoted.replace("/", "\\/")}:
        body = body.replace(form.encode(), REPLACEMENT.encode())
    return body


def without_key(text: str) -> str:
    """Return a command-line message without any keys that the user typed."""
    return re.sub(r"jbe_(live|test)_\S+", REPLACEMENT, text)
