"""A bucket in memory that behaves like S3, has a clock of its own, and can fail on request."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError

AWAY = "no route to the store"
"""Why a bucket that is away fails."""


@dataclass
class Bucket:
    """Objects by name. As S3's, an ETag is a hash of the content, and dates are whole seconds."""

    now: Callable[[], datetime]  #: the store's clock
    is_away: bool = False  #: whether no request gets a response
    loses_responses: bool = False  #: whether writes happen and their responses do not arrive
    ignored: tuple[str, ...] = ()  #: the conditions that it ignores, `create` and `update`
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)

    def put(self, name: str, content: bytes, *, mode: Any = "overwrite", **_: Any) -> Any:
        self._answer()
        known = self.objects.get(name)
        if mode == "create":
            if known and "create" not in self.ignored:
                raise AlreadyExistsError(name)
        elif mode != "overwrite" and "update" not in self.ignored:
            assert None not in mode.values(), "obstore takes no None"
            if known is None or _e_tag(known[0]) != mode["e_tag"]:
                raise PreconditionError(name)
        self.objects[name] = content, self.now().replace(microsecond=0)
        if self.loses_responses:
            raise GenericError("the response was lost")
        return {"e_tag": _e_tag(content), "version": None}

    def get(self, name: str, *, options: Any = None) -> Any:
        meta = self.head(name)
        start, end = (options or {}).get("range", (0, None))
        return SimpleNamespace(meta=meta, bytes=lambda: self.objects[name][0][start:end])

    def head(self, name: str) -> Any:
        self._answer()
        if name not in self.objects:
            raise FileNotFoundError(name)
        content, written_at = self.objects[name]
        return {
            "path": name,
            "e_tag": _e_tag(content),
            "version": None,
            "last_modified": written_at,
            "size": len(content),
        }

    def list(self, prefix: str, *, offset: str | None = None) -> Any:  # noqa: ARG002 - as Azure
        self._answer()
        found = [self.head(name) for name in [*self.objects] if name.startswith(f"{prefix}/")]
        return SimpleNamespace(collect=lambda: found)

    def delete(self, names: Any) -> None:
        self._answer()
        for name in [names] if isinstance(names, str) else names:
            if name not in self.objects:  # as Azure has it
                raise FileNotFoundError(name)
            del self.objects[name]

    def _answer(self) -> None:
        if self.is_away:
            raise GenericError(f"{AWAY}\n\nDebug source: ...")


def _e_tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
