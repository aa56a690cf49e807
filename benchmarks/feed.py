"""The feeds that are measured, and the files and programs that the contenders need."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.processes import Contender, environment
from tests.support import STREAMS, discover, selecting

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY: Final = Path(__file__).parents[1]
PROGRAMS: Final = Path(sys.executable).parent
KEY: Final = f"jbe_test_{'a' * 21}_{'b' * 43}"
_CONTENDERS: Final = Path(__file__).parent / "contenders"


@dataclass(frozen=True)
class Feed:
    """A feed, whose contenders keep their files in a folder.

    Attributes:
        folder: The folder.
        url: The address of the API.
        job_bytes: The size of a job; 0 for career sites.
    """

    folder: Path
    url: str
    job_bytes: int

    @property
    def stream(self) -> str:
        """The name of the stream."""
        return "jobs" if self.job_bytes else "career_sites"

    @property
    def page_rows(self) -> int:
        """The rows of a page."""
        return 1_000 if self.job_bytes else 50

    @property
    def title(self) -> str:
        """The name of the rows."""
        return f"jobs of {self.job_bytes:,} bytes" if self.job_bytes else "career sites"

    @cached_property
    def catalog(self) -> dict[str, Any]:
        """The discovered catalog, with this stream selected and no others."""
        selected = {name: name == self.stream for name in STREAMS}
        return selecting(discover(), **selected)

    @property
    def schema(self) -> str:
        """The stream's schema as JSON."""
        (schema,) = (
            stream["schema"]
            for stream in self.catalog["streams"]
            if stream["tap_stream_id"] == self.stream
        )
        return json.dumps(schema)

    def script(self, name: str, file: str, *arguments: str, package: str = "") -> Contender:
        """Return a script of `contenders`, run in the environment of a package."""
        path = "/api/jobs/feed" if self.job_bytes else "/api/career-sites/feed"
        which = (path, self.stream, str(self.page_rows))
        programs = self.installed(package) if package else PROGRAMS
        command = [str(programs / "python"), str(_CONTENDERS / file), self.url, *which, *arguments]
        return Contender(
            name, command, env={"JOBO_API_KEY": KEY, "RUNTIME__DLTHUB_TELEMETRY": "false"}
        )

    def installed(self, *packages: str) -> Path:
        """Return where the programs of an environment with these packages are, made by uv."""
        folder = self.folder / "environments" / packages[0].replace("[", "-").strip("]")
        programs = folder / PROGRAMS.name
        if not programs.exists():
            uv = [str(PROGRAMS / "uv"), "--quiet"]
            for command in (
                ["venv", "--python", sys.executable, str(folder)],
                ["pip", "install", "--python", str(programs / "python"), *packages],
            ):
                subprocess.run([*uv, *command], env=environment(), cwd=REPOSITORY, check=True)
        return programs

    def write(self, name: str, content: Mapping[str, object]) -> str:
        """Write a file of settings and return its path."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)
