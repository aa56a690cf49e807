"""The command `tap-jobo-archive`: shows, exports, and maintains the archive."""

import errno
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import click
from msgspec.structs import replace

from tap_jobo.api.pages import PageParser
from tap_jobo.archive import open_store
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.files import read_pending
from tap_jobo.archive.key import ArchiveKey, all_keys, keys_named
from tap_jobo.archive.store import MissingError, Store
from tap_jobo.clock import Clock, format_timestamp, parse_timestamp, to_minute
from tap_jobo.errors import ArchiveError, ConfigError, FormatError
from tap_jobo.model import ALL, DroppedPage, Entry, Filters, Order, State
from tap_jobo.records.values import ERASED, parse_uuid
from tap_jobo.settings.reading import read_environment, read_object
from tap_jobo.settings.setting import config_schema
from tap_jobo.streams import SETTINGS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import describe, describe_settings
from tap_jobo.sync.fold import Page, advance
from tap_jobo.sync.log import ArchiveLog
from tap_jobo.sync.maintenance import (
    Problems,
    comparable_id,
    describe_archive,
    describe_gap,
    describe_order,
    header_of_dropped,
    log_of,
    note_of_dropped,
    time_of_order,
    without_rows,
)
from tap_jobo.sync.state import as_raw
from tap_jobo.sync.wanted import Wanted
from tap_jobo.wording import dollars, one_line, plural


@click.group(name="tap-jobo-archive")
@click.option(
    "--archive-dir",
    envvar="TAP_JOBO_ARCHIVE_DIR",
    help="Folder or URL of the archive. Default: the variable TAP_JOBO_ARCHIVE_DIR. Without it, "
    "archive/tap-jobo in a Meltano project, or tap-jobo in the user's state folder.",
)
@click.pass_context
def main(context: click.Context, archive_dir: str | None) -> None:
    """Show, export, and maintain the archive: every page that was bought.

    STREAM is the name of a stream. If the archive has it for several accounts or addresses, it is
    the name of its folder, which `list` shows.
    """
    context.obj = archive_dir


# Commands that only read


@main.command(name="list")
@click.pass_obj
def list_(archive_dir: str | None) -> None:
    """List the streams, what they have cost, and what is damaged or missing.

    This reads every page. For a backup, give its --archive-dir.
    """
    problems = Problems()
    with _opened(archive_dir) as (store, keys):
        for key in keys:
            archive = StreamArchive(store, key)
            pending = problems.note(partial(read_pending, store, key.name))
            kind = f"{pending.api_key} key, " if pending and pending.api_key else ""
            _echo(f"{key.name} ({kind}{pending.address})" if pending else key.name)
            for line in describe_archive(archive, problems):
                _echo(f"  {line}")
            for month, credits_ in sorted(archive.spent_so_far(pending).items()):
                _echo(f"  {month}: {dollars(credits_)} billed")
    if problems:
        raise click.ClickException("\n".join(problems))


@main.command()
@click.argument("streams", nargs=-1, required=True, metavar="STREAM...")
@click.pass_obj
def state(archive_dir: str | None, streams: Sequence[str]) -> None:
    """Write the state of whoever bought the last pages.

    Use it if the state is lost, and the warehouse has all rows of these archives. As a command of a
    Meltano plugin, it writes the form that `meltano state merge` reads.
    """
    with _opened(archive_dir) as (store, _):
        archives = [StreamArchive(store, _key_of(store, stream)) for stream in streams]
        if len({each.key.stream for each in archives}) < len(archives):
            raise click.UsageError("Name each stream once: a state has one place for it.")
        bookmarks = {each.key.stream: _last_state(each) for each in archives}
    content = {"bookmarks": bookmarks}
    is_meltano = "MELTANO_EXTRACTOR_NAME" in os.environ
    click.echo(json.dumps({"singer_state": content} if is_meltano else content))


def _last_state(archive: StreamArchive) -> dict[str, Any]:
    header = archive.header(archive.head)
    if not archive.head:
        stream = archive.key.stream
        raise click.ClickException(
            f"The archive has no page of {stream}. The next run buys everything."
        )
    if header is None:
        raise archive.damaged(archive.head, "is damaged")
    log = log_of(archive)
    position = advance(header.buyer, log.page(archive.head), log.rules)
    state = State(
        owner=archive.key.owner,
        offset=archive.head,
        entry=header.id,
        time=header.time,
        position=position,
        warehouse=header.sync.lookback.warehouse if header.sync else "",
    )
    until = position.reads[0].until if position.reads else None
    return as_raw(state, archive.spec, until)


