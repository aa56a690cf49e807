"""`max_credits_per_month`: never exceeded, by the ledger, whatever happens between the runs."""

import signal
from calendar import monthrange
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.key import archive_key
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import ArchiveError, BudgetReachedError
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.jobs import JOBS
from tests.archive.helpers import archive_command, new_header, pass_time, spent_in, succeeded
from tests.support import Run, Tap, commands_in, tap_of
from tests.support.clock import FakeClock
from tests.support.crash import cut_in_request
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
    return spent_in(Folder(tap.folder / "archive"))


def month_of(tap: Tap) -> str:
    return f"{tap.sandbox.ledger[-1].time:%Y-%m}"


def _reached(run: Run) -> str:
    """Return the WARNING of a run that the limit has ended."""
    assert run.returncode == 0, run.stderr
    (line,) = run.messages_of("WARNING", "limit-reached")
    return line


# What counts


def test_the_limit_holds_over_runs_and_says_when_they_continue(tap: Tap) -> None:
    first = tap.run()
    month = month_of(tap)
    warning = _reached(first)
    assert f"max_credits_per_month: 5,000 of 6,000 used in {month}" in warning
    (shown,) = commands_in(warning)
    assert f"{month}: $5.00 " in succeeded(archive_command(tap, *shown)).stdout
    assert f"6,000 credits ($6.00) left for {month}\n" in first.stderr
    assert first.codes("WARNING") == ["limit-reached"]
    second = tap.run(state=first.state)
    assert second.lines("WARNING") == [warning]
    assert f"1,000 credits ($1.00) left for {month}\n" in second.stderr
    lowered = tap.succeed(max_credits_per_month=4_000)
    assert lowered.loaded == 100  # beyond the limit
    assert "5,000 of 4,000 used" in _reached(lowered)
    assert tap.sandbox.credits_billed == 2 * PAGE
    assert spent(tap) == {month: 2 * PAGE}
    last = tap.run(state=second.state, max_credits_per_month=3 * PAGE)
    assert last.lines("WARNING") == []
    assert len(first.ids + last.ids) == 120
    assert spent(tap) == {month: tap.sandbox.credits_billed}


def test_a_connection_check_counts(tap: Tap) -> None:
    assert tap.run("--test").returncode == 0
    assert sum(spent(tap).values()) == 50
    _reached(tap.run(max_credits_per_month=PAGE + 49))
    assert tap.sandbox.credits_billed == 50
    assert "max_credits_per_month" in tap.run("--test", max_credits_per_month=99).complaint
    assert "max_credits_per_month is 49" in tap.run("--test", max_credits_per_month=49).complaint
    assert sum(spent(tap).values()) == tap.sandbox.credits_billed == 50


def test_a_page_that_cost_less_than_requested_counts_that_in_later_runs_too(tap: Tap) -> None:
    """Its header has what it might have cost, as its response does not say."""
    silent = {"X-Credits-Deducted": "", "X-Credits-Balance": ""}
    tap.sandbox.faults.add(Fault(headers=silent, times=None))
    state: Any = None
    for _ in range(3):
        state = tap.run(state=state, max_credits_per_month=3 * PAGE).state
        assert [*spent(tap).values()] == [tap.sandbox.credits_billed] == [6_000]


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
        assert "60 of 2,559 used" in _reached(run)
        assert sandbox.credits_billed == 60


# The last real price outlives the run, so only the page that showed it can pass a limit


