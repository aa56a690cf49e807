"""`max_credits_per_month`: never exceeded, by the ledger, whatever happens between the runs."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.archive import layout
from tap_jobo.archive.archive import Archive, Archives
from tap_jobo.archive.contents import Contents, archive_key, encode
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.month import MonthCount
from tap_jobo.errors import ArchiveError, BudgetReachedError
from tap_jobo.model import LastPrice
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.jobs import JOBS
from tests.archive.helpers import archive_command, pages, replayed, succeeded
from tests.support import Run, Tap, complaint
from tests.support.clock import FakeClock, with_clock
from tests.support.crash import cut_in_request
from tests.support.jobs import tap_of
from tests.support.loggers import LOGGER

pytestmark = pytest.mark.slow

LIMIT = 6_000
"""Two pages of career sites, and a part of a third."""
PAGE = 2_500


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    return Tap(sandbox, tmp_path, {"max_credits": None, "max_credits_per_month": LIMIT})


def spent(tap: Tap) -> dict[str, int]:
    """What the archive has counted, by month."""
    total: dict[str, int] = {}
    for file in _files(tap):
        for month, credits_ in json.loads(file.read_text())["credits"].items():
            total[month] = total.get(month, 0) + credits_
    return total


def month_of(tap: Tap) -> str:
    return f"{tap.sandbox.ledger[-1].time:%Y-%m}"


def _files(tap: Tap) -> list[Path]:
    return sorted(tap.folder.glob("archive/v2/spent/*.json"))


def _reached(run: Run) -> str:
    """Return the WARNING of a run that the limit has ended."""
    assert run.returncode == 0, run.stderr
    (line,) = run.messages_of("WARNING", "limit-reached")
    return line


def _at(tap: Tap, instant: datetime) -> Tap:
    """The tap when it is this late, for the API too."""
    shift = instant - datetime.now(UTC)
    tap.sandbox.clock_offset = shift.total_seconds()
    return with_clock(tap, shift)


def _next_month() -> datetime:
    now = datetime.now(UTC)
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)


# What counts


def test_the_limit_holds_over_runs_and_says_when_they_continue(tap: Tap) -> None:
    first = tap.run()
    month = month_of(tap)
    warning = (
        f"max_credits_per_month reached: 5,000 of 6,000 credits used in {month} ($5.00); the next "
        "page of career_sites may cost 2,500 ($2.50). Runs continue on "
        f"{_next_month():%Y-%m-%d} (UTC), or once you raise the limit."
    )
    assert _reached(first) == warning
    assert f"career_sites: everything; 6,000 credits ($6.00) left for {month}\n" in first.stderr
    assert first.lines("WARNING") == [warning]
    second = tap.run(state=first.state)
    assert _reached(second) == warning
    assert f"1,000 credits ($1.00) left for {month}" in second.stderr
    assert tap.sandbox.credits_billed == 2 * PAGE
    assert spent(tap) == {month: 2 * PAGE}
    last = tap.run(state=second.state, max_credits_per_month=3 * PAGE)
    assert last.lines("WARNING") == []
    assert len(first.ids + last.ids) == 120
    assert spent(tap) == {month: tap.sandbox.credits_billed}


def test_pages_of_the_archive_are_replayed_beyond_the_limit(tap: Tap) -> None:
    tap.run()
    run = tap.run()
    _reached(run)
    assert replayed(run) == 100
    assert tap.sandbox.credits_billed == 2 * PAGE


def test_streams_share_it(tmp_path: Path) -> None:
    with Sandbox(size=50, seed=1, jobs=40) as sandbox:
        tap = tap_of(sandbox, tmp_path, "career_sites", "expired_jobs", "jobs")
        tap.settings |= {"jobs_batch_size": 40, "max_credits_per_month": PAGE + 100}
        run = tap.run()
        assert "jobs may cost 120 ($0.12)" in _reached(run)
        assert f"100 credits ($0.10) left for {month_of(tap)}" in run.stderr
        assert run.summaries["expired_jobs"].endswith("$0.00); sync complete. Balance $9,997.50.")
        run = tap.run(max_credits_per_month=2 * PAGE + 120, state=run.state)
        assert run.lines("WARNING") == []
        assert sandbox.credits_billed == PAGE + 120 == sum(spent(tap).values())


def test_a_connection_check_counts(tap: Tap) -> None:
    assert tap.run("--test").returncode == 0
    assert sum(spent(tap).values()) == 50
    _reached(tap.run(max_credits_per_month=PAGE + 49))
    assert tap.sandbox.credits_billed == 50
    assert "max_credits_per_month" in complaint(tap.run("--test", max_credits_per_month=99))
    assert "Setting 'max_credits_per_month' (49)" in complaint(
        tap.run("--test", max_credits_per_month=49)
    )
    assert sum(spent(tap).values()) == tap.sandbox.credits_billed == 50


@pytest.mark.parametrize(
    ("fault", "code", "billed"),
    [({"drop": True}, 1, PAGE), ({"status": 503, "times": 3}, 0, 2 * PAGE)],
    ids=["lost response", "free failures"],
)
def test_a_page_counts_once_however_often_it_is_tried(
    tap: Tap, fault: dict[str, Any], code: int, billed: int
) -> None:
    tap.sandbox.faults.add(Fault(**fault), on=2)
    run = tap.run_quickly()
    assert run.returncode == code
    assert "max_credits_per_month reached" in run.stderr
    assert ("Jobo's response was lost" in run.stderr) == bool(code)
    assert tap.sandbox.credits_billed == billed
    assert sum(spent(tap).values()) == 2 * PAGE


def test_a_limit_that_is_set_later_includes_what_was_billed_without_it(tap: Tap) -> None:
    no_limit: Any = {"max_credits_per_month": None, "max_credits": 10**6}
    state = tap.run(**no_limit).state
    assert spent(tap) == {month_of(tap): 6_000}
    assert tap.run("--test", **no_limit).returncode == 0
    assert sum(spent(tap).values()) == tap.sandbox.credits_billed == 6_050
    assert "6,050 of 6,000 credits used" in _reached(tap.run(state=state))


def test_a_page_that_cost_less_than_requested_counts_that_in_later_runs_too(tap: Tap) -> None:
    """Its header has what it might have cost, as its response does not say."""
    silent = {"X-Credits-Deducted": "", "X-Credits-Balance": ""}
    tap.sandbox.faults.add(Fault(headers=silent, times=None))
    state: Any = None
    for _ in range(3):
        state = tap.run(state=state, max_credits_per_month=3 * PAGE).state
        assert [*spent(tap).values()] == [tap.sandbox.credits_billed] == [6_000]
    (file,) = _files(tap)
    assert len(json.loads(file.read_text())["runs"]) == 1  # the others have no pages


@pytest.mark.parametrize("is_dropped", [False, True])
def test_a_kill_without_a_limit_hides_only_the_request_in_flight(
    tap: Tap, *, is_dropped: bool
) -> None:
    no_limit: Any = {"max_credits_per_month": None, "max_credits": 10**6}
    cut_in_request(tap, 3, **no_limit)
    assert _files(tap) == []  # nothing was written besides the pages
    if is_dropped:
        assert archive_command(tap, "drop", "--all").returncode == 0
    run = tap.run(max_credits_per_month=2 * PAGE + 100)
    assert "5,000 of 5,100 credits used" in _reached(run)
    assert tap.sandbox.credits_billed == 2 * PAGE + 20 * 50
    assert sum(spent(tap).values()) == 2 * PAGE


def test_a_lost_response_counts_though_the_run_is_killed(tap: Tap) -> None:
    """No page of the archive has it."""
    tap.sandbox.faults.add(Fault(drop=True), on=2)
    tap.oddities["TEST_WAITS"] = "none"
    cut_in_request(tap, 3, billed=False, max_credits_per_month=None, max_credits=10**6)
    assert sum(spent(tap).values()) == 2 * PAGE


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_killed_run_of_another_stream_counts(tmp_path: Path, earlier: int) -> None:
    """Also if an earlier run has written the stream's file."""
    with Sandbox(size=50, seed=1, jobs=40) as sandbox:
        jobs = tap_of(sandbox, tmp_path, "jobs")
        for _ in range(earlier):
            jobs.succeed(jobs_batch_size=10, max_credits=30)
        cut_in_request(jobs, 3 - earlier, billed=False, jobs_batch_size=10)
        tap = tap_of(sandbox, tmp_path, "career_sites")
        run = tap.run(max_credits_per_month=PAGE + 59)
        assert "60 of 2,559 credits used" in _reached(run)
        assert sandbox.credits_billed == 60


