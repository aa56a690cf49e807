"""The command lines that are compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.processes import Contender, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.bucket import Bucket

FLOOR: Final = "`http.client` and orjson"
LOOP: Final = "loop over `requests.Session`"
PLAIN: Final = "plain SDK tap"
OURS: Final = "tap-jobo"
_CONTENDERS: Final = Path(__file__).parent / "contenders"
KEY: Final = f"jbe_test_{'a' * 21}_{'b' * 43}"


class Commands:
    """Commands for a feed at `url`, with their settings in files of a folder."""

    def __init__(self, folder: Path, url: str, stream: str = "career_sites") -> None:
        self._folder = folder
        self._url = url
        self._stream = stream
        self._selection: tuple[str, ...] = ()
        if stream != "career_sites":
            self._selection = ("--catalog", _write(folder / "catalog.json", catalog(stream)))
        self.journal = folder / "journal"
        self._settings = {"api_key": KEY, "api_url": url}
        self._plain = self._config("plain", stream=stream)
        self._ours = self._config("ours", journal_dir=str(self.journal))
        bookmark = {
            "replication_key": "updated_at",
            "replication_key_value": "2026-01-31T08:00:00Z",
        }
        self._state = _write(folder / "state.json", {"bookmarks": {"career_sites": bookmark}})

    def whole_feed(self) -> list[Contender]:
        """Return all contenders, each of which reads the whole feed."""
        return [
            self._script(FLOOR, "floor.py"),
            self._script(LOOP, "requests_loop.py"),
            self._plain_tap("--config", self._plain),
            self.purchase(),
        ]

    def purchase(self) -> Contender:
        """Return a run of the tap that fetches all pages and keeps them in the journal."""
        tap = self._tap("--config", self._ours, *self._selection)
        return Contender(OURS, tap.command, self._forget)

    def replay(self) -> Contender:
        """Return a run without a state, for which the run before it left all in the journal."""
        tap = self._tap("--config", self._ours, *self._selection)
        return Contender("replay from a folder", tap.command)

    def without_journal(self) -> Contender:
        """Return a run of the tap that keeps no page."""
        config = self._config("off", journal=False)
        return Contender("journal off", self._tap("--config", config, *self._selection).command)

    def bucket(self, bucket: Bucket) -> list[Contender]:
        """Return a run that keeps its pages in object storage, and one that replays them."""
        tap = self._tap("--config", self._config("bucket", journal_dir=bucket.url))
        return [
            Contender("journal in a bucket", tap.command, bucket.clear, bucket.env),
            Contender("replay from a bucket", tap.command, env=bucket.env),
        ]

    def _config(self, name: str, **settings: object) -> str:
        return _write(self._folder / f"{name}.json", {**self._settings, **settings})

    def quiet(self) -> list[Contender]:
        """Return the two taps with a bookmark since which nothing changed."""
        tap = self._tap("--config", self._ours, "--state", self._state)
        return [self._plain_tap("--config", self._plain, "--state", self._state), tap]

    def option(self, option: str) -> list[Contender]:
        """Return the two taps with an option that needs no API."""
        return [self._plain_tap(option), self._tap(option)]

    def _script(self, name: str, file: str) -> Contender:
        script = str(_CONTENDERS / file)
        return Contender(name, [sys.executable, script, self._url, self._stream])

    def _plain_tap(self, *arguments: str) -> Contender:
        script = str(_CONTENDERS / "plain_sdk_tap.py")
        return Contender(PLAIN, [sys.executable, script, *arguments])

    def _tap(self, *arguments: str) -> Contender:
        return Contender(OURS, [str(Path(sys.executable).with_name("tap-jobo")), *arguments])

    def _forget(self) -> None:
        shutil.rmtree(self.journal, ignore_errors=True)


def catalog(*streams: str) -> dict[str, Any]:
    """Return the discovered catalog, with these streams selected and no others."""
    command = [sys.executable, "-m", "tap_jobo", "--discover"]
    done = subprocess.run(command, env=environment(), capture_output=True, check=True)
    content: dict[str, Any] = json.loads(done.stdout)
    for stream in content["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
    return content


def _write(path: Path, content: Mapping[str, object]) -> str:
    path.write_text(json.dumps(content))
    return str(path)
