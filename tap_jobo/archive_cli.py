"""The command `tap-jobo-archive`: shows, exports, and maintains the archive."""

import errno
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from logging import getLogger

import click

from tap_jobo.api.pages import PageParser
from tap_jobo.archive import open_store
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.key import ArchiveKey
from tap_jobo.archive.month import Spent, read_spent
from tap_jobo.archive.naming import all_keys, stream_of
from tap_jobo.archive.store import MissingError, Store
from tap_jobo.clock import Clock, format_timestamp, parse_timestamp, to_minute
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.model import ArchiveFile, Filters
from tap_jobo.records.values import ERASED
from tap_jobo.settings.reading import read_environment
from tap_jobo.settings.setting import config_schema
from tap_jobo.streams import SETTINGS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync import repair
from tap_jobo.sync.erase import comparable_id, without_rows
from tap_jobo.sync.inspection import Inspection, Problems, rows_and_cursor, view_of
from tap_jobo.sync.state import State
from tap_jobo.wording import dollars, plural


@click.group(name="tap-jobo-archive")
@click.option(
    "--archive-dir",
    envvar="TAP_JOBO_ARCHIVE_DIR",
    help="Folder or URL of the archive. Default: the variable TAP_JOBO_ARCHIVE_DIR or, where that "
    "is not set, tap-jobo in the user's state folder.",
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
    """List the streams, what they have cost, and what is missing."""
    problems = Problems()
    with _opened(archive_dir) as (store, keys):
        for name in keys:
            spent = problems.note(partial(read_spent, store, name))
            archive = problems.note(partial(_archive, store, name))
            _echo(f"{name}{_describe_owner(spent)}")
            for line in _describe(archive, spent, problems):
                _echo(f"  {line}")
    if problems:
        raise click.ClickException("\n".join(problems))


def _describe_owner(spent: Spent | None) -> str:
    if spent is None:
        return ""
    kind = f"{spent.api_key} key, " if spent.api_key else ""
    return f" ({kind}{spent.address})"


def _describe(
    archive: StreamArchive | None, spent: Spent | None, problems: Problems
) -> Iterator[str]:
    """Yield what a stream's archive has, as far as it can be read, and what it has cost."""
    if archive:
        yield from Inspection(archive, problems).describe()
    for month, credits_ in sorted(spent.credits.items() if spent else ()):
        yield f"{month}: {dollars(credits_)} billed"


@main.command()
@click.argument("streams", nargs=-1, required=True, metavar="STREAM...")
@click.option("--meltano", is_flag=True, help="In the form that `meltano state merge` reads.")
@click.pass_obj
def state(archive_dir: str | None, streams: Sequence[str], *, meltano: bool) -> None:
    """Write the state from which incomplete archives continued.

    A run with it loads all that the archives have, free. Use it if the state is lost, and the
    warehouse has the rows from before.
    """
    with _opened(archive_dir) as (store, keys):
        archives = [_archive(store, _key_of(keys, stream)) for stream in streams]
        if len({each.key.stream for each in archives}) < len(archives):
            raise click.UsageError("Name each stream once: a state has one place for it.")
        bookmarks = {each.key.stream: _origin(each).as_raw(each.spec) for each in archives}
    content = {"bookmarks": bookmarks}
    click.echo(json.dumps({"singer_state": content} if meltano else content))


def _origin(archive: StreamArchive) -> State:
    """Return the state at the beginning of an archive that went on from one."""
    stream = archive.key.stream
    if archive.file is None:
        raise click.ClickException(
            f"The archive has no page of {stream}. The next run buys everything."
        )
    origin = archive.file.origin
    if origin is None:
        raise click.ClickException(
            f"The archive has everything of {stream}. Run without a state: everything is loaded "
            "from it, free."
        )
    return State(archive.file.id, archive.file.first - 1, origin.entry, origin.position)


@main.command()
@click.argument("streams", nargs=-1, metavar="[STREAM]...")
@click.option("--page", type=click.IntRange(min=1), help="Only this page of one stream.")
@click.pass_obj
def export(archive_dir: str | None, streams: Sequence[str], page: int | None) -> None:
    """Write raw rows to standard output as JSON Lines: every version, with the time it came."""
    if page and len(streams) != 1:
        raise click.UsageError("Name one stream with --page.")
    problems: list[str] = []
    with _opened(archive_dir) as (store, keys):
        for name in [_key_of(keys, stream) for stream in streams] or keys:
            archive = _archive(store, name)
            if page:
                _require_page(archive, page, "exported")
            problems += _export(archive, [page] if page else archive.numbers)
    if problems:
        raise click.ClickException(f"{'; '.join(problems)}. Everything else is exported.")


def _export(archive: StreamArchive, numbers: Sequence[int]) -> Iterator[str]:
    """Write the rows of some pages of an archive, and yield what cannot be read."""
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
        rows = parser.parse_items(entry.body).items if entry.body else []
        for row_number, row in enumerate(rows, 1):
            if row != ERASED:
                _write(json.dumps({**where, "row_number": row_number, "row": row}).encode())


# Commands that write: they take the lock of the stream


@main.command()
@click.argument("stream")
@click.argument("page", type=click.IntRange(min=1))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def drop(archive_dir: str | None, stream: str, page: int, *, yes: bool) -> None:
    """Replace a page that can't be read with an empty page.

    The last page of a stream is bought again with the next run. The rows of any other page stay
    missing until `restart` buys them again. So it asks before it drops a page that can be read.
    """
    with _opened(archive_dir) as (store, keys):
        archive = _archive(store, _key_of(keys, stream))
        with archive.lock():
            archive = archive.again(0)
            _drop(archive, page, yes=yes)


def _drop(archive: StreamArchive, page: int, *, yes: bool) -> None:
    file = _require_page(archive, page, "dropped")
    before = archive.header(page)
    if before and before.is_dropped:
        _echo(f"Page {page} of {archive.key.stream} was dropped before. Nothing was changed.")
        return
    header = repair.dropped(
        page,
        file,
        own=before,
        before=_read_entry(archive, page - 1),
        after=archive.header(page + 1),
    )
    if header is None:
        raise click.ClickException(
            f"Page {page - 1} of {archive.key.stream} can't be read either. Drop it first. Nothing "
            "was dropped."
        )
    own = _read_entry(archive, page)
    if own and own.rows and not yes:
        rows = f"{plural(own.rows, 'row')} ({dollars(own.header.cost(own.rows))})"
        _confirm(f"Page {page} of {archive.key.stream} can be read. This drops its {rows}.")
    archive.drop(page, header)
    price = f" ({dollars(header.credits)})" if header.credits else ""
    then = f"The next run buys it again{price}."
    if page != archive.head:
        then = (
            f"Its rows are missing until you run {archive.restart_since(archive.since_of(page))}."
        )
    _echo(f"Dropped page {page} of {archive.key.stream}. {then}")


def _read_entry(archive: StreamArchive, page: int) -> repair.ReadEntry | None:
    """Return an entry, None if it cannot be read, or is no part of the archive."""
    if page not in archive.numbers:
        return None
    with suppress(FormatError):
        entry = archive.read(page)
        return repair.ReadEntry(entry.header, *rows_and_cursor(archive, entry))
    return None


@main.command()
@click.argument("stream")
@click.option("--since", metavar="DATE", help="Buy only what changed since an ISO 8601 date.")
@click.option("--sync", "is_over", is_flag=True, help="Begin the sync in progress over.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def restart(
    archive_dir: str | None, stream: str, since: str | None, *, is_over: bool, yes: bool
) -> None:
    """Let the next run buy a stream again: everything, or what changed since a date.

    With --sync, it reads only the rows of the sync in progress again. The archive keeps what it
    has.
    """
    if since and is_over:
        raise click.UsageError("Give --since or --sync, not both: --sync keeps its own window.")
    with _opened(archive_dir) as (store, keys):
        archive = _archive(store, _key_of(keys, stream))
        with archive.lock():
            archive = archive.again(0)
            if is_over:
                _restart(archive, _start_of_sync(archive), "the sync in progress of", yes=yes)
            elif start := _timestamp(since):
                _restart(archive, start, f"what changed since {to_minute(start)} in", yes=yes)
            else:
                _restart(archive, None, "all of", yes=yes)


def _start_of_sync(archive: StreamArchive) -> str | None:
    """Return the `since` that begins the sync in progress over, None if it reads all rows."""
    progress = view_of(archive).position.progress
    if progress is None:
        raise click.ClickException(
            f"No sync of {archive.key.stream} is in progress. Nothing was changed."
        )
    return repair.since_to_begin_over(progress.sync)


def _restart(archive: StreamArchive, since: str | None, rows: str, *, yes: bool) -> None:
    stream, spec = archive.key.stream, archive.spec
    view = view_of(archive)
    file = repair.restart(view, since, _filters_of_settings(spec))
    if file is None:
        why = "has no complete sync yet, a full one in progress, or other filters than the settings"
        then = "Complete that first, or restart without --since"
        if view.is_empty:
            why, then = "is empty", "The next run without a state buys everything anyway"
        raise click.ClickException(f"The archive of {stream} {why}. Nothing was changed. {then}.")
    price = spec.describe_price(None if since else archive.cost_of_everything())
    verb = "reads" if spec.is_free else "buys"
    what = f"{verb} {rows} {stream} again ({price})."
    if not (since or spec.is_free):
        what += " A new warehouse then loads only from that sync on."
    if not yes:
        _confirm(f"This {what}")
    archive.save(file)
    _echo(f"The next run {what}")


def _timestamp(text: str | None) -> str | None:
    if text is None:
        return None
    with suppress(ValueError):
        instant = parse_timestamp(text)
        if instant <= Clock().now():
            return format_timestamp(instant)
    raise click.UsageError("--since must be an ISO 8601 date in the past, such as 2026-01-31.")


def _filters_of_settings(spec: FeedSpec) -> Filters | None:
    """Return the filters of the settings, None if the environment does not have them."""
    given = read_environment(config_schema(SETTINGS), os.environ)
    names = {each.name for each in spec.filters}
    if not (os.environ.get("MELTANO_EXTRACTOR_NAME") or names & given.keys()):
        return None
    return {name: value for name, value in spec.filters_of(given).items() if value is not None}


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="ID...|STREAM")
@click.option("--page", type=click.IntRange(min=1), help="The page of STREAM that has the row.")
@click.option("--row", type=click.IntRange(min=1), help="The number of the row in that page.")
@click.pass_obj
def erase(archive_dir: str | None, names: Sequence[str], page: int | None, row: int | None) -> None:
    """Remove rows from the archive: by their id from every page, or one row by its number.

    Pages and the other rows keep their numbers, and pages their price. Jobo may send a row again:
    it then returns.
    """
    if (page is None) != (row is None) or (page and len(names) > 1):
        raise click.UsageError("Name ids, or one stream with --page and --row.")
    with _opened(archive_dir) as (store, keys):
        if page and row:
            archive = _archive(store, _key_of(keys, names[0]))
            with archive.lock():
                _erase_row(archive.again(0), page, row)
        else:
            for name in keys:
                archive = _archive(store, name)
                with archive.lock():
                    _erase_ids(archive.again(0), {comparable_id(each) for each in names})
    _echo(
        "If Jobo sends a row again, it returns. Copies may be in versioned buckets, in backups, in "
        "other archives, and in warehouses."
    )


