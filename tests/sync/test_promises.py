"""A model of user, feed, target and crashes: no row is lost, and none is bought twice.

The machine drives the tap's own scan, state, journal and feed in process. What is around them is
made up: an API with rows that change and cursors that die, and a target that stores late. A crash
may come between any two side effects.
"""

from __future__ import annotations

import json
import tempfile
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_jobo.api.budget import Account, Budget
from tap_jobo.api.feed_reader import FeedReader
from tap_jobo.api.responses import ApiResponse
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import ApiError, BudgetReachedError, CursorRejectedError
from tap_jobo.journal.journal import Journal
from tap_jobo.records.converter import RecordConverter
from tap_jobo.scan import StreamState, filters_of
from tap_jobo.streams.schemas import CAREER_SITES
from tap_jobo.sync.delivery import Delivery
from tap_jobo.sync.report import Report
from tap_jobo.sync.start import SyncStart
from tests.support.clock import FakeClock
from tests.support.loggers import LOGGER
from tests.support.target import Target

if TYPE_CHECKING:
    from tap_jobo.api.page import Page
    from tap_jobo.scan import Filters, Scan

SCHEMA = CAREER_SITES.to_dict()
NEVER = 10**9


class CrashError(BaseException):
    """The process dies here: nothing that catches errors may catch it."""


