"""A bucket of object storage: how it is opened, how long we wait for it, what its errors say.

Only this module and those that import it need obstore, of the extra `tap-jobo[cloud]`.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from tap_jobo.errors import JournalError
from tap_jobo.journal.compression import DAMAGED
from tap_jobo.journal.page_store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obstore.store import ObjectStore, RetryConfig

    from tap_jobo.settings.bucket_url import BucketUrl

# Not as `client_options`: those would replace what the environment says, such as AWS_ALLOW_HTTP.
_WAITS: Final = {"connect_timeout": "2s", "timeout": "5s"}
_RETRIES: Final[RetryConfig] = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1)},
}
_LONGEST: Final = 300


def open_bucket(url: BucketUrl) -> ObjectStore:
    """Return a bucket, with the credentials of the environment; nothing is sent yet.

    Never log what this returns: its `repr` shows credentials, or panics (Azure).

    Raises:
        JournalError: A variable of the environment is not what it should be.
    """
    kinds = {"s3": S3Store, "gs": GCSStore, "azure": AzureStore}
    open_one: Callable[..., ObjectStore] = kinds[url.scheme]
    try:
        return open_one(url.bucket, prefix=url.prefix or None, config=_WAITS, retry_config=_RETRIES)
    except (BaseError, OSError, ValueError, TypeError) as error:
        raise JournalError(
            f"The journal {url} cannot be opened ({_reason(error)}). Check the variables with the "
            "credentials of this store, or set journal_dir to another place."
        ) from None


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn whatever goes wrong into a `StoreError` of one line without credentials.

    Raises:
        StoreError: Something went wrong.
    """
    try:
        yield
    except (BaseError, OSError, ValueError, *DAMAGED) as error:
        raise StoreError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Return the first line of an error, without queries, which may hold a signature.

    The code that the store answered with, such as `NoSuchBucket`, comes first.
    """
    text = str(error) or type(error).__name__
    line = re.sub(r"\?\S*", "", text.splitlines()[0].partition(": <?xml")[0])
    code = re.search(r"<Code>(\w+)</Code>", text)
    return (f"{code[1]}: {line}" if code else line)[:_LONGEST]