def test_a_backfill_above_the_limit_is_a_warning(tmp_path: Path) -> None:
    with Sandbox(size=20, jobs=90, seed=7) as sandbox:
        tap = tap_of(sandbox, tmp_path, "jobs")
        tap.settings |= {"jobs_batch_size": 10}
        run = tap.run(max_credits_per_month=100)
        assert (
            "This sync has about 90 rows (estimated): $0.27 at the current price (3 credits per "
            "row), and at least 4 s at the rate limit of 120 pages per minute."
        ) in run.lines("INFO")
        total, reached = run.lines("WARNING")
        assert total == (
            "The rest of this sync costs about $0.24, but max_credits_per_month leaves $0.07 "
            f"for {month_of(tap)}. The sync then waits for the next month. By then, Jobo may have "
            "dropped its cursor: all rows are billed again. Raise the limit, or narrow the filters."
        )
        assert "max_credits_per_month reached" in reached
        replay = tap.run(max_credits_per_month=100)
        assert "The rest of this sync" not in replay.stderr
        enough = tap.run(max_credits_per_month=30 + 240, archive_dir=str(tmp_path / "another"))
        assert enough.lines("WARNING") == []


# Kills, and runs side by side


def test_a_kill_counts_at_most_a_page_too_much(tap: Tap) -> None:
    cut_in_request(tap, 1, billed=False)
    assert (sum(spent(tap).values()), tap.sandbox.credits_billed) == (PAGE, 0)
    cut_in_request(tap, 1)
    assert (sum(spent(tap).values()), tap.sandbox.credits_billed) == (2 * PAGE, PAGE)
    _reached(tap.run())
    assert tap.sandbox.credits_billed == PAGE