class FakeApi:
    """Rows with the time of their last update, delivered by keyset; stands in for the client.

    Attributes:
        bought: The pages billed, by the cursor that they were asked for with.
        dead_before: Cursors of a lower number are rejected.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.rows: dict[str, tuple[datetime, int]] = {}
        self.bought: list[str | None] = []
        self.by_time = False
        self.dead_before = 0
        self._issued = 0

    def touch(self, number: int) -> None:
        """Change the row of this number, or add it."""
        self.clock.passed += 0.3
        key = str(UUID(int=number))
        self.rows[key] = (self.clock.true, self.rows.get(key, (None, 0))[1] + 1)

    def kill_cursors(self) -> None:
        """Reject from now on every cursor issued before."""
        self.dead_before = self._issued + 1

    def answer(self, body: dict[str, Any]) -> ApiResponse:
        """Sell a page."""
        sent_at = self.clock.now()
        asked: dict[str, Any] = json.loads(body.get("cursor", "{}"))
        if asked and asked["number"] < self.dead_before:
            raise CursorRejectedError("Jobo answered 400 (Invalid cursor)")
        after = parse_timestamp(body["updated_after"]) if "updated_after" in body else None
        # Latest first, so that a row which changes during a scan escapes it.
        found: list[list[Any]] = sorted(
            ([-at.timestamp(), key] if self.by_time else [0, key])
            for key, (at, _) in self.rows.items()
            if after is None or at > after
        )
        left = [place for place in found if place > asked.get("at", [])]
        self._issued += 1
        # Now and then a page is empty, though there are more.
        page = [] if self._issued % 3 == 2 else left[: body["batch_size"]]
        more = len(left) > len(page)
        place = page[-1] if page else asked.get("at", [])
        cursor = json.dumps({"number": self._issued, "at": place}) if more else None
        self.bought.append(body.get("cursor"))
        date = self.clock.true.replace(microsecond=0)
        rows = [{"id": key, "name": str(self.rows[key][1])} for _, key in page]
        content = json.dumps({"career_sites": rows, "next_cursor": cursor, "has_more": more})
        return ApiResponse(content.encode(), 200, {}, sent_at, sent_at, 0.0, date)


class Step:
    """Counts side effects down to the crash."""

    def __init__(self, crash_at: int) -> None:
        self._left = crash_at

    def __call__(self) -> None:
        if self._left == 0:
            raise CrashError
        self._left -= 1


class CrashingJournal(Journal):
    """The tap's journal, with crashes around what it does.

    Attributes:
        starts: Those of the scans that this run has come to.
        page_bought: Whether a page is bought and not yet on disk.
    """

    def __init__(self, folder: Path, filters: Filters, step: Step) -> None:
        self.starts: set[str | None] = set()
        self.page_bought = False
        self._step = step
        self._looks = 0
        super().__init__(
            folder, api_key="key", api_url="https://api", filters=filters, logger=LOGGER
        )

    def tell_of_replay(self, scan: Scan) -> None:
        self._look()
        super().tell_of_replay(scan)

    def read(self, scan: Scan) -> Page | None:
        self._look()
        self.starts.add(scan.started_at)
        return super().read(scan)

    def write(self, scan: Scan, page: Page) -> None:
        self.starts.add(scan.started_at)
        super().write(scan, page)
        self.page_bought = False
        self._step()

    def acknowledge(self, *, bookmark: datetime | None, pending: Scan | None) -> None:
        self._step()
        super().acknowledge(bookmark=bookmark, pending=pending)
        self._step()

    def discard(self, scan: Scan) -> None:
        self._step()
        super().discard(scan)
        self._step()

    def _look(self) -> None:
        """Count scans and pages, of which nine rows make but a few."""
        self._looks += 1
        assert self._looks < 100, "the run goes round for ever"

    def holds(self, body: dict[str, Any]) -> bool:
        """Whether a page that is asked for could be had from here."""
        window, cursor = body.get("updated_after", ""), body.get("cursor")
        if cursor:
            sql = "SELECT 1 FROM pages WHERE owner = ? AND updated_after = ? AND cursor = ?"
            return bool(self._execute(sql, (self._owner, window, cursor)))
        sql = "SELECT started_at FROM pages WHERE owner = ? AND updated_after = ? AND cursor = ''"
        starts = self._execute(sql, (self._owner, window))
        return any(start not in self.starts for (start,) in starts)


class OneRun:
    """A process of the tap, from its state to its end or crash.

    Args:
        machine: The world around it.
        state: The state that it is given.
        crash_at: After how many side effects it dies.
        pages: After how many requests its budget is reached, or a signal comes.
        changes: Rows that change before the n-th request is answered.
    """

    def __init__(
        self,
        machine: Promises,
        state: dict[str, Any],
        *,
        crash_at: int = NEVER,
        pages: int = NEVER,
        changes: list[int] | None = None,
    ) -> None:
        self._machine = machine
        self._filters = filters_of({"country_codes": [machine.country]})
        self._state = deepcopy(state)
        self._bookmark_before = self._bookmark()
        self._is_pending = self._is_under_way() and state["filters"] == self._filters
        self._step = Step(crash_at)
        self._pages = pages
        self._changes = iter(changes or [])
        self._journal = CrashingJournal(machine.folder, self._filters, self._step)

    def go(self) -> None:
        """Run it, and count a page that a crash took before it was on disk."""
        try:
            for row in self._delivery().records():
                assert not self._journal.page_bought, "rows are out before the page is on disk"
                self._step()
                self._machine.target.take(
                    {"type": "RECORD", "stream": "career_sites", "record": row}
                )
        except CrashError:
            self._machine.in_flight += self._journal.page_bought
        finally:
            self._journal.close()

    def fetch(self, request: dict[str, Any], *, rows: int, **_: Account) -> ApiResponse:
        assert rows == request["batch_size"]
        assert not self._journal.holds(request), "bought again though it is on disk"
        assert not self._is_pending or request.get("cursor"), "begun again though it could go on"
        if self._pages == 0:
            raise BudgetReachedError
        self._pages -= 1
        if number := next(self._changes, 0):
            self._machine.api.touch(number)
        self._step()
        try:
            answer = self._machine.api.answer(request)
        except CursorRejectedError:
            self._is_pending = False
            raise
        self._journal.page_bought = True
        self._step()
        return answer

    def _write_state(self) -> None:
        assert self._bookmark() >= self._bookmark_before, "the bookmark moved back"
        self._is_pending = self._is_pending and self._is_under_way()
        self._step()
        self._machine.target.take({"type": "STATE", "value": self._state})
        self._step()

    def _is_under_way(self) -> bool:
        return self._state.get("scan", {}).get("started_at") is not None

    def _bookmark(self) -> str:
        return str(self._state.get("replication_key_value", ""))

    def _delivery(self) -> Delivery:
        clock = self._machine.clock
        budget = Budget(max_credits=None, alert_threshold=None, logger=LOGGER)
        account = budget.account("career_sites", list_price=50)
        cleaner = RecordConverter(SCHEMA, SCHEMA["properties"], LOGGER)
        return Delivery(
            plan=SyncStart(
                filters=self._filters,
                on_filter_change="resync",
                start_date=None,
                lookback_minutes=0,
                batch_size=2,
                is_full_table=self._machine.is_full_table,
                clock=clock,
                logger=LOGGER,
            ),
            state=StreamState(self._state),
            journal=self._journal,
            feed=FeedReader(
                client=self,  # type: ignore[arg-type]
                prepare=lambda body: body,  # type: ignore[arg-type, return-value]
                filters=self._filters,
                account=account,
                logger=LOGGER,
            ),
            cleaner=cleaner,
            account=account,
            report=Report(
                stream="career_sites",
                budget=budget,
                cleaner=cleaner,
                clock=clock,
                logger=LOGGER,
                metrics_logger=LOGGER,
            ),
            write_state=self._write_state,
            check=lambda: None,
            logger=LOGGER,
        )


NUMBERS = st.integers(1, 9)


class Promises(RuleBasedStateMachine):
    """The world: whatever happens in it, two runs that end bring every row as it is now."""

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.clock = FakeClock()
        self.api = FakeApi(self.clock)
        self.target = Target(merges_states=True, state={})
        self.in_flight = 0
        self.country = "DE"
        self.is_full_table = False

    @initialize(rows=st.integers(0, 9), by_time=st.booleans(), hours=st.sampled_from([0, 3, -1]))
    def fill(self, *, rows: int, by_time: bool, hours: int) -> None:
        self.set_local_clock(hours)
        self.api.by_time = by_time
        for number in range(1, rows + 1):
            self.api.touch(number)

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=4))
    def change(self, numbers: list[int]) -> None:
        for number in numbers:
            self.api.touch(number)

    @rule(seconds=st.sampled_from([0.1, 1, 60, 100_000]))
    def pass_time(self, seconds: float) -> None:
        self.clock.passed += seconds

    @rule(hours=st.sampled_from([-30, -1, 0, 3]))
    def set_local_clock(self, hours: int) -> None:
        self.clock.skew = timedelta(hours=hours)

    @rule(country=st.sampled_from(["DE", "US"]), is_full_table=st.booleans())
    def change_settings(self, country: str, *, is_full_table: bool) -> None:
        """Filters that differ read all again; here every row passes them."""
        self.country = country
        self.is_full_table = is_full_table

    @rule()
    def kill_cursors(self) -> None:
        self.api.kill_cursors()

    @rule(keep_rows=st.booleans())
    def lose_state(self, *, keep_rows: bool) -> None:
        self.target.state = {}
        if not keep_rows:
            self.target.rows.clear()

    @rule(
        crash_at=st.integers(0, 60),
        lost=st.integers(0, 3),
        changes=st.lists(st.integers(0, 9), max_size=4),
        full_refresh=st.booleans(),
    )
    def crash(self, *, crash_at: int, lost: int, changes: list[int], full_refresh: bool) -> None:
        state = {} if full_refresh else self.target.state
        self.run_tap(OneRun(self, state, crash_at=crash_at, changes=changes), lost=lost)

    @rule(pages=st.integers(0, 4), lost=st.integers(0, 3), changes=st.lists(NUMBERS, max_size=4))
    def run_to_budget(self, pages: int, lost: int, changes: list[int]) -> None:
        self.run_tap(OneRun(self, self.target.state, pages=pages, changes=changes), lost=lost)

    @rule(changes=st.lists(st.integers(0, 9), max_size=4))
    def run_to_end(self, changes: list[int]) -> None:
        self.run_tap(OneRun(self, self.target.state, changes=changes))

    @rule()
    def settle(self) -> None:
        while not self.run_tap(OneRun(self, self.target.state)):
            pass
        assert self.run_tap(OneRun(self, self.target.state))
        assert {key: row["name"] for key, row in self.target.rows.items()} == {
            key: str(version) for key, (_, version) in self.api.rows.items()
        }
        cursors = [cursor for cursor in self.api.bought if cursor]
        assert len(cursors) - len(set(cursors)) <= self.in_flight

    def run_tap(self, run: OneRun, *, lost: int = 0) -> bool:
        """Run it; a user whose scan cannot go on asks for a full refresh, as the error says."""
        try:
            run.go()
        except ApiError as error:
            assert "full refresh" in str(error)  # noqa: PT017 - what else it says is tested elsewhere
            self.target.drain(states_lost=lost)
            self.target.state = {}
            return False
        self.target.drain(states_lost=lost)
        return True

    def teardown(self) -> None:
        self.settle()
        self._temporary.cleanup()


TestPromises = Promises.TestCase
TestPromises.settings = settings(
    max_examples=120,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
