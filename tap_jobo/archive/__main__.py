"""The command `tap-jobo-archive`: shows, exports, and drops what the archive holds."""

import errno
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from logging import getLogger

import click

from tap_jobo.archive import layout, open_store
from tap_jobo.archive.contents import ArchivedSync, Contents, Status
from tap_jobo.archive.month import count_killed_runs
from tap_jobo.archive.page import DamagedPageError
from tap_jobo.archive.store import MissingError, Store
from tap_jobo.archive.way_out import archive_command
from tap_jobo.clock import Clock, parse_timestamp
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.wording import dollars, duration, plural


@click.group(name="tap-jobo-archive")
@click.option(
    "--archive-dir",
    envvar="TAP_JOBO_ARCHIVE_DIR",
    help="Folder or URL of the archive. Default: the variable TAP_JOBO_ARCHIVE_DIR or, where that "
    "is not set, tap-jobo in the user's state folder.",
)
@click.pass_context
def main(context: click.Context, archive_dir: str | None) -> None:
    """Show, export, or drop billed pages whose rows have not arrived yet."""
    context.obj = archive_dir


@main.command(name="list")
@click.pass_obj
def list_(archive_dir: str | None) -> None:
    """List the streams, their syncs with their filters, and what is quarantined."""
    with _opened(archive_dir) as (_, contents):
        for key in contents.keys:
            damaged = contents.damaged_files(key)
            is_known = layout.KEY.format(key) not in damaged
            _echo(contents.key(key).description if is_known else key)
            for name in damaged:
                _echo(f"  {name} is damaged or missing")
            for archived in contents.syncs(key).values():
                _echo(_describe_sync(contents, archived))
            if rows := sum(row.split("/")[1] == key for row in contents.rows):
                _echo(f"  {plural(rows, 'quarantined row')}")


def _describe_sync(contents: Contents, archived: ArchivedSync) -> str:
    count, cost = plural(len(archived.pages), "page"), dollars(contents.credits(archived))
    parts = [f"  {archived.sync.id}  {count}", f"worth {cost}"]
    if last := contents.last_used(archived):
        age = datetime.now(UTC) - parse_timestamp(last)
        parts.append(f"{duration(age.total_seconds())} old")
    parts += [f"{name}={value}" for name, value in archived.sync.selected.items()]
    return ", ".join(filter(None, [*parts, archived.status]))


@main.command()
@click.option("--quarantined", is_flag=True, help="The quarantined rows.")
@click.pass_obj
def export(archive_dir: str | None, *, quarantined: bool) -> None:
    """Write what the archive holds to standard output, as JSON Lines: raw pages by default."""
    problems = []
    with _opened(archive_dir) as (store, contents):
        if quarantined:
            for name in sorted(contents.rows):
                _write(store.read(name))
            return
        for archived in contents.all_syncs:
            for number in sorted(archived.pages):
                try:
                    _write(contents.page(archived, number).body)
                except DamagedPageError as error:
                    problems.append(f"{archived.sync.page_id(number)} {error}")
    if problems:
        raise click.ClickException(f"{'; '.join(problems)}. Everything else is exported.")


@main.command()
@click.argument("names", nargs=-1, metavar="[PAGE|SYNC|FOLDER]...")
@click.option("--quarantined", is_flag=True, help="Drop all quarantined rows.")
@click.option("--all", "everything", is_flag=True, help="Drop all syncs and quarantined rows.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def drop(
    archive_dir: str | None, names: Sequence[str], *, quarantined: bool, everything: bool, yes: bool
) -> None:
    """Drop syncs, or pages and those behind them, named as `list` or a message names them.

    They are billed again if their rows have not arrived. All files of a folder are dropped unread.
    """
    if not (names or quarantined or everything):
        raise click.UsageError("Name pages, syncs, or folders, or give --quarantined or --all.")
    with _opened(archive_dir, is_exclusive=True) as (store, contents):
        files = {file for name in names for file in _files_of(contents, name)}
        if quarantined or everything:
            files |= contents.rows
        if everything:
            files |= {file for archived in contents.all_syncs for file in archived.names}
            files |= {file for key in contents.keys for file in contents.damaged_files(key)}
        what = _describe(contents, files)
        if not yes:
            if not os.isatty(0):  # nor if it is closed
                raise click.ClickException(f"Nothing was dropped. To drop {what}, add --yes.")
            click.confirm(f"Drop {what}?", abort=True)
        _remove(store, contents, files)
        _echo(f"Dropped {what}.")


