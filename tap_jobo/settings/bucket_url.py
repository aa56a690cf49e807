"""The URL of a place in object storage, such as `s3://bucket/prefix`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SCHEMES: Final = ("s3", "gs", "azure")
"""As in Meltano's state backends: Amazon S3 and compatible servers, Google, Azure."""
_URL: Final = re.compile(
    rf"({'|'.join(SCHEMES)})://([a-z0-9][a-z0-9._-]{{1,220}}[a-z0-9])((?:/[A-Za-z0-9._=-]+)*)/?"
)
_LONGEST: Final = 400
"""Characters; the name of a page's object takes 500 at the most, stores allow 1,024."""


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """A bucket (Azure: a container) and a prefix in it.

    Attributes:
        scheme: One of `SCHEMES`.
        bucket: The bucket's name.
        prefix: Where in the bucket, without slashes at its ends; may be empty.
    """

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        """Return the URL; it never holds credentials."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def is_like_url(text: str) -> bool:
    """Tell whether a text is meant as a URL rather than as a path (`C:/folder` is a path)."""
    return re.match(rf"(?i)[a-z][a-z0-9+.-]+:/|({'|'.join(SCHEMES)}):", text) is not None


def parse_bucket_url(text: str) -> BucketUrl | None:
    """Read a URL; None if it is no URL of a bucket, or has credentials or a query in it."""
    found = _URL.fullmatch(text)
    if found is None or len(text) > _LONGEST:
        return None
    scheme, bucket, path = found.groups()
    if {".", ".."} & {*path.split("/")}:
        return None
    return BucketUrl(scheme, bucket, path.strip("/"))