@main.command()
@click.argument("streams", nargs=-1, metavar="[STREAM]...")
@click.option("--page", type=click.IntRange(min=1), help="Only this page of one stream.")
@click.pass_obj
def export(archive_dir: str | None, streams: Sequence[str], page: int | None) -> None:
    """Write raw rows to standard output as JSON Lines.

    Each version of a row has its page, its number there, and the time at which it came.
    """
    if page and len(streams) != 1:
        raise click.UsageError("Name one stream with --page.")
    problems: list[str] = []
    with _opened(archive_dir) as (store, keys):
        for key in [_key_of(store, stream) for stream in streams] or keys:
            archive = StreamArchive(store, key)
            if page:
                _require_page(archive, page, "exported")
            problems += _export(archive, [page] if page else archive.numbers)
    if problems:
        raise click.ClickException(f"{'; '.join(problems)}. Everything else is exported.")


def _export(archive: StreamArchive, numbers: Sequence[int]) -> Iterator[str]:
    stream = archive.key.stream
    parser = PageParser(archive.spec)
    for number in numbers:
        try:
            entry = archive.read(number)
        except FormatError:
            yield f"Page {number} of {stream} can't be read"
            continue
        receipt = entry.header.receipt
        where = {"stream": stream, "page": number, "received_at": receipt and receipt.received_at}
        rows = parser.read_items(entry.body) if entry.body else []
        for row_number, row in enumerate(rows, 1):
            if row != ERASED:
                click.echo(json.dumps({**where, "row_number": row_number, "row": row}))


# Commands that write: they take the lock of the stream


@main.command()
@click.argument("stream")
@click.argument("page", type=click.IntRange(min=1))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def drop(archive_dir: str | None, stream: str, page: int, *, yes: bool) -> None:
    """Replace a page that can't be read with an empty page.

    A run that lacks the last page of a stream buys it again. The rows of any other page stay
    missing until `restart` buys them again. So it asks before it drops a page that can be read.
    """
    with _locked(archive_dir, stream) as archive:
        _drop(archive, page, yes=yes)


def _drop(archive: StreamArchive, number: int, *, yes: bool) -> None:
    _require_page(archive, number, "dropped")
    stream, header = archive.key.stream, archive.header(number)
    if header and header.dropped:
        archive.rewrite(Entry(number, header, b""))  # in case it is damaged
        _echo(f"Page {number} of {stream} was dropped before.")
        return
    log = log_of(archive)
    page = _known_page(log, number)
    log.note(number, page.rows, page.cursor)  # for the pages after it
    note = note_of_dropped(log, number, page)
    if page.rows and _can_be_read(archive, number) and not yes:
        cost = f" ({dollars(header.cost(page.rows))})" if header else ""
        rows = f"{plural(page.rows, 'row')}{cost}"
        _confirm(f"Page {number} of {stream} can be read. This drops its {rows}.")
    now = format_timestamp(Clock().now())
    new = header_of_dropped(log, number, page, now)
    if note:  # first: if the page stays as it is, the note only says too much
        archive.save(replace(archive.file, dropped=(*archive.file.dropped, note)))
    archive.rewrite(Entry(number, replace(new, dropped="behind" if note else "head"), b""))
    then = _after_drop(archive, page, note)
    _echo(f"Dropped page {number} of {stream}. {then}")


def _after_drop(archive: StreamArchive, page: Page, note: DroppedPage | None) -> str:
    if note is None:
        chosen = describe(page.sync.filters) if page.sync else ""
        return (
            f"Next, run a pipeline{f' with {chosen}' if chosen else ''} that lacks its rows: it "
            f"buys them, or its sync again ({archive.describe_price()}). If another one goes on "
            "first, they may be missing."
        )
    with suppress(FormatError):  # of the head
        position = log_of(archive).position
        if gap := describe_gap(archive, position):
            return f"Now, {gap}."
        if position.reads:
            return "A later sync has read its rows again."
    return f"Its rows are missing until you run {archive.restart_since(note.since)}."