def test_a_signal_counts_nothing_too_much(tap: Tap) -> None:
    run = cut_in_request(tap, 1, signal.SIGTERM)
    assert len(run.ids) == 50
    assert sum(spent(tap).values()) == tap.sandbox.credits_billed == PAGE


@pytest.mark.parametrize("is_before", [True, False])
def test_of_two_requests_at_once_one_sees_the_other(tmp_path: Path, *, is_before: bool) -> None:
    """The other run goes on right before, or after, this one writes its file."""
    passed: list[str] = []

    class Shared(Folder):
        """A folder in which another run reserves a page meanwhile."""

        def replace(self, name: str, content: bytes) -> None:
            for is_now in (is_before, not is_before):
                if is_now:
                    reserve(JOBS, Folder(tmp_path))
                else:
                    super().replace(name, content)

    def reserve(spec: FeedSpec, store: Folder) -> None:
        with suppress(BudgetReachedError):
            count_in(store, FakeClock(), spec, PAGE).reserve(0, PAGE, "a page")
            passed.append(spec.name)

    reserve(CAREER_SITES, Shared(tmp_path))
    assert len(passed) == is_before


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_a_run_that_has_lost_its_lock_leaves_the_file_to_the_other_run(
    tmp_path: Path, limit: int | None
) -> None:
    class Lost(Folder):
        """A folder whose lock is another run's as soon as it is taken."""

        @contextmanager
        def run_lock(self, *_: object) -> Iterator[Callable[[], None]]:
            yield refuse

    def refuse() -> None:
        raise ArchiveError("another run has taken it over")

    with opened(Lost(tmp_path), limit) as archive:
        month = archive.month
        assert month
        month.settle(PAGE)  # which may fail
        with pytest.raises(ArchiveError, match="taken it over"):
            month.reserve(2 * PAGE, PAGE, "a page")
        month.note_price(LastPrice(80, "2026-01-01T00:00:00Z"))  # its page is delivered first
    assert not (tmp_path / "v2/spent").exists()


