"""Decodes an archived page that was kept as it came, because it is too large when decoded."""

import re
import sys
import zlib
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from tap_jobo.api.session import WINDOWS, inflate
from tap_jobo.model import Entry
from tap_jobo.redaction import REPLACEMENT

_KEY: Final = re.compile(rb"jbe_(?:live|test)_[A-Za-z0-9]{21}_[A-Za-z0-9]{43}")
"""What keys look like: the one of the run that was billed for the page is not known here."""


def decoded_entry(entry: Entry) -> Entry | None:
    """Return an entry with its body decoded, None if it is decoded already, or can't be."""
    receipt = entry.header.receipt
    if receipt is None or not receipt.encoding:
        return None
    for window in WINDOWS:
        with suppress(zlib.error):
            body, is_whole = inflate(entry.body, window, sys.maxsize)
            if is_whole:
                header = replace(entry.header, receipt=replace(receipt, encoding=""))
                return Entry(entry.number, header, _KEY.sub(REPLACEMENT.encode(), body))
    return None
