"""METRIC lines: those of the SDK and our own, with nothing that is zero."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from singer_sdk import metrics

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

_TEMPLATE: Final = "METRIC: %-s"
"""As the SDK's own `METRIC: %s`, which its JSON formatter would replace by the word METRIC."""


class _AtExit(Protocol):
    def __call__(self, *, is_failed: bool) -> bool: ...


class RecordCounter(metrics.Counter):
    """Counts a stream's records, and logs their number once, at the end, if there were any.

    The SDK's logs every minute, and each time starts again from zero.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: str) -> None:
        tags = {metrics.Tag.STREAM.value: stream}
        super().__init__(metrics.Metric.RECORD_COUNT, tags, log_interval=math.inf)

    def exit(self) -> None:
        """Log the count."""
        if self.value:
            super().exit()


class SyncTimer(metrics.Timer):
    """Times a sync, and calls a function at its end, even if it failed.

    Args:
        stream: The stream.
        at_exit: Called first. It returns whether the stream read anything: if not, its duration
            is not logged.
    """

    def __init__(self, stream: str, at_exit: _AtExit) -> None:
        super().__init__(metrics.Metric.SYNC_DURATION, {metrics.Tag.STREAM.value: stream})
        self._at_exit = at_exit

    def __exit__(self, *exc_info: object) -> None:
        """Call the function and log the duration."""
        if self._at_exit(is_failed=exc_info[0] is not None):
            super().__exit__(*exc_info)  # type: ignore[arg-type]


def log_figures(logger: logging.Logger, stream: str, figures: Mapping[Any, float]) -> None:
    """Log figures of a stream, by their names."""
    for metric, value in figures.items():
        tags = {metrics.Tag.STREAM.value: stream}
        # Point expects one of the SDK's own metrics, but uses only its value.
        point = metrics.Point("counter", cast("metrics.Metric", metric), value, tags)
        metrics.log(logger, point)


def keep_stream(record: logging.LogRecord) -> bool:
    """Keep the stream of a METRIC line in every log, as a filter of the metrics logger.

    Meltano turns the SDK's JSON into lines such as `METRIC metric_name=record_count
    metric_value=300`, which do not name the stream. So the text of the line is the same in every
    log, and JSON has the figure's parts beside it, under the names that the SDK and Meltano use.
    """
    if isinstance(record.args, tuple) and record.args and isinstance(record.args[0], metrics.Point):
        point = record.args[0]
        record.msg = _TEMPLATE
        record.metric_info = point.to_dict()
        record.stream_name = point.tags.get(metrics.Tag.STREAM.value)
    return True
