"""Programs of other kinds that read the same feed, each in its own environment, made by uv."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.processes import Contender, environment
from tap_jobo.streams.registry import FEEDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTENDERS: Final = Path(__file__).parent / "contenders"
_UV: Final = str(Path(sys.executable).with_name("uv"))


def peers(folder: Path, url: str, stream: str) -> Iterator[Contender]:
    """Yield the peers; each takes up to a minute to install for the first time.

    Args:
        folder: Where their environments are, or are made.
        url: The address of the API.
        stream: The feed to read.
    """
    (schema,) = (spec.schema.to_dict() for spec in FEEDS if spec.name == stream)
    for package, script, extra in (
        ("dlt", "dlt_pipeline.py", ()),
        ("airbyte-cdk", "airbyte_source.py", ()),
        ("singer-python", "singer_python_tap.py", (json.dumps(schema),)),
    ):
        python = _installed(folder / package, package)
        yield Contender(
            f"{package} {_version(python, package)}",
            [python, str(_CONTENDERS / script), url, stream, *extra],
            env={"RUNTIME__DLTHUB_TELEMETRY": "false"},
            told_rows=int if package == "dlt" else None,
        )


def _installed(folder: Path, package: str) -> str:
    """Return the Python of an environment that has a package and requests."""
    python = folder / Path(sys.executable).parent.name / "python"
    if not python.exists():
        _uv("venv", "--quiet", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(python), package, "requests")
    return str(python)


def _uv(*arguments: str) -> None:
    subprocess.run([_UV, *arguments], env=environment(), check=True)


def _version(python: str, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
