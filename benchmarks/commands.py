"""The command lines that are compared."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.processes import Contender

if TYPE_CHECKING:
    from collections.abc import Mapping

FLOOR: Final = "`http.client` and orjson"
LOOP: Final = "loop over `requests.Session`"
PLAIN: Final = "plain SDK tap"
OURS: Final = "tap-jobo"
_CONTENDERS: Final = Path(__file__).parent / "contenders"
_KEY: Final = f"jbe_test_{'a' * 21}_{'b' * 43}"


class Commands:
    """Commands for the feed at `url`, with their settings in files of a folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self._url = url
        self._journal = folder / "journal"
        settings = {"api_key": _KEY, "api_url": url}
        self._plain = _write(folder / "plain.json", settings)
        self._ours = _write(folder / "ours.json", {**settings, "journal_dir": str(self._journal)})
        bookmark = {
            "replication_key": "updated_at",
            "replication_key_value": "2026-01-31T08:00:00Z",
        }
        self._state = _write(folder / "state.json", {"bookmarks": {"career_sites": bookmark}})

    def whole_feed(self) -> list[Contender]:
        """Return all contenders, each of which reads the whole feed."""
        return [
            Contender(FLOOR, [sys.executable, str(_CONTENDERS / "floor.py"), self._url]),
            Contender(LOOP, [sys.executable, str(_CONTENDERS / "requests_loop.py"), self._url]),
            self._plain_tap("--config", self._plain),
            self.purchase(),
        ]

    def purchase(self) -> Contender:
        """Return a run of the tap that fetches all pages and keeps them in the journal."""
        tap = self._tap("--config", self._ours)
        return Contender(OURS, tap.command, self._forget)

    def replay(self) -> Contender:
        """Return a run without a state, for which the run before it left all in the journal."""
        tap = self._tap("--config", self._ours)
        return Contender("replay", tap.command)

    def quiet(self) -> list[Contender]:
        """Return the two taps with a bookmark since which nothing changed."""
        tap = self._tap("--config", self._ours, "--state", self._state)
        return [self._plain_tap("--config", self._plain, "--state", self._state), tap]

    def option(self, option: str) -> list[Contender]:
        """Return the two taps with an option that needs no API."""
        return [self._plain_tap(option), self._tap(option)]

    def _plain_tap(self, *arguments: str) -> Contender:
        script = str(_CONTENDERS / "plain_sdk_tap.py")
        return Contender(PLAIN, [sys.executable, script, *arguments])

    def _tap(self, *arguments: str) -> Contender:
        return Contender(OURS, [str(Path(sys.executable).with_name("tap-jobo")), *arguments])

    def _forget(self) -> None:
        shutil.rmtree(self._journal, ignore_errors=True)


def _write(path: Path, content: Mapping[str, object]) -> str:
    path.write_text(json.dumps(content))
    return str(path)
