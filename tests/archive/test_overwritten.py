"""What an interrupted replay of older pages overwrites comes again, free if the archive has it.

A full refresh resumes the sync of an earlier one that died, whose rows are older than those of the
runs in between. If it dies before its first state, theirs comes back: it says that the newer rows
are there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from jobo_sandbox import Fault
from tests.archive.helpers import archive_command, damage, pages
from tests.support import Run, Tap, complaint
from tests.support.clock import with_clock
from tests.support.crash import cut_in_request
from tests.support.target import Target

pytestmark = pytest.mark.slow

REFRESH: Any = {"on_missing_state": "resync"}  # and no state
GERMAN: Any = {"country_codes": ["DE"], "batch_size": 5}
WIDER: Any = {"country_codes": ["DE", "FR"], "batch_size": 5, "on_filter_change": "resync"}


@dataclass
class Pipeline:
    """A pipeline with Meltano's state, and the rows that change in it.

    Attributes:
        tap: The tap, whose clock goes with the sandbox's.
        target: The warehouse.
        changed: The ids of the rows that change.
    """

    tap: Tap
    target: Target = field(default_factory=lambda: Target(merges_states=True, state={}))
    changed: list[str] = field(default_factory=list)

    @property
    def is_current(self) -> bool:
        """Whether all changes are in the warehouse, False if none is."""
        names = {self.target.rows[each]["name"] for each in self.changed}
        assert "Changed" not in names or len(names) == 1
        return names == {"Changed"}

    def run(self, **settings: Any) -> Run:
        run = self.tap.succeed(state=self.target.state, **settings)
        self.target.receive(run.messages)
        return run

    def begin_refresh(
        self, *, ahead: timedelta = timedelta(0), is_known: bool = True, **settings: Any
    ) -> None:
        """Let a full refresh die after its first page; then rows of it change.

        That is some of those that the warehouse has, or all.
        """
        tap = with_clock(self.tap, ahead) if ahead else self.tap
        cut = cut_in_request(tap, 2, billed=False, **{**REFRESH, **settings})
        known = [each for each in cut.ids if each in self.target.rows]
        self.changed = known[:3] if is_known else cut.ids
        for each in self.changed:
            self.tap.sandbox.world.touch(each, name="Changed")
        self.pass_time(timedelta(hours=1))

    def overwrite(self, *, states_lost: int = 1, state: Any = None, **settings: Any) -> None:
        """Let the next full refresh die after the pages of the first one, which are stored."""
        cut = cut_in_request(self.tap, 1, billed=False, state=state, **{**REFRESH, **settings})
        self.target.receive(cut.messages, states_lost=states_lost, is_ahead=True)
        assert not self.is_current

    def pass_time(self, time: timedelta) -> None:
        self.tap.sandbox.clock_offset += time.total_seconds()
        self.tap = with_clock(self.tap, timedelta(seconds=self.tap.sandbox.clock_offset))

    def rows_billed(self, **settings: Any) -> int:
        """How many rows a run is billed after which all changes are in the warehouse."""
        before = self.tap.sandbox.rows_billed
        self.run(**settings)
        assert self.is_current
        return self.tap.sandbox.rows_billed - before


def confirmed(tap: Tap, **settings: Any) -> Pipeline:
    """A pipeline whose state has been confirmed."""
    tap.settings |= {"lookback_minutes": 0}
    pipeline = Pipeline(tap)
    for _ in range(2):
        pipeline.run(**settings)
    return pipeline


@pytest.fixture
def pipeline(tap: Tap) -> Pipeline:
    return confirmed(tap)


@pytest.fixture
def german(tap: Tap) -> Pipeline:
    """A pipeline of a few companies, to which others are added."""
    return confirmed(tap, **GERMAN)


@pytest.fixture
def overwritten(pipeline: Pipeline) -> Pipeline:
    """The same after a complete sync whose rows are overwritten."""
    pipeline.begin_refresh()
    pipeline.run()
    pipeline.overwrite()
    return pipeline


def syncs(pipeline: Pipeline) -> list[str]:
    """The ids of the archive's syncs."""
    files = sorted((pipeline.tap.folder / "archive").glob("v2/*/*/sync.json"))
    return [json.loads(file.read_text())["id"] for file in files]


def drop(pipeline: Pipeline, name: str) -> None:
    assert archive_command(pipeline.tap, "drop", name).returncode == 0


