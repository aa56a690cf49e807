"""What the tests of the archive share."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import Warehouse, pass_time
from tests.support import Tap
from tests.support.archives import Files, files_at
from tests.support.s3 import S3, Weather, serve_gcs, serve_in_weather, serve_s3


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap without a lookback: no change is billed twice."""
    return Tap(sandbox, tmp_path, {"lookback_minutes": 0})


@pytest.fixture
def folder(tap: Tap) -> Path:
    """The archive's folder."""
    return tap.folder / "archive"


@pytest.fixture
def files(folder: Path) -> Files:
    """The files of the tap's archive."""
    return files_at(str(folder))


@pytest.fixture
def warehouse(tap: Tap, files: Files) -> Warehouse:
    """A warehouse after its first sync, of three pages, a minute ago."""
    warehouse = Warehouse(tap)
    warehouse.run()
    assert files.page_numbers == [1, 2, 3]
    pass_time(tap)
    return warehouse


@pytest.fixture
def s3() -> Iterator[S3]:
    """An empty bucket, which the environment says how to reach."""
    with serve_s3() as server, patch.dict(os.environ, server.env):
        yield server


@pytest.fixture
def weather(s3: S3) -> Iterator[Weather]:
    """What decides which requests reach the bucket."""
    with serve_in_weather() as (same, weather), patch.dict(os.environ, same.env):
        assert same.url == s3.url
        yield weather


@pytest.fixture
def gcs(tmp_path: Path) -> Iterator[str]:
    """An empty bucket of Google's."""
    with serve_gcs(tmp_path) as url:
        yield url
