"""The command `tap-jobo-journal`: shows, exports, and drops what the journal holds."""

import errno
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from logging import getLogger

import click

from tap_jobo.clock import Clock, parse_timestamp
from tap_jobo.errors import FormatError, JournalError
from tap_jobo.journal import layout, open_store
from tap_jobo.journal.contents import Contents, JournaledSync, Status
from tap_jobo.journal.month import count_killed_runs
from tap_jobo.journal.page import DamagedPageError
from tap_jobo.journal.store import MissingError, Store
from tap_jobo.journal.way_out import journal_command
from tap_jobo.wording import dollars, duration, plural


@click.group(name="tap-jobo-journal")
@click.option(
    "--journal-dir",
    envvar="TAP_JOBO_JOURNAL_DIR",
    help="Folder or URL of the journal. Default: the variable TAP_JOBO_JOURNAL_DIR or, where that "
    "is not set, tap-jobo in the user's state folder.",
)
@click.pass_context
def main(context: click.Context, journal_dir: str | None) -> None:
    """Show, export, or drop billed pages whose rows have not arrived yet."""
    context.obj = journal_dir


@main.command(name="list")
@click.pass_obj
def list_(journal_dir: str | None) -> None:
    """List the streams, their syncs with their filters, and what is quarantined."""
    with _opened(journal_dir) as (_, contents):
        for key in contents.keys:
            damaged = contents.damaged_files(key)
            is_known = layout.KEY.format(key) not in damaged
            _echo(contents.key(key).description if is_known else key)
            for name in damaged:
                _echo(f"  {name} is damaged or missing")
            for journaled in contents.syncs(key).values():
                _echo(_describe_sync(contents, journaled))
            if rows := sum(row.split("/")[1] == key for row in contents.rows):
                _echo(f"  {plural(rows, 'quarantined row')}")


def _describe_sync(contents: Contents, journaled: JournaledSync) -> str:
    count, cost = plural(len(journaled.pages), "page"), dollars(contents.credits(journaled))
    parts = [f"  {journaled.sync.id}  {count}", f"worth {cost}"]
    if last := contents.last_used(journaled):
        age = datetime.now(UTC) - parse_timestamp(last)
        parts.append(f"{duration(age.total_seconds())} old")
    parts += [f"{name}={value}" for name, value in journaled.sync.selected.items()]
    return ", ".join(filter(None, [*parts, journaled.status]))


@main.command()
@click.option("--quarantined", is_flag=True, help="The quarantined rows.")
@click.pass_obj
def export(journal_dir: str | None, *, quarantined: bool) -> None:
    """Write what the journal holds to standard output, as JSON Lines: raw pages by default."""
    problems = []
    with _opened(journal_dir) as (store, contents):
        if quarantined:
            for name in sorted(contents.rows):
                _write(store.read(name))
            return
        for journaled in contents.all_syncs:
            for number in sorted(journaled.pages):
                try:
                    _write(contents.page(journaled, number).body)
                except DamagedPageError as error:
                    problems.append(f"{journaled.sync.page_id(number)} {error}")
    if problems:
        raise click.ClickException(f"{'; '.join(problems)}. Everything else is exported.")


@main.command()
@click.argument("names", nargs=-1, metavar="[PAGE|SYNC|FOLDER]...")
@click.option("--quarantined", is_flag=True, help="Drop all quarantined rows.")
@click.option("--all", "everything", is_flag=True, help="Drop all syncs and quarantined rows.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def drop(
    journal_dir: str | None, names: Sequence[str], *, quarantined: bool, everything: bool, yes: bool
) -> None:
    """Drop syncs, or pages and those behind them, named as `list` or a message names them.

    They are billed again if their rows have not arrived. All files of a folder are dropped unread.
    """
    if not (names or quarantined or everything):
        raise click.UsageError("Name pages, syncs, or folders, or give --quarantined or --all.")
    with _opened(journal_dir, is_exclusive=True) as (store, contents):
        files = {file for name in names for file in _files_of(contents, name)}
        if quarantined or everything:
            files |= contents.rows
        if everything:
            files |= {file for journaled in contents.all_syncs for file in journaled.names}
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
    for journaled in reversed(contents.all_syncs):  # or one without its parent would prove a state
        if journaled.status == Status.ENDED and journaled.name in files:
            journaled.status = Status.DROPPED  # and stays: a state that names it must not go on
            store.replace(journaled.name, journaled.content)
            files.remove(journaled.name)
        store.remove([name for name in journaled.names if name in files])
        files -= {*journaled.names}
    store.remove(sorted(files))


def _files_of(contents: Contents, name: str) -> list[str]:
    """Return the files of a folder, of a sync, or of a page and those behind it."""
    key, path = name.partition("/")[0], f"{layout.TOP}/{name}"
    if path in contents.counts:
        return [path]
    in_key = contents.files.get(key, ())
    files = [file for file in in_key if file == path or file.startswith(f"{path}/")]
    id_, _, first = name.rpartition(".")
    for journaled in contents.all_syncs:
        if name == journaled.sync.id:
            files += journaled.names
        elif id_ == journaled.sync.id and first.isdecimal():
            files += [journaled.page_name(page) for page in journaled.pages if page >= int(first)]
    if not files:
        show = journal_command("list", location=contents.store.location)
        raise click.ClickException(
            f"The journal has no page or sync {_printable(name)}. Nothing was dropped. Run {show} "
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
        what += " (the month then counts from what the journal still has)"
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
    journal_dir: str | None, *, is_exclusive: bool = False
) -> Iterator[tuple[Store, Contents]]:
    try:
        store = open_store(journal_dir, Clock(), getLogger(__name__))
        with store.exclusive_lock() if is_exclusive else nullcontext():
            contents = Contents(store)
            if not contents.keys:
                raise click.ClickException(
                    f"There is no journal in {store.location}, or it is empty. Name its folder "
                    "with --journal-dir."
                )
            yield store, contents
    except (FormatError, JournalError) as error:
        raise click.ClickException(_printable(str(error))) from None
    except MissingError as error:  # perhaps another command has dropped it meanwhile
        why = f"The file {error} in the journal {store.location} is gone. Run the command again."
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
