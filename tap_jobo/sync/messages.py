"""What the user is told about a stream: what a run does, and what went wrong."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.store import StoreError
from tap_jobo.clock import to_minute
from tap_jobo.errors import (
    ApiError,
    EndlessFeedError,
    FormatError,
    PageCutOffError,
    RejectedError,
    StateError,
)
from tap_jobo.model import Entry, EntryHeader, Position, Progress
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.load import Contents, DroppedPages
from tap_jobo.sync.plan import Request, misses_rows
from tap_jobo.sync.questions import (
    Standing,
    ask,
    price_of_everything,
    start_of_changes,
    what_changed,
    what_is_given_up,
    what_resync_buys,
    what_stays_missing,
)
from tap_jobo.sync.repair import since_to_begin_over
from tap_jobo.sync.settings import SyncSettings, starts_by
from tap_jobo.sync.start import Question
from tap_jobo.sync.watch import MAX_REPEATED
from tap_jobo.way_out import begin_anew, select_only, without_a_state
from tap_jobo.wording import dollars, plural, question

_LET_ONE_RUN_FINISH: Final = (
    "A cursor may expire between runs, so let one run finish the sync, without a limit that ends "
    "it earlier."
)


def _so_far(progress: Progress, spent: float) -> str:
    """Return what a sync that starts over buys again."""
    return f"its {plural(progress.rows, 'row')} so far are billed again ({dollars(spent)})"


@dataclass(kw_only=True)
class Messages:
    """The texts of one stream.

    Attributes:
        spec: The feed.
        logger: Where they go, unless they end the stream.
        location: The folder or URL of the archive, empty if it is off.
        command: Returns the command line of `tap-jobo-archive` in backticks.
        ended: The feeds whose rows this one reports as gone: those in the state, or all of them if
            it has none.
        is_ended_elsewhere: Whether the state has none of them, so that another pipeline reads them.
    """

    spec: FeedSpec
    logger: logging.Logger
    location: str
    command: Callable[..., str]
    ended: Sequence[FeedSpec]
    is_ended_elsewhere: bool
    _is_gap_told: bool = False

    @property
    def name(self) -> str:
        """The stream."""
        return self.spec.name

    @property
    def read_again(self) -> str:
        """What to run to buy all rows again."""
        return self._read_again(self.spec)

    def _read_again(self, spec: FeedSpec) -> str:
        if not self.location:
            return f"{without_a_state()}, which buys every selected stream again"
        return self.command("restart", spec)

    @property
    def find_ended(self) -> str:
        """How to find the rows that are gone, but no longer reported as gone."""
        price = self.ended[0].price_per_thousand
        delete = "delete the rows that the run does not return"
        if self.is_ended_elsewhere:
            names = " or ".join(each.name for each in self.ended)
            return (
                f"To find them, buy all of {names} again ({price}) in the pipeline that reads it: "
                "`tap-jobo-archive --archive-dir ITS_ARCHIVE_DIR restart STREAM` or, if its "
                "archive is off, a run without a state, which buys all of its streams again. Then "
                f"run, and {delete}."
            )
        if not self.location:
            names = " and ".join(each.name for each in self.ended)
            return f"To find them, {self.read_again} ({price} for {names}), and {delete}."
        ways = [
            f"all of {each.name} again ({each.price_per_thousand}): {self._read_again(each)}"
            for each in self.ended
        ]
        return f"To find them, buy {', and '.join(ways)}. Then run, and {delete}."

    def question(self, asked: Question, standing: Standing) -> StateError:
        """Return the error that asks the user to decide."""
        return ask(asked, standing, self.command)

    def in_future(
        self, instant: str, now: str, standing: Standing, *, can_correct: bool
    ) -> StateError:
        """Return the error for a position in the future.

        Args:
            instant: The bookmark, or the start of a sync in progress.
            now: The API's time.
            standing: Where the stream stands.
            can_correct: Whether the state alone has it; otherwise, so has the archive.
        """
        price, archive = self.spec.price_per_thousand, standing.archive
        everything = f"everything of {self.name} ({price_of_everything(standing)})"
        correct = (
            "set replication_key_value (or started_at of 'sync') in the state to a time in the "
            f"past: the run buys what changed since ({price})"
        )
        anew = self._begin_anew()
        if standing.view and standing.view.is_empty:
            anew = f"{without_a_state()}: buys {everything}"
        ways = [("correct the state", correct), ("or leave it out", anew)]
        if archive and not can_correct:
            move = f"move {archive.folder} out of the archive"
            ways = [
                (f"wait until {instant}", "and run again"),
                ("or begin another archive", f"{move}: the run then buys {everything}"),
            ]
            if standing.state:
                then = f"{move}, and {correct}. This archive can then load no other warehouse"
                ways[1] = ("or correct the state", then)
        return StateError(
            question(
                f"{self.name} stopped, nothing billed: its bookmark {instant} is in the future. "
                f"The API's clock shows {now}.",
                "invalid-state",
                *ways,
            )
        )

    # Pages that cannot be used

    def unreadable(
        self,
        error: Exception,
        entry: Entry,
        archive: StreamArchive | None,
        refusal: StoreError | None = None,
        *,
        is_new: bool = False,
    ) -> FormatError:
        """Return the error for a page at the head that cannot be parsed, or fails a check.

        Args:
            error: What is wrong with it.
            entry: The page.
            archive: The archive, None if it is off.
            refusal: Why it is not in the archive, if the archive can't be written.
            is_new: Whether this run has bought it, and no earlier one.
        """
        if archive is None or not entry.number:
            lost = "the archive is off"
            if archive and refusal:
                lost = f"the archive {archive.store.location} can't be written ({refusal.why})"
            return self._unreadable_and_lost(error, entry.header, lost)
        number, cost = str(entry.number), entry.header.credits
        billed = f"It was billed ({dollars(cost)})" if cost else "It was not billed"
        if cost and not is_new:
            billed = f"An earlier run was billed for it ({dollars(cost)}), and this run for nothing"
        again = f"billed again ({dollars(cost)})" if cost else "requested again, free"
        if cost and entry.header.page > 1:
            again += ", or the whole sync if its cursor has expired"
        what = f"{error}. {billed}. It stays in the archive as page {number} of {self.name}."
        drop = f"{self.command('drop', self.spec, number)}: it is then {again}"
        ways = [
            ("if a newer version reads it", "upgrade tap-jobo, and run again: loads it, free"),
            ("if Jobo sent it wrong", f"contact Jobo. Once this is fixed, {drop}"),
        ]
        return FormatError(question(what, "format-changed", *ways))

    def _unreadable_and_lost(self, error: Exception, header: EntryHeader, why: str) -> FormatError:
        cost = header.credits
        then = f"It was billed ({dollars(cost)}). The next run is billed for it again"
        if not cost:
            then = "It was not billed. The next run requests it again"
        what = f"{error}. The page of {self.name} is not kept, because {why}. {then}."
        return FormatError(f"{what} Pause the schedule, and upgrade tap-jobo. [format-changed]")

    def not_written(self, header: EntryHeader, archive: StreamArchive, error: StoreError) -> str:
        """Return the error for a page that the store refused."""
        again = "is billed for that page again"
        if not header.credits:
            again = "requests that page again, free"
        return (
            f"The archive {archive.store.location} can't be written ({error.why}). The page in "
            f"flight ({dollars(header.credits)}) was loaded, and the run ends. Make room, or "
            f"repair permissions: until then, each run {again}. [archive-unusable]"
        )

    def cut_off(self, error: PageCutOffError, progress: Progress, spent: float) -> ApiError:
        """Return the error for a page whose response was cut off, in the middle of a sync."""
        anew = self._begin_over(progress, _so_far(progress, spent))
        ways = [("run again", f"requests the page again ({dollars(error.credits)})")]
        if error.setting:
            ways.append(("or restart with smaller pages", f"lower {error.setting}, and {anew}"))
        return ApiError(question(error.why, "response-cut-off", *ways))

    def endless(
        self, error: EndlessFeedError, progress: Progress, spent: float
    ) -> EndlessFeedError:
        """Return the error for a sync without progress, whose rows so far have cost `spent`."""
        anew = self._begin_over(progress, f"buys its rows again ({self.spec.describe_price()})")
        more = "otherwise, each run requests such pages again, free"
        if spent and not error.are_empty:
            page = dollars(progress.sync.batch_size * spent / progress.rows)
            more = (
                f"otherwise, each run buys at least {MAX_REPEATED} more pages (up to {page} each)"
            )
        return EndlessFeedError(
            question(
                f"{error}, so the sync of {self.name} stops. Its pages are loaded, and the summary "
                "shows what was billed.",
                "endless-feed",
                ("pause the schedule", more),
                ("contact Jobo", "and run again once this is fixed: the sync resumes"),
                ("or start the sync over", anew),
            )
        )

    def skipped(self, entry: Entry, rows: int, archive: StreamArchive | None) -> tuple[str, str]:
        """Return which page a skipped row is in, and what has become of the row.

        Args:
            entry: The page.
            rows: The number of its rows.
            archive: The archive, None if it is off.
        """
        cost = entry.header.cost(rows) / rows
        billed = f"It was billed ({dollars(cost)})" if cost else "It was not billed"
        if entry.number:
            number = str(entry.number)
            export = self.command("export", self.spec, "--page", number)
            fate = f"{billed}, and stays in the archive. To see it: {export}."
            return f"page {number} of {self.name}", fate
        why = "can't be written" if archive else "is off"
        return f"a page of {self.name}", f"{billed}, and is not kept, because the archive {why}."

    # Rejected cursors

    def rejected_twice(
        self, rejection: RejectedError, progress: Progress, spent: float
    ) -> ApiError:
        """Return the error for a sync that has already started over once."""
        ends = (
            f"{rejection.why}. This request was not billed. The sync of {self.name} has already "
            "started over once, so it stops."
        )
        if self.spec.is_free:
            return ApiError(f"{ends} Run again later: the next run starts over. [cursor-rejected]")
        again = _so_far(progress, spent)
        return ApiError(
            question(
                f"{ends} {_LET_ONE_RUN_FINISH}",
                "cursor-rejected",
                ("start the sync over", self._begin_over(progress, again)),
            )
        )

    def _begin_over(self, progress: Progress, again: str) -> str:
        """Return how to begin a sync in progress over.

        `again` says what is billed again. Without an archive, that is all that is selected.
        """
        if not self.location:
            return self._begin_anew()
        since = since_to_begin_over(progress.sync)
        arguments = ["--since", since] if since else []
        return f"{self.command('restart', self.spec, *arguments)}: {again}"

    def _begin_anew(self) -> str:
        price, has_archive = self.spec.price_per_thousand, bool(self.location)
        price += "" if has_archive else f" for {self.name}"
        return begin_anew(price, has_archive=has_archive)

    def warn_of_restart(self, rejection: RejectedError, progress: Progress, spent: float) -> None:
        """Warn that a sync starts over."""
        bill = f"{_so_far(progress, spent)}. {_LET_ONE_RUN_FINISH}"
        self.logger.warning(
            "%s. This request was not billed. The sync starts over, and %s [cursor-rejected]",
            rejection.why,
            "its rows are free." if self.spec.is_free else bill,
        )

    # What a run does

    def announce_load(self, contents: Contents) -> None:
        """Log what a warehouse gets that has a state, and what that saves."""
        self.logger.info("%s: loading %s.", self.name, contents.as_load)

    def announce_load_of_all(
        self,
        contents: Contents,
        request: Request | None,
        *,
        has_profiles: bool,
    ) -> None:
        """Log what a warehouse without a state gets, and what that saves.

        Args:
            contents: What is loaded.
            request: What is bought after that, None if a question comes first.
            has_profiles: Whether the profiles of the companies are read along.
        """
        then = ""
        if request:
            kinds = {"full": "everything", "added": "the added values", "changes": "changes"}
            what = (
                kinds[request.sync.kind]
                if request.page == 1
                else "the rest of the sync in progress"
            )
            then = f" Then this run asks Jobo for {what}."
        self.logger.info("%s has no state: loading %s.%s", self.name, contents.as_load, then)
        if has_profiles:
            self.logger.info(
                "%s: the profiles of these companies are not in the archive. They are requested "
                "from Jobo, free, which takes hours for 100,000. To leave them out, %s.",
                self.name,
                select_only(self.name),
            )

    def warn_of_state_ahead(self, head: Position, settings: SyncSettings) -> None:
        """Warn that the state has more than the archive, which ends at `head`, and buys again."""
        what = "what the archive lacks"
        if head.bookmark:
            what = f"what changed since {start_of_changes(head, settings)}"
        self.logger.warning(
            "The state of %s is ahead of the archive %s, as after a restored backup, a run with "
            "the archive off, or a page that could not be written. This run buys again %s (%s). "
            "Rows that it loads again from the archive are free. [archive-behind]",
            self.name,
            self.location,
            what,
            self.spec.price_per_thousand,
        )

    def warn_of_adoption(self, standing: Standing, *, begins_count: bool) -> None:
        """Warn that the archive goes on from a state, without what came before.

        `begins_count` says that this run is the first to count for `max_credits_per_month`.
        """
        if standing.view is None or standing.view.is_empty:
            if standing.state and standing.state.position.has_begun:
                lost = "Jobo may no longer list what only it had"
                if not self.spec.is_free:
                    price = self.spec.price_per_thousand
                    lost = f"the pages that only it had are billed again ({price})"
                self.logger.warning(
                    "The archive %s has nothing of %s yet, so it continues from the state. Rows in "
                    "the warehouse are not billed again, but this archive lacks them, so it can't "
                    "load another warehouse%s. If an archive was lost, %s: keep archive_dir on a "
                    "disk that lasts. [archive-empty]",
                    self.location,
                    self.name,
                    ", and max_credits_per_month counts from zero" if begins_count else "",
                    lost,
                )
            return
        self.logger.warning(
            "The archive %s lacks rows that the state of %s says were bought. It continues from "
            "the state, without them. Nothing is billed again, but a new warehouse can't be loaded "
            "from it. To complete it, replace its folder %s with that of a backup, and run once "
            "without a state, which loads the backup, free, and buys what the backup lacks (%s). "
            "Or buy everything again (%s): %s. [archive-adopted]",
            self.location,
            self.name,
            standing.archive.folder if standing.archive else "",
            self.spec.price_per_thousand,
            price_of_everything(standing),
            self.command("restart", self.spec),
        )

    def warn_of_gap(self, more: str, standing: Standing, *, is_bought: bool = False) -> None:
        """Warn, once in a run, of rows that `keep` left unbought.

        `is_bought` says that the run is about to buy them.
        """
        if self._is_gap_told:
            return
        self._is_gap_told = True
        if is_bought:
            self.logger.warning(
                "Rows of %s may be missing until this run completes the sync, because "
                "on_filter_change was 'keep' when the filters changed. [gap]",
                self.name,
            )
            return
        self.logger.warning(
            "Rows of %s may be missing, because on_filter_change was 'keep' when the filters "
            "changed. %sTo buy everything again (%s): %s. [gap]",
            self.name,
            more,
            price_of_everything(standing),
            self.read_again,
        )

    def warn_of_dropped(
        self, dropped: DroppedPages, standing: Standing, *, is_bought: bool
    ) -> None:
        """Warn of dropped pages whose rows no later sync has read.

        `is_bought` says that the run is about to buy them again.
        """
        archive, settings = standing.archive, standing.settings
        if archive is None or not dropped.numbers:
            return
        until = "this run completes the sync"
        if not is_bought or self.spec.longest_lookback:  # which may list less than was dropped
            least = archive.cost_of_everything(settings.filters, settings.start_date)
            until = f"you {archive.how_to_buy(dropped.since, least)}"
        is_one = len(dropped.numbers) == 1
        self.logger.warning(
            "%s of %s %s dropped from the archive. Rows may be missing until %s. [gap]",
            f"{'Page' if is_one else 'Pages'} {', '.join(map(str, dropped.numbers))}",
            self.name,
            "was" if is_one else "were",
            until,
        )

    def report_decision(self, request: Request, standing: Standing) -> None:
        """Log what has led to a new sync, if it is not the usual."""
        sync, before, settings = request.sync, standing.position, standing.settings
        self._report_times(request, before, settings)
        is_resync = settings.on_filter_change == "resync"
        if before.gap and is_resync and sync.kind == "changes" and not sync.gap:
            self.warn_of_gap("'resync' does not buy them. ", standing)
        if request.why == "restart" and self.spec.is_free:  # perhaps in place of a question
            self.logger.info("%s: reading everything that Jobo lists again, free.", self.name)
        elif request.why == "restart":
            what = "everything"
            if sync.since and sync.kind != "full":
                what = f"what changed since {to_minute(sync.since)}"
            self.logger.info("%s: buying %s again, because of `restart`.", self.name, what)
        elif before.has_begun and (change := what_changed(before, settings)):
            self._report_change(request, standing, change)

    def _report_change(self, request: Request, standing: Standing, change: str) -> None:
        sync, before, settings = request.sync, standing.position, standing.settings
        given_up = None if settings.fit(before) else before.progress
        if not (request.why == "answered" or sync.gap or given_up):
            self.logger.info(
                "%s: %s. No row is missing, and rows that no longer match stay in the warehouse.",
                self.name,
                change,
            )
            return
        then = f"buys {what_resync_buys(standing)}"
        if sync.kind == "changes":
            then = "buys only what changed"
            if misses_rows(before, settings):
                then += f": {what_stays_missing(before, settings)}"
        if given_up:
            then += f". A sync in progress is given up: {what_is_given_up(given_up, self.spec)}"
        log = self.logger.info if self.spec.is_free else self.logger.warning
        log(
            "%s: %s. Because on_filter_change is '%s', this run %s. Remove the setting once this "
            "sync is complete, because it applies to every later change, too. [filters-changed]",
            self.name,
            change,
            settings.on_filter_change,
            then,
        )

    def _report_times(self, request: Request, before: Position, settings: SyncSettings) -> None:
        """Report rows that no sync reads: the feed lists them no more, or they are too old."""
        lookback, oldest = self.spec.longest_lookback, request.sync.since
        known = before.bookmark or (before.progress and before.progress.sync.started_at)
        if lookback and oldest and known and known < oldest:
            self.logger.warning(
                "Jobo lists %s of the last %d days only, so those from %s to %s can no longer be "
                "fetched. %s [expired-gap]",
                self.name.replace("_", " "),
                lookback.days,
                known,
                oldest,
                self.find_ended,
            )
        if before.bookmark and not starts_by(settings.start_date, before.bookmark):
            self.logger.info(
                "start_date is later than the bookmark %s: rows updated in between are not read.",
                to_minute(before.bookmark),
            )

    def report_kept(self, request: Request, position: Position, settings: SyncSettings) -> None:
        """Report settings that do not apply to a sync that goes on."""
        sync = request.sync
        usual = {settings.first_since}
        if position.bookmark and starts_by(settings.start_date, position.bookmark):
            usual.add(settings.since_bookmark(position.bookmark))
        kept = []
        if sync.batch_size != settings.batch_size:
            kept.append(f"page size ({sync.batch_size})")
        if not (sync.since in usual or self.spec.longest_lookback is not None):
            is_same = sync.start_date == settings.start_date
            kept.append("lookback_minutes" if is_same else "start_date")
        if kept:
            self.logger.info(
                "%s: the sync in progress keeps its %s. New values apply from the next sync.",
                self.name,
                " and ".join(kept),
            )