def test_what_another_run_bills_while_this_one_waits_for_its_lock_counts(tmp_path: Path) -> None:
    class Busy(Folder):
        """A folder whose lock another run holds until it ends."""

        @contextmanager
        def run_lock(self, *_: object) -> Iterator[Callable[[], None]]:
            count_in(Folder(tmp_path), FakeClock(), CAREER_SITES, LIMIT).settle(LIMIT)
            yield lambda: None

    with opened(Busy(tmp_path), LIMIT) as archive:
        assert archive.month
        with pytest.raises(BudgetReachedError):
            archive.month.reserve(0, PAGE, "a page")


# The month


@pytest.mark.parametrize(
    ("instant", "month", "then"),
    [
        ("2026-01-01T00:00:00", "2026-01", "2026-02-01"),
        ("2026-01-31T23:58:59", "2026-01", "2026-02-01"),
        ("2026-02-01T00:00:00", "2026-02", "2026-03-01"),
        ("2026-04-30T12:00:00", "2026-04", "2026-05-01"),
        ("2026-12-31T23:58:59", "2026-12", "2027-01-01"),
        ("2028-02-29T23:58:59", "2028-02", "2028-03-01"),
    ],
)
def test_runs_continue_on_the_first_of_the_next_month(
    tmp_path: Path, instant: str, month: str, then: str
) -> None:
    count = count_at(tmp_path, instant)
    with pytest.raises(BudgetReachedError, match=f" in {month} .* Runs continue on {then} "):
        count.reserve(LIMIT, PAGE, "a page")
    assert count.left(LIMIT) == (0, month)
    assert count.with_page(PAGE) == {month: LIMIT + PAGE}


def test_a_request_in_the_last_minute_of_a_month_counts_in_both(tmp_path: Path) -> None:
    count = count_at(tmp_path, "2026-01-31T23:59:00.1")
    assert count.left(0) == (LIMIT, "2026-01")
    count.reserve(0, PAGE, "a page")
    assert count.with_page(PAGE) == {"2026-01": PAGE, "2026-02": PAGE}
    february = count_at(tmp_path, "2026-02-01T00:00:00")
    assert february.left(0) == (LIMIT - PAGE, "2026-02")
    with pytest.raises(BudgetReachedError, match=" in 2026-02 "):
        february.reserve(2 * PAGE, PAGE, "a page")
    with pytest.raises(BudgetReachedError, match=" in 2026-02 "):  # its own page is in January
        count_at(tmp_path, "2026-01-31T23:59:30").reserve(0, PAGE, "a page")


def test_another_try_of_a_request_counts_already_and_does_not_read_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = count_at(tmp_path, "2026-01-15")
    count.reserve(0, PAGE, "a page")
    monkeypatch.setattr(count.store, "list", None)
    count.reserve(0, PAGE, "a page")
    assert count.with_page(PAGE) == {"2026-01": PAGE}


def test_a_response_that_comes_in_the_next_month_counts_in_both(tmp_path: Path) -> None:
    clock = FakeClock(datetime(2026, 1, 31, 23, 50, tzinfo=UTC))
    count = count_at(tmp_path, clock)
    count.reserve(0, PAGE, "a page")
    clock.passed += 900
    assert count.with_page(PAGE) == {"2026-01": PAGE, "2026-02": PAGE}