def _known_page(log: ArchiveLog, number: int) -> Page:
    header = log.archive.header(number)
    try:
        return log.page(number)
    except FormatError:  # at the head
        sync, page = (header.sync, header.page) if header else (None, 1)
        return Page(sync=sync, page=page, rows=0, cursor=None)


def _can_be_read(archive: StreamArchive, number: int) -> bool:
    with suppress(FormatError):
        return bool(archive.read(number))
    return False


@main.command()
@click.argument("stream")
@click.option("--since", metavar="DATE", help="Buy only what changed since an ISO 8601 date.")
@click.option(
    "--sync",
    "over",
    is_flag=False,
    flag_value="",
    metavar="[ID]",
    help="Begin a sync in progress over: the newest one, or the one with this id.",
)
@click.option("--config", "files", multiple=True, metavar="FILE", help="Settings of the pipeline.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def restart(  # noqa: PLR0913 - its options
    archive_dir: str | None,
    stream: str,
    since: str | None,
    over: str | None,
    files: Sequence[str],
    *,
    yes: bool,
) -> None:
    """Let the next run buy a stream again.

    That is everything, with --since what changed since a date, or with --sync only the rows of a
    sync in progress. It shows the price, and asks first. The archive keeps what it has.
    The order is for the pipelines whose filters and start_date are those of the settings, which
    --config and the environment have. Without settings, they are those of the last sync.
    """
    if since and over is not None:
        raise click.UsageError("Give --since or --sync, not both: --sync keeps its own window.")
    with _locked(archive_dir, stream) as archive:
        _restart(archive, files, _timestamp(since), over, yes=yes)


def _restart(
    archive: StreamArchive,
    files: Sequence[str],
    since: str | None,
    over: str | None,
    *,
    yes: bool,
) -> None:
    spec, log, stream = archive.spec, log_of(archive), archive.key.stream
    filters, start = _whose(archive, log, files, over)
    if over == "":
        going = [each.sync for each in log.position.progress if each.sync.filters == filters]
        if not going:
            raise click.ClickException(f"No sync of {stream} is in progress. Nothing was changed.")
        over = max(going, key=lambda sync: sync.started).id
    last = archive.file.order
    order = Order(
        time=time_of_order(format_timestamp(Clock().now()), last, log.position),
        filters=filters,
        start=start,
        since=since,
        over=over,
    )
    if not (archive.head or over):  # a state may have a sync in progress that no archive has
        raise click.ClickException(
            f"The archive of {stream} is empty. Nothing was changed. The next run without a state "
            "buys everything anyway."
        )
    what = f"{describe_order(order, spec)} ({archive.describe_price()})."
    if last and last.time > log.position.order and last.over is None:
        what += f" It replaces an order of {to_minute(last.time)} that was not begun."
    if not yes:
        _confirm(f"This {what}")
    archive.save(replace(archive.file, order=order))
    _echo(f"The next run {what}")
    if over is None:
        _echo(f"That is the next run of a pipeline with {describe_settings(filters, start)}.")


def _whose(
    archive: StreamArchive, log: ArchiveLog, files: Sequence[str], over: str | None
) -> tuple[Filters, str]:
    """Return the filters and the start date of the pipelines that carry out an order.

    They are those of the sync that begins over or of the settings, else of the last sync.
    """
    progress = log.position.of(over or None)
    if progress:
        return progress.sync.filters, progress.sync.start
    if (given := _settings(archive.spec, files)) is not None:
        return given.filters, given.start
    last = archive.last_header
    if last is None or last.sync is None:
        return {}, ALL
    filters, covers = last.sync.filters, log.rules.covers
    starts = [read.start for read in last.buyer.reads if covers(read.filters, filters)]
    return filters, min([*starts, last.sync.start])