def _remove(store: Store, contents: Contents, files: set[str]) -> None:
    for key in contents.keys:
        if layout.COUNT.format(key) not in files:
            count_killed_runs(contents, key, getLogger(__name__))
    for archived in reversed(contents.all_syncs):  # or one without its parent would prove a state
        if archived.status == Status.ENDED and archived.name in files:
            archived.status = Status.DROPPED  # and stays: a state that names it must not go on
            store.replace(archived.name, archived.content)
            files.remove(archived.name)
        store.remove([name for name in archived.names if name in files])
        files -= {*archived.names}
    store.remove(sorted(files))


def _files_of(contents: Contents, name: str) -> list[str]:
    """Return the files of a folder, of a sync, or of a page and those behind it."""
    key, path = name.partition("/")[0], f"{layout.TOP}/{name}"
    if path in contents.counts:
        return [path]
    in_key = contents.files.get(key, ())
    files = [file for file in in_key if file == path or file.startswith(f"{path}/")]
    id_, _, first = name.rpartition(".")
    for archived in contents.all_syncs:
        if name == archived.sync.id:
            files += archived.names
        elif id_ == archived.sync.id and first.isdecimal():
            files += [archived.page_name(page) for page in archived.pages if page >= int(first)]
    if not files:
        show = archive_command("list", location=contents.store.location)
        raise click.ClickException(
            f"The archive has no page or sync {_printable(name)}. Nothing was dropped. Run {show} "
            "to see what it has."
        )
    return files


def _describe(contents: Contents, files: Collection[str]) -> str:
    """Return how many pages, rows, and other files these are, and what the pages cost."""
    rows = len(contents.rows.intersection(files))
    dropped = [
        (each, [page for page in each.pages if each.page_name(page) in files])
        for each in contents.all_syncs
    ]
    pages = sum(len(numbers) for _, numbers in dropped)
    cost = sum(contents.credits(each, min(numbers)) for each, numbers in dropped if numbers)
    others = len(files) - rows - pages - sum(each.name in files for each, _ in dropped)
    what = f"{plural(pages, 'page')}, worth {dollars(cost)}, and {plural(rows, 'quarantined row')}"
    if others:
        what += f", and {plural(others, 'other file')}"
    if contents.counts.intersection(files):
        what += " (the month then counts from what the archive still has)"
    return what


def _write(content: bytes) -> None:
    """Write JSON on one line: line breaks can occur only between tokens."""
    line = content.replace(b"\r", b" ").replace(b"\n", b" ")
    click.echo(_printable(line.decode(errors="replace")) if os.isatty(1) else line)


def _echo(text: str) -> None:
    click.echo(_printable(text))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


@contextmanager
def _opened(
    archive_dir: str | None, *, is_exclusive: bool = False
) -> Iterator[tuple[Store, Contents]]:
    try:
        store = open_store(archive_dir, Clock(), getLogger(__name__))
        with store.exclusive_lock() if is_exclusive else nullcontext():
            contents = Contents(store)
            if not contents.keys:
                raise click.ClickException(
                    f"There is no archive in {store.location}, or it is empty. Name its folder "
                    "with --archive-dir."
                )
            yield store, contents
    except (FormatError, ArchiveError) as error:
        raise click.ClickException(_printable(str(error))) from None
    except MissingError as error:  # perhaps another command has dropped it meanwhile
        why = f"The file {error} in the archive {store.location} is gone. Run the command again."
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
