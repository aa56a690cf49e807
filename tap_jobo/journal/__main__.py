"""The command `tap-jobo-journal`: shows, exports, and drops what the journal holds."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime

import click

from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import JournalError
from tap_jobo.journal import layout, open_store
from tap_jobo.journal.contents import DROPPED, ENDED, Contents, JournaledSync
from tap_jobo.journal.page import DamagedPageError
from tap_jobo.journal.store import MissingError, Store, StoreError
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
@click.option("--pages", "with_pages", is_flag=True, help="List the pages of each sync, too.")
@click.pass_obj
def list_(journal_dir: str | None, *, with_pages: bool) -> None:
    """List the streams with their filters, their syncs, and what is quarantined."""
    lines = []
    with _opened(journal_dir) as (_, contents):
        for key in contents.keys:
            damaged = contents.damaged_files(key)
            is_known = layout.KEY.format(key) not in damaged
            lines.append(contents.key(key).description if is_known else key)
            lines += [f"  {name} is damaged or missing" for name in damaged]
            for kept in contents.syncs(key).values():
                lines.append(_sync_line(contents, kept))
                lines += [f"    {kept.page_id(page)}" for page in sorted(kept.pages) if with_pages]
            if rows := contents.quarantined[key]:
                lines.append(f"  {plural(len(rows), 'quarantined row')}")
    for line in lines:
        _echo(line)


def _sync_line(contents: Contents, kept: JournaledSync) -> str:
    parts = [f"{plural(len(kept.pages), 'page')}, worth {dollars(contents.credits(kept))}"]
    if last := contents.last_used(kept):
        age = datetime.now(UTC) - parse_timestamp(last)
        parts.append(f"{duration(age.total_seconds())} old")
    return f"  {kept.sync.id}  {', '.join(filter(None, [*parts, kept.status]))}"


@main.command()
@click.option("--quarantined", is_flag=True, help="The quarantined rows.")
@click.pass_obj
def export(journal_dir: str | None, *, quarantined: bool) -> None:
    """Write what the journal holds to standard output, as JSON Lines: raw pages by default."""
    problems = []
    with _opened(journal_dir) as (store, contents):
        if quarantined:
            for name in _quarantine_files(contents):
                _write(store.read(name))
            return
        for kept in _all_syncs(contents):
            for number in sorted(kept.pages):
                try:
                    _write(contents.page(kept, number).body)
                except DamagedPageError as error:
                    problems.append(f"{kept.page_id(number)} {error}")
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
        firsts = _chosen(contents, names, everything=everything)
        pages = sum(page >= first for kept, first in firsts for page in kept.pages)
        cost = sum(contents.credits(kept, max(first, 1)) for kept, first in firsts)
        files = {file for name in names for file in _files_of(contents, name)}
        files |= {*_quarantine_files(contents)} if quarantined or everything else set()
        for key in contents.keys if everything else ():
            files |= {*contents.damaged_files(key)}
        files -= {name for kept, _ in firsts for name in kept.names}
        rows = len(files.intersection(_quarantine_files(contents)))
        what = (
            f"{plural(pages, 'page')}, worth {dollars(cost)}, and {plural(rows, 'quarantined row')}"
        )
        if others := len(files) - rows:
            what += f", and {plural(others, 'other file')}"
        if not yes:
            if not sys.stdin.isatty():
                raise click.ClickException(f"Nothing was dropped. To drop {what}, add --yes.")
            click.confirm(f"Drop {what}?", abort=True)
        for kept, first in firsts:
            _drop(store, kept, first)
        store.remove(sorted(files))
        _echo(f"Dropped {what}.")


def _drop(store: Store, kept: JournaledSync, first: int) -> None:
    """Drop the pages of a sync from one on, the last one first; 0 is the sync itself."""
    if first == 0 and kept.status == ENDED:  # the state may name it: it must not go on
        kept.status = DROPPED
        store.replace(kept.name, kept.content)
        first = 1
    pages = sorted((page for page in kept.pages if page >= first), reverse=True)
    store.remove(kept.names if first == 0 else [*map(kept.page_name, pages)])


def _chosen(
    contents: Contents, names: Sequence[str], *, everything: bool
) -> list[tuple[JournaledSync, int]]:
    """Return the syncs of these names, each with the first page to drop, 0 for all of it."""
    chosen, unknown = [], set(names)
    for kept in _all_syncs(contents):
        numbers = range(1, kept.last + 1)  # also of a page that is missing
        folder = layout.SYNC_ID.format(kept.key, kept.sync.number)
        known = {kept.page_id(page): page for page in numbers}
        known |= dict.fromkeys((kept.sync.id, folder, kept.key), 0)
        unknown -= known.keys()
        wanted = [0] if everything else [known[name] for name in names if name in known]
        if wanted:
            chosen.append((kept, min(wanted)))
    unknown -= {name for name in unknown if _files_of(contents, name)}
    if unknown:
        raise click.ClickException(
            f"The journal has no page or sync {_printable(', '.join(sorted(unknown)))}. Nothing "
            "was dropped. Run `tap-jobo-journal list` to see what it has."
        )
    return chosen


def _files_of(contents: Contents, name: str) -> list[str]:
    key, path = name.partition("/")[0], f"{layout.TOP}/{name}"
    files = contents.files.get(key, [])
    if key in contents.counted and path == layout.SPENT.format(key):
        return [path]
    return [each for each in files if each == path or each.startswith(f"{path}/")]


def _all_syncs(contents: Contents) -> list[JournaledSync]:
    return [kept for key in contents.keys for kept in contents.syncs(key).values()]


def _quarantine_files(contents: Contents) -> list[str]:
    quarantined = contents.quarantined
    return [layout.QUARANTINE.format(key, row) for key in quarantined for row in quarantined[key]]


def _write(content: bytes) -> None:
    """Write JSON on one line: line breaks can occur only between tokens."""
    line = content.replace(b"\r", b" ").replace(b"\n", b" ")
    if sys.stdout.isatty():
        _echo(line.decode(errors="replace"))
    else:
        sys.stdout.buffer.write(line + b"\n")


def _echo(text: str) -> None:
    click.echo(_printable(text))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


@contextmanager
def _opened(
    journal_dir: str | None, *, is_exclusive: bool = False
) -> Iterator[tuple[Store, Contents]]:
    try:
        store = open_store(journal_dir)
        with store.exclusive_lock() if is_exclusive else nullcontext():
            contents = Contents(store)
            if not contents.keys:
                raise click.ClickException(
                    f"There is no journal in {store.location}, or it is empty. Name its folder "
                    "with --journal-dir."
                )
            yield store, contents
    except (JournalError, MissingError, StoreError) as error:
        raise click.ClickException(_printable(str(error))) from None


if __name__ == "__main__":
    main()
