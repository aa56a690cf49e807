"""METRIC lines: the SDK's own of records and requests, and what the SDK does not count."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from requests import Response
from singer_sdk import metrics
from typing_extensions import override

from tap_jobo.api.profiles import PROFILE_PATH


class RecordCounter(metrics.Counter):
    """Counts a stream's records, and logs the count once, at the end, if it is not zero.

    The SDK's counter logs every minute, and each time starts again from zero.
    """

    def __init__(self, stream: str, at_exit: Callable[[], None]) -> None:
        tags = {metrics.Tag.STREAM.value: stream}
        super().__init__(metrics.Metric.RECORD_COUNT, tags, log_interval=math.inf)
        self._at_exit = at_exit

    @override
    def __exit__(self, *exc_info: object) -> None:
        try:
            self._at_exit()
        finally:
            super().__exit__(*exc_info)  # type: ignore[arg-type]

    @override
    def exit(self) -> None:
        """Log the count."""
        if self.value:
            super().exit()


class RequestMetrics:
    """The SDK's metrics of HTTP requests: the duration of each at DEBUG, the counts at INFO."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._counts: Counter[str] = Counter()

    def add(self, response: Response, **_: Any) -> None:
        """Record a response, as a hook of a `requests` session."""
        path = urlsplit(response.url).path
        endpoint = PROFILE_PATH if path.startswith(f"{PROFILE_PATH}/") else path
        self._counts[endpoint] += 1
        tags = {
            metrics.Tag.ENDPOINT.value: endpoint,
            metrics.Tag.HTTP_STATUS_CODE.value: response.status_code,
            metrics.Tag.STATUS.value: (
                metrics.Status.SUCCEEDED if response.ok else metrics.Status.FAILED
            ).value,
        }
        seconds = response.elapsed.total_seconds()
        point = metrics.Point("timer", metrics.Metric.HTTP_REQUEST_DURATION, seconds, tags)
        self._logger.debug("METRIC: %s", point)

    def log_count(self, stream: str, endpoint: str) -> None:
        """Log how many responses an endpoint has sent, once, if there were any."""
        if count := self._counts.pop(endpoint, 0):
            tags = {metrics.Tag.STREAM.value: stream, metrics.Tag.ENDPOINT.value: endpoint}
            point = metrics.Point("counter", metrics.Metric.HTTP_REQUEST_COUNT, count, tags)
            metrics.log(self._logger, point)


def log_figures(logger: logging.Logger, stream: str, figures: Mapping[str, int | None]) -> None:
    """Log figures of a stream, by their names; those that are None are not logged."""
    tags = {metrics.Tag.STREAM.value: stream}
    for name, value in figures.items():
        if value is not None:
            metric: Any = SimpleNamespace(value=name)  # like a member of the SDK's own enum
            metrics.log(logger, metrics.Point("counter", metric, value, tags))
