"""The report of a check: what was sent and what came, without the key and without cursors."""

import json
import re
from contextlib import suppress
from typing import Any, Final

from jobo_sandbox.contract.api import Answer, Json

_TEXT: Final = 40
_OTHER: Final = 400
_SECRET: Final = 8
"""A piece of the key of this length, or a cursor of at least that, is left out wherever it is."""
_CURSOR: Final = re.compile(r'"(?:next_)?cursor"\s*:\s*("(?:[^"\\]|\\.)*")')
_NOT_SHOWN: Final = {"set-cookie"}


class Redaction:
    """Shows texts and JSON without the key, pieces of it, and the cursors of responses."""

    def __init__(self, key: str, answers: list[Answer]) -> None:
        bodies = [answer.content.decode("utf-8", "replace") for answer in answers]
        self._cursors = {json.loads(found) for body in bodies for found in _CURSOR.findall(body)}
        long = (cursor for cursor in self._cursors if len(cursor) >= _SECRET)
        self._names = {cursor.lower(): _named("cursor", cursor) for cursor in long}
        self._names[key.lower()] = _named("api_key", key)
        longest_first = sorted(self._names, key=len, reverse=True)
        secret = re.sub("^jbe_(live|test)_", "", key)
        pieces = [_start_of(secret[at:]) for at in range(len(secret) - _SECRET + 1)]
        patterns = [*map(re.escape, longest_first), *pieces]
        self._secrets = re.compile("|".join(patterns), re.IGNORECASE)

    def text(self, text: str, most: int = _OTHER) -> str:
        """Show a text, cut to `most` characters."""
        part = "[part of api_key]"
        text = self._secrets.sub(lambda match: self._names.get(match[0].lower(), part), text)
        return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"

    def value(self, value: Any, name: str = "") -> Any:
        """Show a JSON value, and its texts cut."""
        if isinstance(value, str):
            is_cursor = name.endswith("cursor") and value in self._cursors
            return _named("cursor", value) if is_cursor else self.text(value, _TEXT)
        if isinstance(value, dict):
            return {self.text(each): self.value(value[each], each) for each in value}
        return [self.value(item) for item in value] if isinstance(value, list) else value

    def exchange(self, answer: Answer) -> Json:
        """Show a request and its response."""
        body: Any = self.text(answer.content.decode("utf-8", "replace"))
        with suppress(RecursionError):
            body = body if (parsed := answer.json()) is None else self.value(parsed)
        return {
            "request": f"{answer.method} {self.text(answer.path)}",
            "sent": self.value({name: each for name, each in answer.sent.items() if each}),
            "status": answer.status or answer.error,
            "seconds": answer.seconds,
            "bytes": len(answer.content),
            "headers": {
                name: self.text(value)
                for name, value in answer.headers.items()
                if name.lower() not in _NOT_SHOWN
            },
            "body": body,
        }


def _start_of(text: str) -> str:
    """Return the pattern of as much of the start of a text as there is."""
    pattern = ""
    for letter in reversed(text[_SECRET:]):
        pattern = f"(?:{re.escape(letter)}{pattern})?"
    return re.escape(text[:_SECRET]) + pattern


def _named(what: str, text: str) -> str:
    return f"[{what}, {len(text)} characters]"
