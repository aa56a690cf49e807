"""Wrong clocks: nothing is lost or billed twice, and what they cost is said."""

from datetime import timedelta

import pytest

from tap_jobo.clock import format_timestamp
from tests.support import Tap, state_until
from tests.support.archives import files_of
from tests.support.clock import with_clock
from tests.support.crash import cut_in_request

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
MONTH = timedelta(days=31)


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_wrong_local_clock_loses_no_update_and_is_told(tap: Tap, hours: int) -> None:
    """If it is behind, what changed meanwhile is billed again."""
    tap.settings["lookback_minutes"] = 0
    tap.sandbox.clock_offset = hours * HOUR.total_seconds()
    run = tap.run()
    assert run.bookmark["replication_key_value"] <= format_timestamp(
        tap.sandbox.feed_requests[0].time
    )
    assert run.codes("WARNING") == ["clock-wrong"]
    updated = run.ids[0]
    tap.sandbox.world.touch(updated)
    second = tap.run(state=run.state)
    assert second.ids == [updated]
    if hours > 0:
        assert tap.run(state=second.state).ids == [updated]


def test_pages_have_rising_times_though_the_clock_of_the_api_is_set_back(tap: Tap) -> None:
    """By them, a warehouse finds its place in an archive that lacks its last page."""
    tap.sandbox.clock_offset = HOUR.total_seconds()
    run = tap.succeed()
    tap.sandbox.clock_offset = 0
    tap.sandbox.world.touch(run.ids[0])
    assert tap.succeed(state=run.state).ids == run.ids[:1]
    files = files_of(tap)
    times = [files.header(page).time for page in files.pages]
    assert times == sorted(times)


@pytest.mark.parametrize("ahead", [MONTH, -MONTH], ids=["ahead", "behind"])
def test_a_local_clock_31_days_off_bills_nothing_twice(tap: Tap, ahead: timedelta) -> None:
    """The pages of a run that a crash took are loaded, whatever the clocks say."""
    cut_in_request(tap, 2, billed=False)
    with_clock(tap, ahead).fail(code="clock-wrong")
    assert tap.sandbox.rows_billed == 50
    again = tap.succeed()
    assert again.loaded == 50
    assert tap.sandbox.rows_billed == 50 + 70


# What lies in the future by the API's clock, or by both, would become the bookmark


@pytest.mark.parametrize("hours", [1, 10**6], ids=["by the API's clock", "by both clocks"])
def test_a_bookmark_in_the_future_ends_the_run_before_it_buys(tap: Tap, hours: int) -> None:
    tap.sandbox.clock_offset = -2 * HOUR.total_seconds()
    bookmark = format_timestamp(tap.sandbox.now() + timedelta(hours=hours))
    state = state_until(tap, bookmark, country_codes=["DE"])
    for countries in (["DE"], ["DE", "FR"]):
        tap.settings = {"country_codes": countries, "on_filter_change": "resync"}
        run = tap.fail(code="future-bookmark", state=state)
        assert bookmark[:16] in run.complaint
        assert tap.sandbox.feed_requests == []
        assert all(emitted == state for emitted in run.states)


def test_a_bookmark_is_no_later_than_now_if_only_the_local_clock_says_so(tap: Tap) -> None:
    tap.sandbox.clock_offset = 2 * HOUR.total_seconds()
    tap.succeed(state=state_until(tap, format_timestamp(tap.sandbox.now() - HOUR)))


def test_a_sync_in_progress_from_the_future_ends_the_run_before_it_is_billed(tap: Tap) -> None:
    cut = cut_in_request(tap, 2, billed=False, archive=False)
    requests = len(tap.sandbox.feed_requests)
    start = format_timestamp(tap.sandbox.now() + HOUR)
    state = cut.state
    state["bookmarks"]["career_sites"]["position"]["progress"][0]["sync"]["started"] = start
    run = with_clock(tap, 5 * HOUR).fail(code="future-bookmark", state=state, archive=False)
    assert start[:16] in run.complaint
    assert run.records == []
    assert len(tap.sandbox.feed_requests) == requests
