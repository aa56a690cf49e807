"""The benchmark: its server's pace, and its measuring of the installed tap."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import server
from benchmarks.feed import Feed
from benchmarks.processes import measure
from benchmarks.readers import OURS, tap

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize(("job_bytes", "rows"), [(0, 120), (4_000, 1_001)])
def test_the_tap_is_measured_with_all_rows(tmp_path: Path, job_bytes: int, rows: int) -> None:
    with server.serving(rows, job_bytes, latency=0.001, interval=0.001) as url:
        timings = measure([tap(Feed(tmp_path, url, job_bytes))], rounds=1, rows=rows)
    assert [*timings] == [OURS]
    assert timings[OURS].seconds[0] > 0


def test_a_page_takes_its_latency_and_comes_no_sooner_than_the_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrivals, waits = iter([10.0, 10.1, 10.2, 20.0]), list[float]()
    clock = SimpleNamespace(monotonic=lambda: next(arrivals), sleep=waits.append)
    monkeypatch.setattr(server, "time", clock)
    with server.Server(0, 0, latency=0.25, interval=0.5) as serving:
        for _ in range(4):
            serving.wait()
    assert waits == pytest.approx([0.25, 0.65, 1.05, 0.25])