@pytest.mark.parametrize("hands_over", [True, False])
@pytest.mark.parametrize("is_complete", [True, False])
def test_they_are_delivered_again(
    pipeline: Pipeline, *, is_complete: bool, hands_over: bool
) -> None:
    """Meltano keeps the state of the run in between, whether it gets one of the refresh or not."""
    pipeline.begin_refresh()
    part: Any = {} if is_complete else {"batch_size": 2, "max_credits": 100}
    pipeline.run(**part)
    pipeline.changed = pipeline.changed[: 3 if is_complete else 2]
    pipeline.overwrite(states_lost=0 if hands_over else 1)
    if hands_over:  # the rest of the refresh comes first
        assert pipeline.run().metrics["jobo_rows_replayed"] == 0
        pipeline.rows_billed()
    else:
        assert pipeline.rows_billed() == (0 if is_complete else 1)


@pytest.mark.parametrize("deaths", [0, 2])
def test_those_of_a_catch_up_are_replayed_though_the_runs_after_die_too(
    tap: Tap, deaths: int
) -> None:
    """The sync that it continues from arrives, and leaves the archive."""
    tap.settings |= {"lookback_minutes": 0}
    pipeline = Pipeline(tap)
    pipeline.changed = tap.succeed().ids[:3]  # whose state is lost
    for each in pipeline.changed:
        tap.sandbox.world.touch(each, name="Changed")
    pipeline.pass_time(timedelta(hours=1))
    pipeline.run()
    messages = cut_in_request(pipeline.tap, 1, billed=False).messages
    pipeline.target.receive(messages[: -2 * len(pipeline.changed)], states_lost=9, is_ahead=True)
    assert not pipeline.is_current
    for _ in range(deaths):
        cut_in_request(pipeline.tap, 1, billed=False, state=pipeline.target.state)
    assert pipeline.rows_billed() == 0


def test_those_of_a_lost_state_that_is_restored_are_replayed(pipeline: Pipeline) -> None:
    """A run that went on from the archive in its place has died."""
    pipeline.changed = [*pipeline.target.rows][:3]
    for name in ("Changed once", "Changed"):
        for each in pipeline.changed:
            pipeline.tap.sandbox.world.touch(each, name=name)
        pipeline.pass_time(timedelta(hours=1))
        if name != "Changed":
            pipeline.tap.succeed(state=pipeline.target.state)  # its rows and its state are lost
    pipeline.run()
    (choice,) = re.findall(r"'(resume:\w+)'", complaint(pipeline.tap.run()))
    messages = cut_in_request(pipeline.tap, 1, billed=False, on_missing_state=choice).messages
    records = [message for message in messages if message["type"] == "RECORD"]
    pipeline.target.receive(records[:3], is_ahead=True)
    assert not pipeline.is_current
    assert pipeline.rows_billed() == 0


def test_they_are_replayed_though_the_refresh_began_by_a_slow_clock(pipeline: Pipeline) -> None:
    pipeline.begin_refresh(ahead=-timedelta(hours=1))
    pipeline.run()
    pipeline.overwrite()
    assert pipeline.rows_billed() == 0


def test_they_are_replayed_though_the_refresh_is_dropped(overwritten: Pipeline) -> None:
    refresh, _ = syncs(overwritten)
    drop(overwritten, refresh)
    assert overwritten.rows_billed() == 0


@pytest.mark.parametrize("is_damaged", [True, False])
def test_they_are_billed_again_if_they_are_dropped(
    overwritten: Pipeline, *, is_damaged: bool
) -> None:
    _, name = syncs(overwritten)
    if is_damaged:
        damage(pages(overwritten.tap.folder / "archive")[-1])
        line = complaint(overwritten.tap.run(state=overwritten.target.state))
        (name,) = re.findall(r"`tap-jobo-archive drop (\S+)`", line)
    drop(overwritten, name)
    assert overwritten.rows_billed() == 3


def test_they_are_billed_again_though_another_refresh_has_died(overwritten: Pipeline) -> None:
    """What is known of the dropped sync stays known, once."""
    _, dropped = syncs(overwritten)
    drop(overwritten, dropped)
    state = overwritten.target.state
    cut_in_request(overwritten.tap, 2, billed=False, state=state, batch_size=2)
    for _ in range(2):
        overwritten.overwrite()
    (file,) = (overwritten.tap.folder / "archive").glob("v2/*/overwritten.json")
    assert [*json.loads(file.read_text())] == [dropped, syncs(overwritten)[-1]]
    assert overwritten.rows_billed() == 1  # the others were since


def test_they_are_billed_again_if_the_first_of_two_syncs_is_dropped(pipeline: Pipeline) -> None:
    pipeline.begin_refresh()
    cut_in_request(pipeline.tap, 2, billed=False, state=pipeline.target.state, batch_size=2)
    pipeline.pass_time(timedelta(minutes=1))
    pipeline.run()
    _, first, _ = syncs(pipeline)
    pipeline.overwrite()
    drop(pipeline, first)
    assert pipeline.rows_billed(on_filter_change="resync") == 3


