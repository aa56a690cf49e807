"""The order of a run: all streams are checked and opened before the first billed request.

If a stream fails, the run goes on with the next one, and ends with an error that names each.
"""

import logging
from collections.abc import Sequence

from tap_jobo.errors import StateError, TapJoboError
from tap_jobo.singer.stream import JoboStream
from tap_jobo.sync.lost_state import check_resumed, describe_lost
from tap_jobo.sync.state import StreamState


class StreamOrder:
    """The streams of a run, in the order in which the SDK syncs them."""

    def __init__(
        self, streams: Sequence[JoboStream], on_missing_state: str, logger: logging.Logger
    ) -> None:
        self._streams = streams
        self._on_missing_state = on_missing_state
        self._logger = logger
        self._is_started = False
        self._failures: list[tuple[str, TapJoboError]] = []

    @property
    def read_streams(self) -> list[JoboStream]:
        """The streams that are read."""
        return [each for each in self._streams if each.is_read]

    @property
    def first_billed(self) -> str:
        """The first stream that costs money, which every run reads first; empty for none."""
        return next((each.name for each in self.read_streams if each.is_billed), "")

    def check_selection(self) -> None:
        """Raise ConfigError if what the catalog selects does not fit the settings."""
        for stream in self._streams:
            stream.check_selection()

    def start(self) -> None:
        """Check and open the streams that are read, once in a run."""
        if self._is_started:
            return
        self._is_started = True
        self.check_selection()
        streams = self.read_streams
        for stream in streams:
            stream.check_settings()
        errors, hints = self._open_and_check(streams)
        if errors:  # of all streams, because one setting decides for all
            lines = describe_lost(errors, self._on_missing_state, self._first_states)
            raise StateError("\n".join(lines))
        for hint in dict.fromkeys(hints):  # several streams may share a filter
            self._logger.warning("%s", hint)
        for stream in streams:
            stream.record_decision()

    def _open_and_check(self, streams: Sequence[JoboStream]) -> tuple[list[StateError], list[str]]:
        """Open all streams, then check those that are open; return the errors and the hints."""
        errors: list[StateError] = []
        hints: list[str] = []
        opened = []
        for stream in streams:
            try:
                stream.open()
                opened.append(stream)
            except StateError as error:
                errors.append(error)
        if not errors:
            check_resumed(self._on_missing_state, self._first_states)
        for stream in opened:
            try:
                hints += stream.check_state()
            except StateError as error:
                errors.append(error)
        return errors, hints

    @property
    def _first_states(self) -> list[StreamState]:
        """The states of the streams that are open, if a missing one could be lost."""
        return [each.first_state for each in self.read_streams if each.first_state]

    def add_failure(self, name: str, error: TapJoboError) -> None:
        """Record that a stream has failed. Log it if others follow: the run may be killed there."""
        self._failures.append((name, error))
        last = [each for each in self.read_streams if not each.is_following][-1]
        if name != last.name:
            self._logger.error("%s failed, and the run continues: %s", name, error)

    def raise_failures(self) -> None:
        """Raise if a stream has failed although the run went on: an error that names each one."""
        if len(self._failures) == 1:
            raise self._failures[0][1]
        if self._failures:
            raise TapJoboError("\n".join(f"{name}: {error}" for name, error in self._failures))
