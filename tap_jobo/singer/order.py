"""The order of a run: all streams are checked and opened before the first billed request.

If a stream fails, the run goes on with the next one, and ends with an error that names each. A
stream that another run buys is loaded, and tried again once all others are read.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tap_jobo.archive.store import HeldError
from tap_jobo.clock import Clock
from tap_jobo.errors import ConfigError, StateError, TapJoboError
from tap_jobo.singer.stream import JoboStream
from tap_jobo.wording import Lines

_WAIT_FOR: Final = 600.0  # seconds in all for streams that another run buys
_LOOK_EVERY: Final = 5.0  # seconds between two looks at these


class StreamOrder:
    """The streams of a run, in the order in which the SDK syncs them."""

    def __init__(
        self,
        streams: Sequence[JoboStream],
        wait: Callable[[float], None],
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self._streams = streams
        self._wait = wait
        self._clock = clock
        self._logger = logger
        self._is_started = False
        self._waiting: list[JoboStream] = []
        self._give_up_at: float | None = None
        self._held: set[str] = set()  # the streams that another run was found to buy
        self._failures: dict[str, TapJoboError] = {}
        self._stopping: set[str] = set()  # the streams because of which no stream is read

    @property
    def read_streams(self) -> list[JoboStream]:
        """The streams that are read."""
        return [each for each in self._streams if each.is_read]

    def check_selection(self) -> None:
        """Raise ConfigError if what the catalog selects does not fit the settings."""
        for stream in self._streams:
            stream.check_selection()

    def check_settings(self) -> None:
        """Raise ConfigError if the settings do not allow to read some of the streams."""
        _raise_together(self._check_settings())

    def start(self) -> None:
        """Check and open the streams that are read, once in a run."""
        if self._is_started:
            return
        self._is_started = True
        self._stopping = {each.name for each in self.read_streams}
        self.check_selection()
        self._stop_if(self._check_settings())
        errors, hints = self._open_and_check()
        self._stop_if(errors)
        self._stopping = set()
        for hint in dict.fromkeys(hints):  # several streams may share a filter
            self._logger.warning("%s", hint)

    def _stop_if(self, errors: Mapping[str, TapJoboError]) -> None:
        """Stop the run before it reads any stream, if some of them can't be read."""
        if not errors:
            return
        self._stopping = {*errors}
        if len(errors) < len(self.read_streams):
            self._logger.info("No stream was read, so nothing was billed: see the error below.")
        _raise_together({**errors, **self._failures})

    def _check_settings(self) -> dict[str, ConfigError]:
        """Return the errors of the streams whose settings do not allow to read them."""
        errors = {}
        for stream in self.read_streams:
            try:
                stream.check_settings()
            except ConfigError as error:
                errors[stream.name] = error
        return errors

    def _open_and_check(self) -> tuple[dict[str, StateError], list[str]]:
        """Open all streams, then check those that are open; return the errors and the hints."""
        errors: dict[str, StateError] = {}
        hints: list[str] = []
        opened = []
        for stream in self.read_streams:
            try:
                stream.open()
                opened.append(stream)
            except StateError as error:
                errors[stream.name] = error
            except TapJoboError as error:
                if error.ends_run:
                    raise
                self.add_failure(stream.name, error)
        for stream in opened:
            try:
                hints += stream.check_position()
            except StateError as error:
                errors[stream.name] = error
        return errors, hints

    def summarize_rest(self) -> None:
        """Summarize the streams that have no summary, because the run ends before their turn.

        A monitor looks at the summary of each stream.
        """
        for stream in self.read_streams:
            if not (stream.is_summarized or stream.is_following):
                stream.end_early(has_failed=stream.name in self._stopping | self._failures.keys())

    # Streams that another run buys

    def wait_for(self, name: str, error: HeldError) -> bool:
        """Return whether a stream that another run buys is tried again after all others.

        They wait ten minutes in all.
        """
        now = self._clock.monotonic()
        if self._give_up_at is None:
            self._give_up_at = now + _WAIT_FOR
        if now >= self._give_up_at:
            return False
        self._waiting += [each for each in self._streams if each.name == name]
        if name not in self._held:
            self._held.add(name)
            self._logger.info(
                "Another run is buying %s%s. This run loads the pages of the other run from the "
                "archive, and waits up to ten minutes for it to end.",
                name,
                error.holder,
            )
        return True

    def is_waiting(self, name: str) -> bool:
        """Return whether a stream is tried again later."""
        return any(each.name == name for each in self._waiting)

    def finish(self, name: str) -> None:
        """Try the streams that wait again, once the last stream was read."""
        if not self._waiting or name != self.read_streams[-1].name:
            return
        while self._waiting:
            self._wait(_LOOK_EVERY)
            streams, self._waiting = self._waiting, []
            for stream in streams:
                stream.try_to_read(stream.read_again)

    # Failures

    def add_failure(self, name: str, error: TapJoboError) -> None:
        """Record that a stream has failed. Log it if others follow: the run may be killed there."""
        self._failures[name] = error
        last = [each for each in self.read_streams if not each.is_following][-1]
        if name != last.name:
            first, *_ = str(error).splitlines()  # the ways out come at the end of the run
            self._logger.error("%s failed, and the run continues: %s", name, first)

    def has_failed(self, name: str) -> bool:
        """Return whether a stream has failed."""
        return name in self._failures

    def raise_failures(self) -> None:
        """Raise if a stream has failed although the run went on: an error that names each one."""
        if len(self._failures) == 1:
            raise next(iter(self._failures.values()))
        if self._failures:
            raise TapJoboError(
                *(Lines(f"{name}: {error}") for name, error in self._failures.items())
            )


def _raise_together(errors: Mapping[str, TapJoboError]) -> None:
    """Raise the errors of all streams as one, because one answer may be right for all."""
    if errors:
        messages = (message for error in errors.values() for message in error.messages)
        raise type(next(iter(errors.values())))(*messages)
