"""The URL of a place in object storage, such as `s3://bucket/prefix`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_URL: Final = re.compile(
    r"(s3|gs|azure)://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])((?:/(?!\.\.?(?:/|\Z))[\w.=-]+)*)/?",
    re.ASCII,
)
"""The schemes of Meltano's state backends: Amazon S3 and compatible servers, Google, Azure."""


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """A bucket (Azure: a container) and a prefix in it, which may be empty."""

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        """Return the URL; it never holds credentials."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def is_like_url(text: str) -> bool:
    """Return whether a text is meant as a URL rather than as a path (`C:/folder` is a path)."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text) is not None


def parse_bucket_url(text: str) -> BucketUrl | None:
    """Parse a URL; None if it is no URL of a bucket, or has credentials or a query in it."""
    found = _URL.fullmatch(text)
    return BucketUrl(found[1], found[2], found[3].strip("/")) if found else None
