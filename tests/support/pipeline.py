"""The tap and the loader, from a sandbox into a Postgres. Without Meltano, which is slower."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from uv import find_uv_bin

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import Json

_PROJECT = Path(__file__).parents[2] / "meltano.yml"
_TAP = [sys.executable, "-m", "tap_jobo"]
_TIMEOUT = 120
_STREAMS = {"career_sites", "companies"}


@dataclass(frozen=True)
class Pipeline:
    """What `meltano run tap-jobo target-postgres` runs, with both tables of the examples.

    Attributes:
        sandbox: The source.
        url: The libpq URL of the destination.
        folder: Holds the files of both, and the state: a second run continues the first.
    """

    sandbox: Sandbox
    url: str
    folder: Path

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
            self._write("catalog", _catalog())
        if not state.exists():
            self._write("state", {})
        files = ["--catalog", str(catalog), "--state", str(state)]
        return [*_TAP, "--config", self._write("tap", config), *files]

    def _loader(self) -> list[str]:
        plugins = yaml.safe_load(_PROJECT.read_text("utf-8"))["plugins"]["loaders"]
        (plugin,) = (plugin for plugin in plugins if plugin["name"] == "target-postgres")
        # SQLAlchemy's name for the loader's driver.
        url = self.url.replace("postgresql:", "postgresql+psycopg:")
        config = self._write("loader", {**plugin["config"], "sqlalchemy_url": url})
        uv = [find_uv_bin(), "tool", "run", "--quiet", "--from", plugin["pip_url"]]
        return [*uv, plugin["executable"], "--config", config]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, name: str, content: Json) -> str:
        path = self._path(name)
        path.write_text(json.dumps(content))
        return str(path)


def _catalog() -> Json:
    """Return the discovered catalog, with both streams selected."""
    discovery = subprocess.run(
        [*_TAP, "--discover"], capture_output=True, timeout=_TIMEOUT, check=True
    )
    catalog: Json = json.loads(discovery.stdout)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = stream["tap_stream_id"] in _STREAMS
    return catalog
