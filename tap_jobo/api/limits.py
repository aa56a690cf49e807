"""How long the tap waits for the API, and how often it tries again."""

from __future__ import annotations

from typing import Final

CONNECT_SECONDS: Final = 10.0
"""For a connection to be made."""
READ_SECONDS: Final = 120.0
"""Between two parts of a response: Jobo asks for at least this."""
TRY_SECONDS: Final = 900.0
"""For a whole try, even if bytes keep trickling in."""
IDLE_SECONDS: Final = 60.0
"""Until an idle connection is not used again: a gateway may have dropped it without a word, and a
request that is lost there would count as possibly billed."""
MAX_BODY_BYTES: Final = 512 * 1024**2
"""Of a decoded body."""

RETRY_SECONDS: Final = 300.0
"""Of backoff and failed tries for one page that was not billed."""
BACKOFF_MIN: Final = 0.5
BACKOFF_MAX: Final = 30.0
"""Seconds between such tries; they double from the first to the second of these."""
RETRY_AFTER_MAX: Final = 3_600.0
"""Seconds of waits that the API may ask for, for one request."""
POSSIBLY_BILLED_WAITS: Final = (5.0, 30.0)
"""Seconds before each retry of a request that may have been billed: every try may cost a page."""

CLOCK_TRIES: Final = 3
"""Responses without a `Date` before the API's clock counts as unknown."""
CLOCK_TRY_SECONDS: Final = 20.0
"""For one try of the request that reads the API's clock."""
