"""The tap and a loader of meltano.yml. Without Meltano, which is slower."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import Json
from tests.support.jobs import STREAMS
from tests.support.plugins import plugin_of, tool_of

_TAP = [sys.executable, "-m", "tap_jobo"]
_TIMEOUT = 120


@dataclass(frozen=True)
class Pipeline:
    """What `meltano run tap-jobo LOADER` runs.

    Attributes:
        sandbox: The source.
        loader: Name of the loader in meltano.yml.
        destination: Settings of the loader that say where its tables are.
        folder: Holds the files of both, and the state: a second run continues the first.
        streams: Those that are selected.
    """

    sandbox: Sandbox
    loader: str
    destination: Json
    folder: Path
    streams: Collection[str] = STREAMS

    def run(self) -> None:
        """Run the tap into the loader, until both exit.

        Raises:
            RuntimeError: If one of them fails, with the end of their log.
        """
        log = self.folder / "log"
        with (
            log.open("w") as stderr,
            subprocess.Popen(self._tap(), stdout=subprocess.PIPE, stderr=stderr) as tap,
            subprocess.Popen(
                self._loader(), stdin=tap.stdout, stdout=subprocess.PIPE, stderr=stderr, text=True
            ) as loader,
        ):
            if tap.stdout:
                tap.stdout.close()  # so that the tap notices if the loader exits
            states, _ = loader.communicate(timeout=_TIMEOUT)
        if tap.returncode or loader.returncode:
            raise RuntimeError(f"The pipeline failed: {log.read_text('utf-8')[-2000:]}")
        if states:
            self._path("state").write_text(states.splitlines()[-1])

    def _tap(self) -> list[str]:
        config = {
            "api_key": self.sandbox.api_key,
            "api_url": self.sandbox.url,
            "journal_dir": str(self.folder / "journal"),
        }
        catalog, state = self._path("catalog"), self._path("state")
        if not catalog.exists():
            self._write("catalog", _catalog(self.streams))
        if not state.exists():
            self._write("state", {})
        files = ["--catalog", str(catalog), "--state", str(state)]
        return [*_TAP, "--config", self._write("tap", config), *files]

    def _loader(self) -> list[str]:
        plugin = plugin_of("loaders", self.loader)
        config = self._write("loader", {**plugin["config"], **self.destination})
        return [*tool_of(plugin), plugin["executable"], "--config", config]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, name: str, content: Json) -> str:
        path = self._path(name)
        path.write_text(json.dumps(content))
        return str(path)


def _catalog(streams: Collection[str]) -> Json:
    """Return the discovered catalog, with these streams selected."""
    discovery = subprocess.run(
        [*_TAP, "--discover"], capture_output=True, timeout=_TIMEOUT, check=True
    )
    catalog: Json = json.loads(discovery.stdout)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
    return catalog
