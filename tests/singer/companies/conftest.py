"""The tap with the stream of company profiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap, discover
from tests.support.companies import Json, Plain, selecting


@pytest.fixture(scope="session")
def discovered(tmp_path_factory: pytest.TempPathFactory) -> Json:
    return discover(tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path, discovered: Json) -> Tap:
    """The tap with both streams selected."""
    return Tap(sandbox, tmp_path, catalog=selecting(discovered, companies=True))


@pytest.fixture
def alone(sandbox: Sandbox, tmp_path: Path, discovered: Json) -> Tap:
    """The tap with nothing but companies selected."""
    catalog = selecting(discovered, career_sites=False, companies=True)
    return Tap(sandbox, tmp_path, catalog=catalog)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, discovered: Json) -> Iterator[Plain]:
    """A run over five pages."""
    catalog = selecting(discovered, companies=True)
    with Sandbox(size=120, seed=2, order="updated_desc") as sandbox:
        tap = Tap(sandbox, tmp_path_factory.mktemp("plain"), catalog=catalog)
        run = tap.run(batch_size=25)
        assert run.returncode == 0, run.stderr
        yield Plain(sandbox, run)