def _erase_ids(archive: StreamArchive, ids: Collection[str | None]) -> None:
    pages, unread = 0, []
    for number in archive.numbers:
        try:
            entry = archive.read(number)
            erased = without_rows(entry, archive.spec, lambda _, id_: id_ in ids)
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
    if unread:
        _echo(f"{archive.key.name}: not searched, because they can't be read: {', '.join(unread)}")


def _erase_row(archive: StreamArchive, page: int, row: int) -> None:
    _require_page(archive, page, "erased")
    where, entry = f"page {page} of {archive.key.stream}", archive.read(page)
    try:
        erased = without_rows(entry, archive.spec, lambda number, _: number == row)
    except ValueError:
        raise click.ClickException(
            f"The rows of {where} can't be read. To remove them, drop the page."
        ) from None
    if erased is None:
        raise click.ClickException(f"There is no row {row} in {where}, or it was erased before.")
    archive.rewrite(erased)
    _echo(f"{archive.key.name}: erased row {row} of page {page}.")


# What the commands share


def _archive(store: Store, name: str) -> StreamArchive:
    key = ArchiveKey(stream=stream_of(name), address="", api_key="", account="", name=name)
    return StreamArchive(store, key)


def _key_of(keys: Sequence[str], stream: str) -> str:
    """Return the archive key that a user names."""
    found = [key for key in keys if stream in (key, stream_of(key))]
    if not found:
        raise click.ClickException(f"The archive has no stream {_printable(stream)}.")
    if len(found) > 1:
        raise click.ClickException(
            f"The archive has {stream} of several addresses or API keys. Name one of them: "
            f"{', '.join(found)}."
        )
    return found[0]


