"""METRIC lines in the logs that the SDK can write."""

from __future__ import annotations

import json
import logging

from singer_sdk import metrics
from singer_sdk.logging import ConsoleFormatter, StructuredFormatter

from tap_jobo.singer.metric_lines import keep_stream

TAGS = {"stream": "jobs"}
FIGURE = {"type": "counter", "metric": "record_count", "value": 7, "tags": TAGS}


def _record() -> logging.LogRecord:
    point = metrics.Point("counter", metrics.Metric.RECORD_COUNT, 7, TAGS)
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "METRIC: %s", (point,), None)
    assert keep_stream(record)
    return record


def test_every_log_has_the_same_text() -> None:
    text = ConsoleFormatter().format(_record()).split(" | ")[-1]
    logged = json.loads(StructuredFormatter().format(_record()))
    assert json.loads(text.removeprefix("METRIC: ")) == FIGURE
    assert logged["message"] == text
    assert logged["stream_name"] == "jobs"
    assert logged["extra"]["metric_info"] == FIGURE


def test_the_sdks_filter_still_excludes_them() -> None:
    record = _record()
    assert not metrics.MetricExclusionFilter(metrics=["record_count"]).filter(record)
    assert metrics.MetricExclusionFilter(metrics=["sync_duration"]).filter(record)


def test_other_lines_are_left_as_they_are() -> None:
    record = logging.makeLogRecord({"msg": "%s of %s", "args": (1, 2)})
    assert keep_stream(record)
    assert record.getMessage() == "1 of 2"
    assert not hasattr(record, "stream_name")