def test_what_another_stream_cost_counts_in_its_month_alone(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    jobs = count_in(store, FakeClock(datetime(2026, 1, 31, 12, tzinfo=UTC)), JOBS, LIMIT)
    jobs.reserve(0, PAGE, "a page")
    store.replace(layout.KEY.format(jobs.key.name), encode(jobs.key))
    for month, left in ("2026-01", LIMIT - PAGE), ("2026-02", LIMIT):
        count = count_at(tmp_path, f"{month}-15")
        assert count.left(0) == (left, month)
        count.include_killed_runs(Contents(store))
        assert count.left(0) == (left, month)
        assert count.with_page(0) == {month: 0}


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_stream_of_another_address_counts_only_if_that_is_unknown(
    tmp_path: Path, *, is_damaged: bool
) -> None:
    """Rather too much than too little."""
    store, clock = Folder(tmp_path), FakeClock()
    other = count_in(store, clock, JOBS, LIMIT, api_url="https://b")
    other.reserve(0, PAGE, "a page")
    key = b"{" if is_damaged else encode(other.key)
    store.replace(layout.KEY.format(other.key.name), key)
    count = count_in(store, clock, CAREER_SITES, LIMIT)
    count.include_killed_runs(Contents(store))
    assert count.left(0) == (LIMIT - PAGE * is_damaged, "2026-01")


def test_without_a_limit_only_what_no_page_counts_is_written(tmp_path: Path) -> None:
    count = count_in(Folder(tmp_path), FakeClock(), CAREER_SITES, None)
    written = tmp_path / layout.COUNT.format(count.key.name)
    count.reserve(0, PAGE, "a page")
    assert not written.exists()
    count.reserve(1, PAGE, "a page")  # the first response, of one credit, was lost
    before = written.read_bytes()
    count.with_page(PAGE)
    count.reserve(1 + PAGE, PAGE, "a page")
    assert written.read_bytes() == before


def test_the_newest_balance_of_the_account_is_known_to_each_stream(tmp_path: Path) -> None:
    store, clock = Folder(tmp_path), FakeClock()
    specs = (CAREER_SITES, JOBS)
    other = count_in(store, clock, JOBS, LIMIT, api_url="https://b")
    for spec, balance in (CAREER_SITES, 900), (JOBS, 800), (CAREER_SITES, 850):
        count = count_in(store, clock, spec, LIMIT)
        for seen in (balance, None):
            clock.passed += 1
            count.note_balance(seen)
            count.settle(0)
        assert {count_in(store, clock, each, LIMIT).newest_balance() for each in specs} == {balance}
        assert other.newest_balance() is None


def count_at(folder: Path, at: FakeClock | str) -> MonthCount:
    """The count of a run with a clock, or one that stands still at an instant (UTC)."""
    if isinstance(at, str):
        at = FakeClock(datetime.fromisoformat(at).replace(tzinfo=UTC))
    return count_in(Folder(folder), at, CAREER_SITES, LIMIT)


def opened(store: Folder, limit: int | None) -> AbstractContextManager[Archive]:
    """The archive of a run."""
    key = archive_key(CAREER_SITES, api_key="jbe_test_", api_url="https://a")
    return Archives(
        store=store, limit=limit, now=FakeClock().now, wait=time.sleep, logger=LOGGER
    ).open(key)


def count_in(
    store: Folder, clock: FakeClock, spec: FeedSpec, limit: int | None, api_url: str = "https://a"
) -> MonthCount:
    return MonthCount(
        store=store,
        key=archive_key(spec, api_key="jbe_test_", api_url=api_url),
        run="",
        limit=limit,
        now=clock.now,
        check=lambda: None,
        logger=LOGGER,
    )


def test_a_new_month_begins_by_the_clock_of_the_api(tap: Tap) -> None:
    run = tap.run()
    old = month_of(tap)
    late = _at(tap, _next_month() - timedelta(minutes=10))
    late.oddities["TEST_CLOCK"] = str(float(late.oddities["TEST_CLOCK"]) + 3_600)
    run = late.run(state=run.state)
    _reached(run)
    run = succeeded(_at(tap, _next_month() + timedelta(minutes=1)).run(state=run.state))
    assert len(run.ids) == 20
    assert spent(tap) == {old: 2 * PAGE, month_of(tap): 20 * 50}
    assert old != month_of(tap)


# The file


def test_neither_dropping_all_nor_30_days_remove_it(tap: Tap) -> None:
    tap.run()
    counted = spent(tap)
    (file,) = _files(tap)
    assert archive_command(tap, "drop", "--all").returncode == 0
    assert pages(tap.folder / "archive") == []
    assert archive_command(tap, "drop", file.stem).returncode == 0
    assert spent(tap) == counted
    _reached(tap.run())
    assert tap.sandbox.credits_billed == 2 * PAGE
    _at(tap, datetime.now(UTC) + timedelta(days=40)).run()
    assert spent(tap).items() >= counted.items()


DAMAGE = {
    "empty": "",
    "no members": "{}",
    "no months": '{"credits": 5}',
    "negative": '{"credits": {"2026-11": -1}}',
    "no month": '{"credits": {"2026-13": 1}}',
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("stream", ["career_sites", "jobs"])
def test_a_damaged_count_ends_a_run_with_a_limit_and_can_be_dropped(
    tap: Tap, content: str, stream: str
) -> None:
    """Even that of another stream, which shares the limit."""
    tap.run()
    (file,) = _files(tap)
    good = file.read_text()
    wrong = json.dumps(json.loads(good) | json.loads(content)) if len(content) > 2 else content
    file.write_text(wrong)
    settings = tap.settings | {"jobs_batch_size": 10}
    line = complaint(tap_of(tap.sandbox, tap.folder, stream).run(**settings))
    name = f"spent/{file.name}"
    assert f"v2/{name}" in line
    assert f"`tap-jobo-archive drop {name}`" in line
    assert tap.sandbox.credits_billed == 2 * PAGE
    assert name in archive_command(tap, "list").stdout
    dropped = succeeded(archive_command(tap, "drop", name)).stdout
    assert "1 other file (the month then counts from what the archive still has)" in dropped
    assert not file.exists()
    _reached(tap.run())  # the archive still has both pages
    assert tap.sandbox.credits_billed == 2 * PAGE
    file.write_text(wrong)
    assert archive_command(tap, "drop", "--all").returncode == 0
    assert not file.exists()


def test_a_damaged_count_is_a_warning_without_a_limit(tap: Tap) -> None:
    state = tap.run().state
    (file,) = _files(tap)
    file.write_text("{")
    run = succeeded(tap.run(state=state, max_credits_per_month=None, max_credits=10**6))
    (warning,) = run.lines("WARNING")
    assert warning.startswith("The file v2/spent/")
    assert "counts what is billed in a month, and is damaged, so this run is not counted" in warning
    assert file.read_text() == "{"  # the user may be able to mend it


def test_a_file_that_cannot_be_written_ends_the_run_before_a_request(tap: Tap) -> None:
    tap.run("--test")
    (file,) = _files(tap)
    file.unlink()
    file.mkdir()
    line = complaint(tap.run())
    assert "cannot be used" in line
    assert tap.sandbox.rows_billed == 1


def test_it_needs_the_archive_and_a_page(tap: Tap) -> None:
    line = complaint(tap.run(archive=False))
    assert "'max_credits_per_month' needs the archive" in line
    line = complaint(tap.run(max_credits_per_month=PAGE - 1))
    assert "Setting 'max_credits_per_month' (2,499) is below the 2,500 credits of one page" in line
    assert "remove max_credits_per_month" in line
    assert tap.sandbox.ledger == []
