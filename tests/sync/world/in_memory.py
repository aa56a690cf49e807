"""A run of the tap in a simulated world: its own loop, on an archive in memory.

It can die between any two steps, and another run may come between them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_jobo.api.feed import FeedReader
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import (
    ApiError,
    ArchiveError,
    BudgetReachedError,
    FormatError,
    RejectedError,
    StateError,
    TapJoboError,
)
from tap_jobo.model import Charge, EntryHeader, Receipt, Sync
from tap_jobo.records.converter import RecordConverter
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.messages import Standing
from tap_jobo.sync.plan import best
from tap_jobo.sync.run import Delivery, FeedRun
from tap_jobo.sync.start import Question
from tap_jobo.sync.wanted import Wanted
from tests.sync.world.parts import (
    ALL_FILTERS,
    KEY,
    LISTED,
    OLD_FILTERS,
    OLD_RULES,
    Asked,
    Pipe,
    Way,
    at,
    minutes,
    row_of,
)
from tests.sync.world.runs import AnyRun, Conditions, Ending

if TYPE_CHECKING:
    from tests.sync.world.world import World

_ENDLESS: Final = 400  # pages
PRICE: Final = 50
"""Credits of a row."""
_LOGGER: Final = logging.getLogger("tests.rules")
_LOGGER.disabled = True
_CONVERTER: Final = RecordConverter(CAREER_SITES.schema.to_dict(), _LOGGER, CAREER_SITES.never_null)


class Died(BaseException):
    """The process is killed."""


class AskedError(StateError):
    """The user has to decide."""

    def __init__(self, question: Question, standing: Standing) -> None:
        super().__init__()
        ways: list[Way] = ["resync"]
        if question.code == "filters-changed":
            if best(standing.log.position, standing.wanted):
                ways = ["no-state", *ways]
            if standing.position.reads:
                ways.append("keep")
        self.asked = Asked(question.code, tuple(ways))


class OfflineError(ApiError):
    """The API never responds."""


class StuckError(ApiError):
    """The cursor of a sync was rejected twice."""


class Quiet:
    """A budget, a report, or messages, which count and write nothing."""

    def __init__(self, **has: Any) -> None:
        self.__dict__ |= has

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_args, **_kwargs: {}


@cache
def _spec(*, is_old: bool, is_free: bool) -> FeedSpec:
    spec = replace(CAREER_SITES, filters=OLD_FILTERS if is_old else ALL_FILTERS)
    return replace(spec, list_price=0, longest_lookback=minutes(LISTED)) if is_free else spec


class _Reader(FeedReader):
    """Fetches from the simulated API."""

    run: TapRun

    def fetch_page(self, sync: Sync, cursor: str | None) -> tuple[Receipt, bytes]:
        return self.run.fetch(sync, cursor)


_NO_CLIENT: Final[Any] = None
_READER: Final = _Reader(
    spec=CAREER_SITES,
    client=_NO_CLIENT,
    cost=_NO_CLIENT,
    clock=_NO_CLIENT,
    row_type=_CONVERTER.row_type,
)


class _Archive(StreamArchive):
    """Lets a run die around each page that it writes."""

    run: TapRun

    def prove_room(self) -> None:
        if self.run.lasts:  # from now on, it has a folder
            self.run.world.folders.setdefault(self.run.pipe.folder, self.run.folder)
        super().prove_room()
        self.run.step()

    def create(self, header: EntryHeader, body: bytes) -> Any:
        self.run.lost += 1
        self.run.step()
        try:
            return super().create(header, body)
        finally:
            self.run.note_written(header.id)


class TapRun(AnyRun):
    """A run in memory."""

    def __init__(self, world: World, pipe: Pipe, conditions: Conditions) -> None:
        super().__init__(world, pipe, conditions)
        self._changes = [*conditions.changes]
        self._other = conditions.other
        self._steps = 0
        self._bought = 0  # pages
        self._report = Quiet(profiles=None)
        is_old, is_free = self.wanted.rules is OLD_RULES, world.api.is_free
        self._feed = self._feed_run(_spec(is_old=is_old, is_free=is_free))

    def _feed_run(self, spec: FeedSpec) -> FeedRun:
        reader = copy(_READER)
        reader.run, reader.spec = self, spec
        self._clock = SimClock(self.world, drift=self.world.drift)
        reader.clock = self._clock  # type: ignore[assignment]
        budget = Quiet(max_credits=self.conditions.pages)
        reader.cost = Quiet(price=PRICE, spent={}, budget=budget)  # type: ignore[assignment]
        messages = Quiet(
            name=spec.name,
            logger=_LOGGER,
            question=AskedError,
            rejected_twice=lambda *_: StuckError("rejected twice"),
            not_written=lambda *_: "not written",
        )
        run = FeedRun(
            config={},  # of which `wanted` is made, which is given
            state=self.state,
            open_archive=self._open,
            reader=reader,
            converter=_CONVERTER,
            messages=messages,  # type: ignore[arg-type]
            report=self._report,  # type: ignore[arg-type]
            lock=self._lock,
            raise_if_over=lambda: None,
            only_buys=self.conditions.only_buys,
        )
        run.want = self._want  # type: ignore[method-assign]
        return run

    def _want(self) -> Wanted:
        """Return what it wants, by the clock that it has."""
        if self.world.api.is_free:
            return self.wanted_at(self.began + self._clock.drift)
        return self.wanted

    def go(self) -> Ending:
        try:
            self._deliver()
        except Died:
            return "died", None
        except TapJoboError as error:
            return self._ending(error)
        finally:
            self.folder.disk.fails_in = 0
            self.position = self._feed.position
        is_complete: Any = self._report.is_complete
        if is_complete is not True:
            return "limit", None
        return "done", None

    def _ending(self, error: TapJoboError) -> Ending:
        match error:
            case AskedError(asked=asked):
                return "asked", asked
            case FormatError():
                (number, *_) = re.findall(r"[Pp]age (\d+)", f"{error}")
                return "asked", Asked("archive-damaged", ("drop",), int(number))
            case StuckError():
                way: Way = "restart-sync" if self.lasts else "no-state"
                return "rejected", Asked("cursor-rejected", (way,))
            case ArchiveError() | OfflineError():
                return "failed", None
        raise error

    def _deliver(self) -> None:
        """Write to the target what the tap writes."""
        self.step()
        if self.lasts:
            self.folder = self.world.folders.get(self.pipe.folder, self.folder)
            self.folder.disk.fails_in = self.conditions.fails_at
            self.folder.disk.loses_response = self.conditions.loses_response
        self._feed.open()
        start = self._feed._start
        self.first = start.offset
        if start.is_behind:
            self.world.note_behind(self.pipe, start.offset)
        self._write(self._feed.load())
        if self._feed.only_loads:
            return
        if self.conditions.is_offline:
            raise OfflineError
        self._clock.drift = 0
        self._write(self._feed.buy())

    def _write(self, deliveries: Generator[Delivery]) -> None:
        with closing(deliveries):
            for delivery in deliveries:
                if self.conditions.only_buys:
                    self.step()
                    continue
                for record in delivery.records:
                    self.target.row(row_of(record))
                    self.step()
                if delivery.state:
                    self.state = delivery.state
                    self.target.state(delivery.state)
                self.step()

    def step(self) -> None:
        """Let something happen."""
        self._steps += 1
        if self._other and self._steps >= self._other[1]:
            (name, _), self._other = self._other, None
            self.world.run(name)
        if self._changes and self._steps % 3 == 0:
            self.world.api.put(*self._changes.pop())
        die_at = self.conditions.die_at
        if die_at is not None and self._steps >= die_at:
            raise Died

    # What the loop of the tap uses

    def _open(self, after: int) -> StreamArchive:
        """Open the archive as it is now, which another run may have begun."""
        if self.lasts:
            self.folder = self.world.folders.get(self.pipe.folder, self.folder)
        archive = _Archive(self.folder.disk, KEY, after)
        archive.run = self
        return archive

    @contextmanager
    def _lock(self, _: StreamArchive) -> Iterator[Callable[[], None]]:
        self._other = None
        yield lambda: None

    def fetch(self, sync: Sync, cursor: str | None) -> tuple[Receipt, bytes]:
        """Fetch a page. Raises as the tap does if a limit is reached, or the cursor rejected."""
        world = self.world
        if self._bought == self.conditions.pages:
            raise BudgetReachedError
        world.require(self._bought < _ENDLESS, "a run never ends")
        page = world.api.page(sync, cursor)
        if page is None:
            raise RejectedError("The cursor is rejected", "", 400, names_cursor=True)
        rows, following = page
        self.billed += len(rows)
        body = {
            "career_sites": [world.api.item(row) for row in rows],
            "has_more": following is not None,
            "next_cursor": following,
        }
        price = 0 if world.api.is_free else PRICE
        receipt = Receipt(
            charge=Charge(
                requested=sync.batch_size, price=price, deducted=len(rows) * price, fall=0
            ),
            balance=None,
            received_at=at(world.api.now),
            has_more=following is not None,
            encoding="",
        )
        return receipt, msgspec.json.encode(body)

    def note_written(self, id_: str) -> None:
        """Note a page if it was added to the archive: perhaps only the response was lost."""
        ids = [entry.header.id for entry in self.folder.entries]
        if id_ in ids:
            self.lost -= 1
            self._bought += 1
            self.note_bought(ids.index(id_) + 1)
        self.step()


class SimClock:
    """The API's clock, and a local one that may be behind, or ahead until the API's is read."""

    def __init__(self, world: World, drift: int = 0) -> None:
        self._world = world
        self.drift = drift

    def now(self) -> datetime:
        return parse_timestamp(at(self._world.api.now + self.drift))

    def earlier(self) -> datetime:
        return self.now() - minutes(self._world.skew)

    def is_future(self, instant: datetime) -> bool:
        return instant > self.now() + minutes(24 * 60)
