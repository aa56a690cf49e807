"""The commands `list`, `export`, and `drop`, which show and change the journal's contents."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from tap_jobo.errors import JournalError
from tap_jobo.journal.export import UnreadableError, as_line, rows_of
from tap_jobo.journal.page_store import StoreError, summary
from tap_jobo.journal.places import is_there, name_of, no_run, open_store
from tap_jobo.journal.schema import UNVERSIONED
from tap_jobo.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_jobo.journal.page_store import Entry, PageStore

_OWNER_SHOWN: Final = 8
"""Characters of an owner's hash that identify it."""


@click.group(name="python -m tap_jobo.journal")
@click.option(
    "--journal-dir",
    envvar="TAP_JOBO_JOURNAL_DIR",
    help="Folder or URL of the journal. Default: the variable TAP_JOBO_JOURNAL_DIR or, where that "
    "is not set, tap-jobo in the user's state folder.",
)
@click.pass_context
def main(context: click.Context, journal_dir: str | None) -> None:
    """Show, export, or drop billed pages that have not been acknowledged yet."""
    with _one_line_errors():
        name_of(journal_dir)  # which checks it
        context.obj = journal_dir


@main.command(name="list")
@click.option("--pages", "with_pages", is_flag=True, help="List the pages of each sync, too.")
@click.pass_obj
def list_(place: str | None, *, with_pages: bool) -> None:
    """List the syncs in the journal, and what is quarantined.

    Each line starts with a hash of the feed, address, and filters, then the name of the sync.
    """
    with _opened(place) as store:
        syncs: dict[tuple[str, str], list[Entry]] = {}
        for entry in store.entries():
            syncs.setdefault((entry.owner, entry.scan), []).append(entry)
        for (owner, scan), pages in syncs.items():
            shown = owner.removeprefix(UNVERSIONED)[:_OWNER_SHOWN]
            since = min(page.received_at for page in pages)
            click.echo(f"{shown}  {scan}  {summary(pages)}, received since {since}")
            for page in pages if with_pages else ():
                rows = "not read yet" if page.rows is None else plural(page.rows, "row")
                click.echo(f"  {page.name}  {rows}")
        if not syncs:
            click.echo(f"No pages in {store.place}.")
        if count := len(store.quarantined()):
            click.echo(_rows(count))


@main.command()
@click.option("--rows", "what", flag_value="rows", help="One row per line, not one page.")
@click.option("--quarantined", "what", flag_value="quarantined", help="The quarantined rows.")
@click.pass_obj
def export(place: str | None, what: str | None) -> None:
    """Write what the journal holds to standard output, as JSON Lines: raw pages by default."""
    unreadable: list[str] = []
    with _opened(place) as store:
        if what == "quarantined":
            _write(store.quarantined())
            return
        for entry in store.entries():
            try:
                body = store.load(entry)
                _write(rows_of(body) if what == "rows" else [body])
            except StoreError as error:
                unreadable.append(f"{entry.name} cannot be read ({error})")
            except UnreadableError:
                unreadable.append(f"{entry.name} has no rows that can be read: omit --rows")
    if unreadable:
        raise click.ClickException(f"Everything else is exported. {'; '.join(unreadable)}.")


@main.command()
@click.argument("names", nargs=-1, metavar="[PAGE|SYNC]...")
@click.option("--quarantined", is_flag=True, help="Drop all quarantined rows.")
@click.option("--all", "everything", is_flag=True, help="Drop all pages and quarantined rows.")
@click.pass_obj
def drop(place: str | None, names: Sequence[str], *, quarantined: bool, everything: bool) -> None:
    """Drop pages or whole syncs, named as `list` names them. A sync is billed for them again."""
    if not (names or quarantined or everything):
        raise click.UsageError("Name pages or syncs, or give --quarantined or --all.")
    with _opened(place) as store, no_run(place):
        pages = store.entries()
        if not everything:
            pages = _chosen(pages, names)
        store.remove(pages)
        if pages:
            click.echo(f"Dropped {summary(pages)}.")
        if quarantined or everything:
            click.echo(f"Dropped {_rows(store.drop_quarantined())}.")


def _chosen(entries: Sequence[Entry], names: Sequence[str]) -> list[Entry]:
    """Return the pages of these names and of these syncs.

    Raises:
        ClickException: One of the names does not exist.
    """
    known = {name for entry in entries for name in (entry.name, entry.scan)}
    if unknown := [name for name in names if name not in known]:
        raise click.ClickException(
            f"The journal has no page or sync {', '.join(unknown)}: `list` shows what it has. "
            "Nothing is dropped."
        )
    return [entry for entry in entries if not {entry.name, entry.scan}.isdisjoint(names)]


def _rows(count: int) -> str:
    return plural(count, "quarantined row")


def _write(contents: Sequence[bytes]) -> None:
    for content in contents:
        sys.stdout.buffer.write(as_line(content))


@contextmanager
def _opened(place: str | None) -> Iterator[PageStore]:
    """Open the journal, if there is one."""
    with _one_line_errors():
        if not is_there(place):
            raise click.ClickException(
                f"There is no journal in {name_of(place)}. Name its folder with --journal-dir."
            )
        store = open_store(place)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (JournalError, StoreError) as error:
        raise click.ClickException(str(error)) from None