@pytest.fixture
def dear(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap in pages of 10 rows, which cost five times the list price."""
    sandbox.price = 250
    return Tap(sandbox, tmp_path, {"batch_size": 10, "max_credits": 600})


@pytest.mark.parametrize("setting", ["max_credits", "max_credits_per_month"])
def test_later_runs_end_before_they_pass_the_limit_again(dear: Tap, setting: str) -> None:
    dear.settings |= {"max_credits": None, setting: 600}
    state = dear.fail(code="limit-too-low").state
    for _ in range(2):
        assert f"{setting} is 600" in dear.fail(state=state, code="limit-too-low").complaint
        assert dear.sandbox.credits_billed == 2_500
    assert len(dear.succeed(state=state, **{setting: 10**6}).ids) == 110


def test_the_price_outlives_a_kill(dear: Tap) -> None:
    cut_in_request(dear, 2, billed=False, max_credits=10**6)
    assert dear.fail(code="limit-too-low").ids == dear.sandbox.feed_requests[0].row_ids
    assert dear.sandbox.credits_billed == 2_500


def test_the_price_is_that_of_the_last_page_or_test(dear: Tap) -> None:
    """One at list price clears it."""
    first = dear.fail(code="limit-too-low")
    assert first.codes("WARNING") == ["unexpected-bill"]
    assert dear.run(state=first.state).codes("WARNING") == []
    dear.sandbox.price = 50
    assert dear.run("--test", max_credits=249).returncode == 1
    dear.succeed("--test", max_credits=250)
    dear.sandbox.price = 300
    second = dear.fail(state=first.state, code="limit-too-low")
    assert len(second.ids) == 10
    assert "cost 3,000" in second.complaint
    dear.sandbox.price = 50
    third = dear.succeed(state=second.state, max_credits=3_000)
    assert len(third.ids) == 60
    assert len(dear.succeed(state=third.state).ids) == 10


# Kills, and runs side by side


def test_a_signal_counts_nothing_too_much(tap: Tap) -> None:
    run = cut_in_request(tap, 1, signal.SIGTERM)
    assert len(run.ids) == 50
    assert sum(spent(tap).values()) == tap.sandbox.credits_billed == PAGE


class Count(FeedCost):
    """The count of a run that has opened its archive; a row costs a credit."""

    def __init__(
        self,
        store: Folder,
        at: str = "2026-01-15T12:00:00",
        spec: FeedSpec = CAREER_SITES,
        limit: int | None = LIMIT,
        **other: str,
    ) -> None:
        self.clock = FakeClock(datetime.fromisoformat(at).replace(tzinfo=UTC))
        budget = Budget(logger=LOGGER, now=self.clock.now, max_credits_per_month=limit)
        super().__init__(budget, replace(spec, list_price=1))
        key = archive_key(spec, **{"api_key": "jbe_test_", "api_url": "https://a", **other})
        self.own = StreamArchive(store, key)
        self.count_in(self.own, lambda: None)

    @property
    def left(self) -> dict[str, int]:
        return {limit.month: limit.left for limit in self.limits}

    @property
    def file(self) -> bytes:
        return self.own.store.read(layout.PENDING.format(self.own.key.name))

    def bill(self, credits_: int) -> None:
        self.charge({"X-Credits-Deducted": f"{credits_}"}, credits_)

    def buy(self, credits_: int) -> None:
        """Let the archive have a page, too."""
        self.bill(credits_)
        now = format_timestamp(self.clock.now())
        self.own.create(new_header(time=now, spent=self.spent), b"{}")


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("other", [{"api_key": "jbe_live_"}, {"api_url": "https://b"}])
def test_another_kind_of_key_or_address_has_a_limit_of_its_own(
    store: Folder, other: dict[str, Any]
) -> None:
    count = Count(store)
    count.bill(PAGE)
    count.settle()
    assert Count(store, spec=JOBS).left == {"2026-01": LIMIT - PAGE}
    assert Count(store, spec=JOBS, **other).left == {"2026-01": LIMIT}


@pytest.mark.parametrize("is_before", [True, False])
def test_of_two_requests_at_once_one_sees_the_other(store: Folder, *, is_before: bool) -> None:
    """The other run goes on right before, or after, this one writes its file."""
    passed: list[str] = []

    class Shared(Folder):
        """A folder in which another run reserves a page meanwhile."""

        is_shared = False

        def replace(self, name: str, content: bytes) -> None:
            for is_now in (is_before, not is_before):
                if not is_now:
                    super().replace(name, content)
                elif self.is_shared:
                    reserve(Count(store, spec=JOBS, limit=PAGE))

    def reserve(count: Count) -> None:
        with suppress(BudgetReachedError):
            count.reserve(PAGE)
            passed.append(count.spec.name)

    shared = Shared(Path(store.location))
    own = Count(shared, limit=PAGE)
    shared.is_shared = True
    reserve(own)
    assert passed == ["jobs" if is_before else "career_sites"]


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_a_run_that_has_lost_its_lock_leaves_the_file_to_the_other_run(
    store: Folder, limit: int | None
) -> None:
    def refuse() -> None:
        raise ArchiveError("another run has taken it over")

    count = Count(store, limit=limit)
    written = count.file
    count.count_in(count.own, refuse)
    count.bill(PAGE)
    count.settle()  # which may fail
    if limit:
        with pytest.raises(ArchiveError, match="taken it over"):
            count.reserve(PAGE)
    assert count.file == written


# The month


@pytest.mark.parametrize(
    ("instant", "month", "then"),
    [
        ("2026-01-31T23:58:59", "2026-01", "2026-02-01"),
        ("2026-12-31T23:58:59", "2026-12", "2027-01-01"),
        ("2028-02-29T23:58:59", "2028-02", "2028-03-01"),
    ],
)
def test_runs_continue_on_the_first_of_the_next_month(
    store: Folder, instant: str, month: str, then: str
) -> None:
    count = Count(store, instant)
    count.bill(LIMIT + PAGE)
    (limit,) = count.limits
    assert limit.known["next_month"] == f"{then} (UTC)"
    assert not limit.allows(PAGE)
    assert count.left == {month: 0}
    assert count.spent == {month: LIMIT + PAGE}


def test_a_request_in_the_last_minute_of_a_month_counts_in_both(store: Folder) -> None:
    count = Count(store, "2026-01-31T23:59:00.1")
    assert count.left == {"2026-01": LIMIT, "2026-02": LIMIT}
    count.reserve(PAGE)
    count.reserve(PAGE)  # another try
    count.bill(PAGE)
    assert count.spent == {"2026-01": PAGE, "2026-02": PAGE}
    count.settle()
    february = Count(store, "2026-02-01T00:00:00")
    assert february.left == {"2026-02": LIMIT - PAGE}
    february.bill(PAGE)
    with pytest.raises(BudgetReachedError, match=r" in 2026-02\. "):
        february.reserve(PAGE)
    february.settle()
    with pytest.raises(BudgetReachedError, match=r" in 2026-02\. "):  # its own page is in January
        Count(store, "2026-01-31T23:59:30").reserve(PAGE)


def test_another_try_of_a_request_does_not_read_the_store(
    store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Count(store)
    count.reserve(PAGE)
    monkeypatch.setattr(store, "list", None)
    count.reserve(PAGE)


def test_a_response_that_comes_in_the_next_month_counts_in_both(store: Folder) -> None:
    count = Count(store, "2026-01-31T23:50:00")
    count.reserve(PAGE)
    count.clock.passed += 900
    charge = count.charge({}, PAGE)
    assert count.spent == {"2026-01": PAGE, "2026-02": PAGE}
    count.reconcile(charge, PAGE - 100)  # fewer rows came
    assert count.spent == {"2026-01": PAGE - 100, "2026-02": PAGE - 100}


def test_without_a_limit_only_what_no_page_counts_is_written(store: Folder) -> None:
    count = Count(store, limit=None)
    first = count.file  # by which other runs find the stream
    count.reserve(PAGE)
    assert count.file == first
    count.charge_in_full({}, 1)  # the response was lost
    lost = count.file
    assert lost != first
    count.buy(PAGE)
    count.reserve(PAGE)
    assert count.file == lost
    assert Count(store, limit=None).spent == {"2026-01": 1 + PAGE}


@pytest.mark.parametrize("is_restored", [True, False])
def test_a_restored_archive_counts_what_it_lacks(store: Folder, *, is_restored: bool) -> None:
    """And what is bought after that, though the file names a page that the archive lacks."""
    first = Count(store)
    first.buy(100)
    first.buy(200)
    first.settle()
    if is_restored:
        store.remove(layout.page_name(first.own.key.name, 2))
    for more in (300, 400):  # the run is killed after each page
        Count(store, limit=None).buy(more)
    assert Count(store).spent == {"2026-01": 1_000}


def test_a_new_month_begins_by_the_clock_of_the_api(tap: Tap) -> None:
    run = tap.run()
    old, now = month_of(tap), datetime.now(UTC)
    new = now.replace(day=1, hour=0, minute=0) + timedelta(days=monthrange(now.year, now.month)[1])
    pass_time(tap, new - timedelta(minutes=10) - now)
    tap.oddities["TEST_CLOCK"] = str(tap.sandbox.clock_offset + 3_600)
    run = tap.run(state=run.state)
    _reached(run)
    pass_time(tap, timedelta(minutes=11))
    run = tap.succeed(state=run.state)
    assert len(run.ids) == 20
    assert spent(tap) == {old: 2 * PAGE, month_of(tap): 20 * 50}
    assert old != month_of(tap)


# The file


@pytest.mark.parametrize("stream", ["career_sites", "jobs"])
def test_a_damaged_count_ends_a_run_with_a_limit_until_it_is_removed(tap: Tap, stream: str) -> None:
    """Even that of another stream, which shares the limit."""
    tap.run()
    (file,) = tap.folder.glob("archive/v4/pending/*/*.json")
    file.write_bytes(b"")
    other = tap_of(tap.sandbox, tap.folder, stream)
    other.settings |= {"max_credits_per_month": 2 * PAGE + 29, "jobs_batch_size": 10}
    run = other.fail(code="archive-damaged")
    assert f" v4/pending/{file.parent.name}/{file.name}" in run.complaint
    file.unlink()
    _reached(other.run())  # the last page has the count, too
    assert tap.sandbox.credits_billed == 2 * PAGE


def test_a_file_that_cannot_be_written_ends_the_run_before_a_request(tap: Tap) -> None:
    tap.run("--test")
    (file,) = tap.folder.glob("archive/v4/pending/*/*.json")
    file.unlink()
    file.mkdir()
    tap.fail(code="archive-unusable")
    assert tap.sandbox.rows_billed == 1


def test_it_needs_the_archive_and_a_page(tap: Tap) -> None:
    assert "'max_credits_per_month'" in tap.refuse(archive=False, code="invalid-setting")
    line = tap.fail(max_credits_per_month=PAGE - 1, code="limit-too-low").complaint
    assert "max_credits_per_month is 2,499" in line
    assert tap.sandbox.rows_billed == 0
    _reached(tap.run(max_credits_per_month=PAGE))
    assert tap.sandbox.credits_billed == PAGE