def test_a_refresh_goes_on_though_an_older_sync_was_complete_after_it_began(
    pipeline: Pipeline,
) -> None:
    """Only what a state may name is recorded."""
    for each in [*pipeline.target.rows][:3]:
        pipeline.tap.sandbox.world.touch(each)
    pipeline.run(batch_size=2, max_credits=100)
    pipeline.begin_refresh()
    pipeline.run()
    cut = cut_in_request(pipeline.tap, 1, billed=False, **REFRESH)
    pipeline.target.receive(cut.messages)
    assert pipeline.run().metrics["jobo_rows_replayed"] == 0


def test_they_are_billed_again_if_they_have_expired(pipeline: Pipeline) -> None:
    """What is known of them does not expire before they are delivered."""
    pipeline.begin_refresh()
    pipeline.run()
    pipeline.pass_time(timedelta(days=40))
    pipeline.overwrite()
    cut_in_request(pipeline.tap, 1, billed=False, state=pipeline.target.state)
    assert pipeline.rows_billed() == 3


@pytest.mark.parametrize("choice", ["error", "keep", "resync"])
def test_narrower_filters_miss_none_of_them(overwritten: Pipeline, choice: str) -> None:
    assert overwritten.rows_billed(founded_after=1900, on_filter_change=choice) == 3


def test_those_of_added_values_are_replayed(german: Pipeline) -> None:
    german.pass_time(timedelta(minutes=1))
    german.begin_refresh(**WIDER)
    german.run(**WIDER)
    german.overwrite(**WIDER)
    assert german.rows_billed(**WIDER) == 0


def test_a_sync_of_added_values_in_progress_starts_over(german: Pipeline) -> None:
    german.begin_refresh(is_known=False, **WIDER)
    part = german.run(max_credits=250, **WIDER)
    german.changed = [each for each in german.changed if each in part.ids]
    assert german.is_current
    german.overwrite(**WIDER)
    german.run(max_credits=250, **{**WIDER, "on_filter_change": "error"})  # that is decided
    assert german.is_current


@pytest.mark.parametrize("start_date", [None, "2015-01-01T00:00:00Z"])
def test_a_full_sync_in_progress_starts_over(german: Pipeline, start_date: str | None) -> None:
    """With the window that it has, though the start date is later by now."""
    everything: Any = {"on_filter_change": "resync"}
    german.begin_refresh(**GERMAN)
    german.run(max_credits=5_000, **everything)
    german.overwrite(**GERMAN)
    assert german.rows_billed(start_date=start_date, **everything) == 20


def test_a_refresh_in_progress_starts_over(german: Pipeline) -> None:
    """Meltano has merged its state into that of a complete sync."""
    german.begin_refresh()
    german.run(**GERMAN)
    part = german.tap.succeed(max_credits=500, **{**REFRESH, **GERMAN})
    german.target.receive(part.messages)
    german.changed = [each for each in german.changed if each in part.ids]
    german.overwrite()
    drop(german, syncs(german)[0])  # its page is of other filters, so the run would ask
    assert german.rows_billed(**GERMAN) == 3


def test_a_full_sync_in_progress_that_lost_its_start_gives_way_to_another_one(tap: Tap) -> None:
    """That is the one that it had replaced, whose cursor was rejected once."""
    pipeline = Pipeline(tap)
    one_page: Any = {"max_credits": 2_500}
    pipeline.changed = pipeline.run(**one_page).ids[:3]
    for each in pipeline.changed:
        tap.sandbox.world.touch(each, name="Changed")
    pipeline.pass_time(timedelta(hours=1))
    tap.sandbox.faults.add(Fault(reject_cursor="400"))
    pipeline.run(**one_page)
    _, second = syncs(pipeline)
    drop(pipeline, f"{second}.1")
    pipeline.overwrite()
    before = tap.sandbox.rows_billed
    for _ in range(3):
        pipeline.run(**one_page)
    assert pipeline.is_current
    assert tap.sandbox.rows_billed - before == 120 - 50 + 3


@pytest.mark.parametrize("on_missing_state", ["error", "resync"])
def test_they_are_replayed_after_a_sync_of_other_filters(
    german: Pipeline, on_missing_state: str
) -> None:
    """With a state, too, an older sync may be resumed, in place of the one in progress."""
    keep: Any = {"country_codes": ["DE"], "on_filter_change": "keep"}
    everything: Any = {"on_filter_change": "resync", "on_missing_state": on_missing_state}
    german.begin_refresh(**everything, state=german.target.state)
    german.changed = german.run(batch_size=2, max_credits=100, **keep).ids
    german.overwrite(**everything, state=german.target.state)
    assert german.rows_billed(**keep) == 1
