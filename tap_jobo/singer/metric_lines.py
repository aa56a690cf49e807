"""METRIC lines: the SDK's own count of records, and what the SDK does not count."""

import logging
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from singer_sdk import metrics
from typing_extensions import override


class RecordCounter(metrics.Counter):
    """Counts a stream's records, and logs the count once, at the end, if it is not zero.

    The SDK's counter logs every minute, and each time starts again from zero.
    """

    def __init__(self, stream: str) -> None:
        tags = {metrics.Tag.STREAM.value: stream}
        super().__init__(metrics.Metric.RECORD_COUNT, tags, log_interval=math.inf)

    @override
    def exit(self) -> None:
        """Log the count."""
        if self.value:
            super().exit()


def log_figures(logger: logging.Logger, stream: str, figures: Mapping[str, int | None]) -> None:
    """Log figures of a stream, by their names; those that are None are not logged."""
    tags = {metrics.Tag.STREAM.value: stream}
    for name, value in figures.items():
        if value is not None:
            metric: Any = SimpleNamespace(value=name)  # like a member of the SDK's own enum
            metrics.log(logger, metrics.Point("counter", metric, value, tags))