def _require_page(archive: StreamArchive, page: int, done: str) -> ArchiveFile:
    """Return the content of `archive.json` if the archive has a page; `done` is for the message."""
    if page not in archive.numbers or archive.file is None:
        raise click.ClickException(
            f"The archive has no page {page} of {archive.key.stream}. Nothing was {done}."
        )
    return archive.file


def _confirm(what: str) -> None:
    """Ask before a command does what a sentence says."""
    if not os.isatty(0):  # nor if it is closed
        raise click.ClickException(f"Nothing was changed. {what} To confirm, add --yes.")
    click.confirm(f"{what} Go on?", abort=True)


def _write(content: bytes) -> None:
    """Write JSON on one line: line breaks can occur only between tokens."""
    line = content.replace(b"\r", b" ").replace(b"\n", b" ")
    click.echo(_printable(line.decode(errors="replace")) if os.isatty(1) else line)


def _echo(text: str) -> None:
    click.echo(_printable(text))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


@contextmanager
def _opened(archive_dir: str | None) -> Iterator[tuple[Store, list[str]]]:
    """Yield the store, and the names of its archive keys."""
    try:
        store = open_store(archive_dir, Clock(), getLogger(__name__))
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
        raise click.ClickException(_printable(why)) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader has seen enough
            raise
        # What is buffered would fail again when the interpreter flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.ClickException(
            f"Standard output cannot be written ({error.strerror}): its disk may be full."
        ) from None


if __name__ == "__main__":
    main()
