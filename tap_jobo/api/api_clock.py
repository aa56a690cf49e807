"""The clock of a run: that of the machine, and the API's own before anything is billed."""

import logging
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from tap_jobo.api.client import Client
from tap_jobo.api.profiles import PROFILE_PATH
from tap_jobo.clock import Clock, format_timestamp, parse_http_date, to_minute
from tap_jobo.errors import ApiError
from tap_jobo.messages import message

_MAX_SKEW: Final = timedelta(days=1)
_TOLERATED_SKEW: Final = timedelta(minutes=5)
_LOCAL_OR_PROXY: Final = "the local clock, or the proxy if it changes the Date header"


class ApiClock:
    """The clock of a run.

    It shows the machine's time until it has read the API's by a free request. So a load needs no
    API, and what it decides by this time is decided again before money is spent. The API's is never
    ahead of its own: a `Date` has whole seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_read = False
        self._set(clock.now())

    def _set(self, date: datetime) -> None:
        self._date = date
        self._local = self._clock.now()
        self._started = self._clock.monotonic()

    def read(self, client: Client) -> None:
        """Read the API's clock once, from the `Date` of any response to a free request.

        Raises:
            ApiError: Jobo can't be reached, its response has no `Date`, or the two clocks differ by
                more than a day.
        """
        if self._is_read:
            return
        path = f"{PROFILE_PATH}/{uuid4()}"  # of no company, so that nothing is cached
        request = client.session.build(path)
        request.headers["Cache-Control"] = "no-cache"
        response = client.fetch(request, any_status=True)  # whether the key is valid, feeds decide
        date = parse_http_date(response.headers.get("Date"))
        if date is None:
            fact = "Jobo's clock is not known: its response has no Date header. Nothing was billed."
            passes_date = "the proxy so that it passes on the Date header"
            raise ApiError(message("clock-wrong", fact, clock=passes_date))
        self._compare(date, client.logger)
        self._set(date)
        self._is_read = True

    def _compare(self, date: datetime, logger: logging.Logger) -> None:
        """Warn if the machine's clock is off, or raise if that is by more than a day."""
        local = self._clock.now()
        shown, right = to_minute(format_timestamp(local)), to_minute(format_timestamp(date))
        fact = f"The local clock shows {shown}, but Jobo's shows {right}."
        skew = abs(local - date)
        if skew > _MAX_SKEW:
            fact = f"{fact} Nothing was billed."
            raise ApiError(message("clock-wrong", fact, clock=_LOCAL_OR_PROXY))
        if skew > _TOLERATED_SKEW:
            logger.warning("%s", message("clock-wrong", fact, clock=_LOCAL_OR_PROXY))

    def now(self) -> datetime:
        """Return the current time."""
        return self._date + self._passed()

    def earlier(self) -> datetime:
        """Return the current time by the earlier clock, so that a bookmark skips no update."""
        return min(self._date, self._local) + self._passed()

    def is_future(self, instant: datetime) -> bool:
        """Return whether an instant, such as a bookmark, is in the future by any right clock.

        A `Date` is exact to a second, and a machine's clock that is of use to a day.
        """
        return instant > self.now() + (timedelta(seconds=1) if self._is_read else _MAX_SKEW)

    def _passed(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic() - self._started)
