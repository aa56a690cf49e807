"""A lease as it lies in a bucket: read, written on a condition, dated by the store's own clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from obstore.exceptions import AlreadyExistsError, PreconditionError

from tap_jobo.journal.bucket import store_errors

if TYPE_CHECKING:
    from datetime import datetime

    from obstore import PutMode, UpdateVersion
    from obstore.store import ObjectStore as Bucket

FOLDER: Final = "leases"
_CLOCK: Final = f"{FOLDER}/clock"
"""Written only to see what time the store writes beside it."""


@dataclass(frozen=True)
class Found:
    """What was read of a lease.

    Attributes:
        version: What a conditional write refers to.
        written_at: When it was last renewed, by the store's clock.
        content: What its holder wrote; empty where that is not ours to read.
    """

    version: UpdateVersion
    written_at: datetime
    content: dict[str, Any]

    @property
    def nonce(self) -> str:
        """The random text of this renewal."""
        return str(self.content.get("nonce", ""))

    @property
    def run(self) -> str:
        """The random id of the run that holds it."""
        return str(self.content.get("run", ""))

    @property
    def is_released(self) -> bool:
        """Whether its holder has ended in order."""
        return bool(self.content.get("released"))

    @property
    def who(self) -> str:
        """Its holder, for messages."""
        try:
            return "(process {pid} on {host}, since {since})".format_map(self.content)
        except KeyError:
            return "(of an unknown holder)"


class LeaseFile:
    """The object of one lease.

    Every method may raise `StoreError`.

    Args:
        bucket: The bucket, at the prefix of the journal.
        name: The object's name.
    """

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name

    def read(self) -> Found | None:
        """Return the lease, None if there is none."""
        with store_errors():
            try:
                answer = self._bucket.get(self._name)
            except FileNotFoundError:
                return None
            meta, text = answer.meta, bytes(answer.bytes())
        return Found(
            version=_version(meta["e_tag"], meta["version"]),
            written_at=meta["last_modified"],
            content=_object(text),
        )

    def write(self, content: dict[str, Any], mode: PutMode) -> UpdateVersion | None:
        """Write it; return None if the condition does not hold (any more)."""
        with store_errors():
            try:
                done = self._bucket.put(self._name, json.dumps(content).encode(), mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return None
        return _version(done["e_tag"], done["version"])

    def store_time(self) -> datetime:
        """Return what time it is by the clock that dates the leases."""
        with store_errors():
            self._bucket.put(_CLOCK, b"")
            return self._bucket.head(_CLOCK)["last_modified"]


def lease_files(bucket: Bucket) -> list[LeaseFile]:
    """Return all leases of a journal.

    Raises:
        StoreError: The store cannot be reached.
    """
    with store_errors():
        names = [each["path"] for each in bucket.list(FOLDER).collect()]
    return [LeaseFile(bucket, name) for name in sorted(names) if name != _CLOCK]


def _version(e_tag: str | None, version: str | None) -> UpdateVersion:
    """Return a version without what the store does not tell: obstore takes no None."""
    known: UpdateVersion = {}
    if e_tag is not None:
        known["e_tag"] = e_tag
    if version is not None:
        known["version"] = version
    return known


def _object(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