def _timestamp(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return format_timestamp(parse_timestamp(text))
    except ValueError:
        raise click.UsageError("--since must be an ISO 8601 date, such as 2026-01-31.") from None


def _settings(spec: FeedSpec, files: Sequence[str]) -> Wanted | None:
    """Return what the settings ask of a feed, None if there are none."""
    try:
        given = read_environment(config_schema(SETTINGS), os.environ)
        for file in files:
            given |= read_object(file, "--config")
    except ConfigError as error:
        raise click.ClickException(f"{error}") from None
    names = {"start_date", *(each.name for each in spec.filters)}
    if not (files or os.environ.get("MELTANO_EXTRACTOR_NAME") or names & given.keys()):
        return None
    defaults = {each.name: each.default for each in SETTINGS if each.default is not None}
    now = format_timestamp(Clock().now())
    return Wanted.of(spec, {**defaults, **given}, now)


@main.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def erase(archive_dir: str | None, ids: Sequence[str]) -> None:
    """Remove rows from every page of the archive, by their ids.

    Pages and the other rows keep their numbers, and pages their price. If Jobo sends a row again,
    it returns.
    """
    with _opened(archive_dir) as (store, keys):
        for key in keys:
            with store.lock(key.name, key.stream):
                _erase(StreamArchive(store, key), {comparable_id(each) for each in ids})
    _echo(
        "If Jobo sends a row again, it returns. Copies may be in versioned buckets, in backups, in "
        "other archives, and in warehouses."
    )


def _erase(archive: StreamArchive, ids: Collection[str]) -> None:
    pages, unread = 0, []
    for number in archive.numbers:
        try:
            entry = archive.read(number)
            erased = without_rows(entry, archive.spec, ids)
        except (FormatError, ValueError):
            unread.append(str(number))
            continue
        if erased:
            archive.rewrite(erased)
            pages += 1
    done = f"erased from {plural(pages, 'page')}"
    if not pages:
        done = "no row has this id" if len(ids) == 1 else "no row has one of these ids"
    _echo(f"{archive.key.name}: {done}.")
    if pages:
        _echo_delete(archive, ids)
    if unread:
        _echo(f"{archive.key.name}: not searched, because they can't be read: {', '.join(unread)}")


def _echo_delete(archive: StreamArchive, ids: Collection[str]) -> None:
    """Print what removes rows from a warehouse, which has only those whose id is a UUID."""
    if known := sorted(id_ for id_ in map(parse_uuid, ids) if id_):
        quoted = ", ".join(f"'{id_}'" for id_ in known)
        sql = f"DELETE FROM {archive.key.stream} WHERE id IN ({quoted})"  # noqa: S608 - UUIDs
        _echo(f"  In each warehouse: {sql};")


# What the commands share


def _key_of(store: Store, stream: str) -> ArchiveKey:
    found = keys_named(store, stream)
    if not found:
        raise click.ClickException(f"The archive has no stream {one_line(stream)}.")
    if len(found) > 1:
        raise click.ClickException(
            f"The archive has {stream} of several addresses or API keys. Name one of them: "
            f"{', '.join(key.name for key in found)}."
        )
    return found[0]


def _require_page(archive: StreamArchive, page: int, done: str) -> None:
    """Raise `ClickException` if the archive lacks a page; `done` is for the message."""
    if page not in archive.numbers:
        raise click.ClickException(
            f"The archive has no page {page} of {archive.key.stream}. Nothing was {done}."
        )


def _confirm(what: str) -> None:
    if not os.isatty(0):  # nor if it is closed
        raise click.ClickException(f"Nothing was changed. {what} To confirm, add --yes.")
    click.confirm(f"{what} Go on?", abort=True)


def _echo(text: str) -> None:
    click.echo(one_line(text))


@contextmanager
def _opened(archive_dir: str | None) -> Iterator[tuple[Store, list[ArchiveKey]]]:
    try:
        store = open_store(archive_dir, Clock())
        keys = all_keys(store)
        if not keys:
            raise click.ClickException(
                f"There is no archive in {store.location}, or it is empty. Name its folder with "
                "--archive-dir."
            )
        yield store, keys
    except (ArchiveError, FormatError) as error:
        raise click.ClickException(f"{error}") from None
    except MissingError as error:
        why = f"The file {error} in the archive {store.location} is missing. Run the command again."
        raise click.ClickException(one_line(why)) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader has seen enough
            raise
        # What is buffered would fail again when the interpreter flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.ClickException(
            f"Standard output cannot be written ({error.strerror}): its disk may be full."
        ) from None


@contextmanager
def _locked(archive_dir: str | None, stream: str) -> Iterator[StreamArchive]:
    with _opened(archive_dir) as (store, _):
        key = _key_of(store, stream)
        with store.lock(key.name, key.stream):
            yield StreamArchive(store, key)


if __name__ == "__main__":
    main()
