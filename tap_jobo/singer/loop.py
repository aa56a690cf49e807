"""The order of a run, in one loop over its streams.

All streams are checked and opened before the first billed request. If the user has to decide about
one, only free streams are read, because what they list is gone after some days. If one fails, the
run goes on with the next one, and ends with an error that names each. One that another run buys is
loaded, and tried again once all others are read. Each has one summary, however the run ends:
monitors look at it.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from tap_jobo.archive.store import HeldError
from tap_jobo.clock import Clock
from tap_jobo.errors import StateError, TapJoboError
from tap_jobo.messages import message
from tap_jobo.singer.stream import JoboStream
from tap_jobo.wording import Lines

_WAIT_FOR: Final = 600.0  # seconds in all for streams that another run buys
_LOOK_EVERY: Final = 5.0  # seconds between two looks at these


class StreamLoop:
    """The streams of a run, in the order in which it reads them."""

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
        self._failures: dict[str, TapJoboError] = {}

    @property
    def read_streams(self) -> list[JoboStream]:
        """The streams that are read."""
        return [each for each in self._streams if each.is_read]

    def check_selection(self) -> None:
        """Raise ConfigError if what the catalog selects does not fit the settings."""
        for stream in self._streams:
            stream.check_selection()

    def read_all(self) -> None:
        """Read the streams, and then raise an error that names each that failed."""
        try:
            for stream in self._streams:
                if stream.selected:
                    stream.write_schema()
            questions = self._check_positions()
            self._read_each(only_free=bool(questions))
            for stream in self.read_streams:
                if stream.name not in self._failures:
                    stream.finish()  # with what came with the others
        finally:
            for stream in self.read_streams:
                stream.summarize()
        self._raise_failures(questions)

    # Before the first billed request

    def _check_positions(self) -> dict[str, TapJoboError]:
        """Find where each stream starts, and return what the user has to decide first.

        That is all of it, because one answer may be right for all.
        """
        hints: list[str] = []
        questions: dict[str, TapJoboError] = {}
        for stream in self.read_streams:
            try:
                hints += stream.check_position()
            except StateError as error:
                stream.begin()
                questions[stream.name] = error
            except TapJoboError as error:
                if error.ends_run:
                    raise
                self._fail(stream, error)
        if not questions:
            for hint in hints:
                self._logger.warning("%s", hint)
        elif len(questions) < len(self.read_streams):
            self._logger.info("Only free streams are read, and nothing is billed: see the error.")
        return questions

    # The streams

    def _read_each(self, *, only_free: bool) -> None:
        waiting = []
        for stream in self._streams:
            if stream.selected and stream.is_removed:
                fact = f"{stream.name} is selected, but not read, because 'stream_maps' removes it."
                self._logger.warning("%s", message("no-stream", fact))
            elif not self._is_next(stream, only_free=only_free):
                continue
            elif self._read(stream):
                waiting.append(stream)
                self._logger.info(
                    "Another run is buying %s. This run loads the pages of the other run from "
                    "the archive, and waits up to ten minutes for it to end.",
                    stream.name,
                )
        give_up_at = self._clock.monotonic() + _WAIT_FOR
        while waiting:
            self._wait(_LOOK_EVERY)
            waiting = [each for each in waiting if self._read_again(each, give_up_at)]

    def _is_next(self, stream: JoboStream, *, only_free: bool) -> bool:
        """Return whether the run reads a stream by itself: it has not failed, nor does it wait."""
        if stream.name in self._failures or (only_free and not stream.is_free):
            return False
        return stream.is_read and not stream.is_following

    def _read(self, stream: JoboStream, *, is_again: bool = False) -> HeldError | None:
        """Read a stream. Return an error if another run buys it: what the archive has is read."""
        stream.begin()
        try:
            if is_again:
                [*stream.check_position()]
            stream.read()
            stream.is_done = True
        except HeldError as error:
            return error
        except TapJoboError as error:
            # A question that comes after a load concerns this stream alone.
            if error.ends_run and not isinstance(error, StateError):
                raise
            self._fail(stream, error)
        if not stream.ends_last:
            stream.summarize()
        return None

    def _read_again(self, stream: JoboStream, give_up_at: float) -> bool:
        """Read a stream that another run was found to buy. Return whether it still has to wait."""
        held = self._read(stream, is_again=True)
        if held and self._clock.monotonic() >= give_up_at:
            self._fail(stream, held)
            return False
        return held is not None

    # Failures

    def _fail(self, stream: JoboStream, error: TapJoboError) -> None:
        """Record that a stream has failed. Log it if others follow: the run may be killed there."""
        stream.begin()
        self._failures[stream.name] = error
        last = [each for each in self.read_streams if not each.is_following][-1]
        if stream is not last:
            first, *_ = str(error).splitlines()  # the ways out come at the end of the run
            self._logger.error("%s failed, and the run continues: %s", stream.name, first)

    def _raise_failures(self, questions: dict[str, TapJoboError]) -> None:
        failures = {**questions, **self._failures}
        texts = [each for name, error in failures.items() for each in self._named(name, error)]
        if texts:
            raise (StateError if questions else TapJoboError)(*texts)

    def _named(self, stream: str, error: TapJoboError) -> list[Lines]:
        """Return the messages of an error, with its stream unless they name one."""
        is_named = any(each.name in error.fact for each in self._streams)
        return [Lines(text if is_named else f"{stream}: {text}") for text in error.messages]
