"""The report of a check: what was sent and what came, without the key and without cursors."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from jobo_sandbox.contract.api import Answer, Json

_TEXT: Final = 40
_OTHER: Final = 400
_SECRET: Final = 8
"""A piece of the key of this length, or a cursor of at least that, is left out wherever it is."""
_CURSORS: Final = {"cursor", "next_cursor"}
_NOT_SHOWN: Final = {"set-cookie"}


class Redaction:
    """Shows texts and JSON without the key, without pieces of it, and without cursors.

    Args:
        key: The API key.
        answers: The responses whose cursors are left out.
    """

    def __init__(self, key: str, answers: list[Answer]) -> None:
        self._cursors = {cursor for answer in answers for cursor in _cursors_in(answer.json())}
        secret = re.sub("^jbe_(live|test)_", "", key)
        pieces = {secret[at : at + _SECRET] for at in range(len(secret) - _SECRET + 1)}
        self._names = dict.fromkeys((piece.lower() for piece in pieces), "[part of api_key]")
        for text in self._cursors:
            if len(text) >= _SECRET:
                self._names[text.lower()] = _named("cursor", text)
        self._names[key.lower()] = _named("api_key", key)
        longest_first = sorted(self._names, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def text(self, text: str, most: int = _OTHER) -> str:
        """Show a text, cut to `most` characters."""
        text = self._secrets.sub(lambda match: self._names[match[0].lower()], text)
        return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"

    def value(self, value: Any, name: str = "") -> Any:
        """Show a JSON value, and its texts cut."""
        if isinstance(value, str):
            is_cursor = name in _CURSORS and value in self._cursors
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


def _named(what: str, text: str) -> str:
    return f"[{what}, {len(text)} characters]"


def _cursors_in(value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for name, member in value.items():
        if name in _CURSORS and isinstance(member, str):
            yield member
        elif name not in _CURSORS and isinstance(member, dict):  # such as `replacement_request`
            yield from _cursors_in(member)
