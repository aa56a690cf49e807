"""What the tests of the archive share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import Warehouse, pass_time
from tests.support import Tap
from tests.support.archives import Files, files_at
from tests.support.gcs import serve_gcs
from tests.support.s3 import S3, Weather, serve_in_weather, serve_moto, serve_s3


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap without a lookback: no change is billed twice."""
    return Tap(sandbox, tmp_path, {"lookback_minutes": 0})


@pytest.fixture
def folder(tap: Tap) -> Path:
    """The archive's folder."""
    return tap.folder / "archive"


@pytest.fixture
def files(request: pytest.FixtureRequest, tap: Tap, folder: Path) -> Files:
    """The files of the tap's archive: in a folder, or where a test is `in_both`, in a bucket, too.

    What differs between the stores is in their own tests.
    """
    location = str(folder)
    if getattr(request, "param", "folder") == "bucket":
        location = request.getfixturevalue("s3").url
    tap.settings["archive_dir"] = location
    return files_at(location)


@pytest.fixture
def warehouse(tap: Tap, files: Files) -> Warehouse:
    """A warehouse after its first sync, of three pages, a minute ago."""
    warehouse = Warehouse(tap)
    warehouse.run()
    assert files.page_numbers == [1, 2, 3]
    pass_time(tap, timedelta(minutes=1))
    return warehouse


def _set_all(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """An empty bucket, which the environment says how to reach."""
    with serve_s3() as server:
        _set_all(monkeypatch, server.env)
        yield server


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The same of moto's, which behaves like S3 in more than the archive needs."""
    with serve_moto() as server:
        _set_all(monkeypatch, server.env)
        yield server


@pytest.fixture
def weather(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Weather]:
    """What decides which requests reach the bucket."""
    with serve_in_weather() as (same, weather):
        assert same.url == s3.url
        _set_all(monkeypatch, same.env)
        yield weather


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """An empty bucket of Google's, which the environment says how to reach."""
    with serve_gcs(tmp_path) as env:
        _set_all(monkeypatch, env)
        yield "gs://archives/pipelines/jobo"
