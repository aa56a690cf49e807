"""The API's clock, read by a free request before anything is billed."""

from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from tap_jobo.api.client import Client
from tap_jobo.api.profiles import PROFILE_PATH
from tap_jobo.clock import Clock, format_timestamp, parse_http_date, to_minute
from tap_jobo.errors import TapJoboError
from tap_jobo.messages import message

_MAX_SKEW: Final = timedelta(days=1)
_TOLERATED_SKEW: Final = timedelta(minutes=5)
_LOCAL_OR_PROXY: Final = "the local clock, or the proxy if it changes the Date header"


class ApiClock:
    """The API's clock, which is never ahead of the API's own: a `Date` has whole seconds."""

    def __init__(self, date: datetime, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._date = date
        self._local = clock.now()

    def now(self) -> datetime:
        """Return the API's current time."""
        return self._date + self._passed()

    def earlier(self) -> datetime:
        """Return the current time by the earlier clock, so that a bookmark skips no update."""
        return min(self._date, self._local) + self._passed()

    def is_future(self, instant: datetime) -> bool:
        """Return whether an instant, such as a bookmark, is in the future."""
        return instant > self.now() + timedelta(seconds=1)  # as exact as a `Date`

    def _passed(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic() - self._started)


def read_api_clock(client: Client) -> ApiClock:
    """Read the API's clock from the `Date` of any response to a free request."""
    path = f"{PROFILE_PATH}/{uuid4()}"  # of no company, so that nothing is cached
    request = client.session.build(path)
    request.headers["Cache-Control"] = "no-cache"
    response = client.fetch(request, any_status=True)  # whether the key is valid, feeds decide
    date = parse_http_date(response.headers.get("Date"))
    if date is None:
        fact = "Jobo's clock is not known: its response has no Date header. Nothing was billed."
        passes_date = "the proxy so that it passes on the Date header"
        raise TapJoboError(message("clock-wrong", fact, clock=passes_date))
    local = client.clock.now()
    shown, right = to_minute(format_timestamp(local)), to_minute(format_timestamp(date))
    fact = f"The local clock shows {shown}, but Jobo's shows {right}."
    skew = abs(local - date)
    if skew > _MAX_SKEW:
        fact = f"{fact} Nothing was billed."
        raise TapJoboError(message("clock-wrong", fact, clock=_LOCAL_OR_PROXY))
    if skew > _TOLERATED_SKEW:
        client.logger.warning("%s", message("clock-wrong", fact, clock=_LOCAL_OR_PROXY))
    return ApiClock(date, client.clock)
