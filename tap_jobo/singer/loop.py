"""The order of a run, in one loop over its streams.

A run opens all its streams, loads them, and then buys. So whatever the API does, all that the
archive has is loaded before the run first waits for it. If the user has to decide about a stream,
that one is not loaded, and only free streams are bought, because what they list is gone after some
days. If one fails, the run goes on with the next one, and ends with an error that names each. One
that another run buys is tried again once all others are bought. Each has one summary, however the
run ends: monitors look at it.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from tap_jobo.archive.store import HeldError
from tap_jobo.clock import Clock
from tap_jobo.errors import ApiError, StateError, TapJoboError
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
        read_clock: Callable[[], None],
        wait: Callable[[float], None],
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self._streams = streams
        self._read_clock = read_clock
        self._wait = wait
        self._clock = clock
        self._logger = logger
        self._failures: dict[str, TapJoboError] = {}
        self._no_api: ApiError | None = None  # why no request can succeed

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
            self._warn_of_removed()
            for stream in self._left:
                self._attempt(stream, stream.open)
            for stream in sorted(self._left, key=lambda each: each.needs_api):
                if self._attempt(stream, stream.load) and not stream.buys:
                    self._end(stream)
            self._buy_all([each for each in self._left if each.buys])
            for stream in self._left:
                stream.finish()  # with what came with the others
        finally:
            for stream in self.read_streams:
                stream.summarize()
        self._raise_failures()

    @property
    def _left(self) -> list[JoboStream]:
        """The streams that are read by themselves, and have not failed."""
        return [
            each
            for each in self.read_streams
            if not each.is_following and each.name not in self._failures
        ]

    def _warn_of_removed(self) -> None:
        for stream in self._streams:
            if stream.selected and stream.is_removed:
                fact = f"{stream.name} is selected, but not read, because 'stream_maps' removes it."
                self._logger.warning("%s", message("no-stream", fact))

    # The third phase

    def _buy_all(self, buying: Sequence[JoboStream]) -> None:
        """Buy each stream, or if the user has to decide about one, only those that are free."""
        buying = self._checked(buying)
        asks = any(isinstance(error, StateError) for error in self._failures.values())
        if asks and self._left:
            self._logger.info("Only free streams are bought, and nothing is billed: see the error.")
        if asks:
            buying = [each for each in buying if each.is_free]
        else:
            for hint in [hint for each in buying for hint in each.hints()]:
                self._logger.warning("%s", hint)
        waiting = [each for each in buying if self._buy(each)]
        for stream in waiting:
            self._logger.info(
                "Another run is buying %s. This run loads the pages of the other run from "
                "the archive, and waits up to ten minutes for it to end.",
                stream.name,
            )
        give_up_at = self._clock.monotonic() + _WAIT_FOR
        while waiting:
            self._wait(_LOOK_EVERY)
            waiting = [each for each in waiting if self._buy_later(each, give_up_at)]

    def _checked(self, buying: Sequence[JoboStream]) -> list[JoboStream]:
        """Return the streams that can be bought by the API's clock, which is read for that."""
        try:
            if buying and self._no_api is None:
                self._read_clock()
        except ApiError as error:
            self._no_api = error
        if self._no_api:
            self._failures |= dict.fromkeys((each.name for each in buying), self._no_api)
            return []
        return [each for each in buying if self._attempt(each, each.check_times)]

    def _buy(self, stream: JoboStream) -> HeldError | None:
        """Buy a stream. Return an error if another run buys it: what the archive has is loaded."""
        if self._no_api:
            self._failures[stream.name] = self._no_api
            return None
        try:
            if self._attempt(stream, stream.buy):
                self._end(stream)
        except HeldError as error:
            return error
        return None

    def _buy_later(self, stream: JoboStream, give_up_at: float) -> bool:
        """Load what another run has bought, and buy. Return whether that run still goes on."""
        for phase in (stream.open, stream.load):
            if not self._attempt(stream, phase):
                return False
        held = self._buy(stream)
        if held and self._clock.monotonic() >= give_up_at:
            self._fail(stream, held)
            return False
        return held is not None

    # Each phase

    def _attempt(self, stream: JoboStream, phase: Callable[[], None]) -> bool:
        """Take a stream through a phase, and return whether it goes on.

        A question, and an error of the API, concern this stream alone: others may still be loaded.
        """
        began = self._clock.monotonic()
        try:
            phase()
        except TapJoboError as error:
            if error.ends_run and not isinstance(error, ApiError | StateError):
                raise
            self._fail(stream, error)
            return False
        finally:
            stream.seconds = (stream.seconds or 0.0) + self._clock.monotonic() - began
        return True

    def _end(self, stream: JoboStream) -> None:
        stream.is_done = True
        if not stream.ends_last:
            stream.summarize()

    # Failures

    def _fail(self, stream: JoboStream, error: TapJoboError) -> None:
        """Record that a stream has failed. Log it if others follow: the run may be killed there."""
        self._failures[stream.name] = error
        if isinstance(error, ApiError) and error.ends_run:
            self._no_api = error
        if any(not each.is_done for each in self._left):
            first, *_ = str(error).splitlines()  # the ways out come at the end of the run
            self._logger.error("%s failed, and the run continues: %s", stream.name, first)

    def _raise_failures(self) -> None:
        """Raise an error with the message of each failure, which names its streams."""
        streams: dict[Sequence[str], list[str]] = {}
        for name, error in self._failures.items():
            streams.setdefault(tuple(error.messages), []).append(name)
        texts = [text for each, names in streams.items() for text in self._named(names, each)]
        if texts:
            raise TapJoboError(*texts)

    def _named(self, streams: Sequence[str], texts: Sequence[str]) -> list[Lines]:
        """Return the messages of an error, with its streams unless the first names one."""
        fact, *_ = texts[0].splitlines()
        is_named = len(streams) == 1 and any(each.name in fact for each in self._streams)
        return [Lines(text if is_named else f"{' and '.join(streams)}: {text}") for text in texts]
