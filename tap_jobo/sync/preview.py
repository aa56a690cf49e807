"""What a run would load, ask, and buy: the plan in words, for `--plan`."""

from collections.abc import Callable, Iterator, Sequence

from tap_jobo.errors import FormatError, StateError
from tap_jobo.model import Entry
from tap_jobo.sync.load import Contents
from tap_jobo.sync.opening import Opening
from tap_jobo.sync.plan import NewSync, Request, Run, plan
from tap_jobo.sync.questions import price_of_everything, what_is_given_up
from tap_jobo.sync.report import describe_request
from tap_jobo.sync.start import Adopt, Question


def preview(opening: Opening, new: NewSync, count_rows: Callable[[Entry], int]) -> Iterator[str]:
    """Yield a line each for what a run would load, ask, and buy.

    Args:
        opening: Where the run starts. Nothing is written.
        new: What a sync would get that begins now.
        count_rows: Returns the number of rows of a page.
    """
    try:
        opening.look()
        load = _describe_load(opening, count_rows)
    except (FormatError, StateError) as error:
        yield f"ask: {error}"
        return
    yield f"load: {load}"
    request = plan(opening.position, opening.settings, Run(), new, opening.ordered)
    if isinstance(request, Question):
        yield f"ask: {opening.messages.question(request, opening.standing(opening.position))}"
    elif request:
        then = ", and then what changed" if request.sync.kind == "added" else ""
        price = _price(request, opening)
        yield f"buy: {describe_request(request)} ({price}){then}{_given_up(opening)}"


def stops_run(preview: Sequence[str]) -> bool:
    """Return whether a run would read no stream: it asks, and loads nothing before that."""
    *loads, last = preview or [""]
    return last.startswith("ask: ") and not any("from the archive" in load for load in loads)


def _describe_load(opening: Opening, count_rows: Callable[[Entry], int]) -> str:
    archive = opening.archive
    if archive is None:
        return "nothing, because the archive is off"
    if isinstance(opening.decision, Adopt):
        return "nothing. The archive continues from the state"
    if opening.first > archive.head:
        return "nothing"
    contents = Contents()
    for entry in archive.read_all(opening.first):
        contents.note(entry.header, count_rows(entry))
    return contents.as_load


def _price(request: Request, opening: Opening) -> str:
    if request.sync.kind == "full" and request.page == 1:
        return price_of_everything(opening.standing(opening.position))
    return opening.settings.spec.describe_price()


def _given_up(opening: Opening) -> str:
    settings, position = opening.settings, opening.position
    if position.progress is None or settings.fit(position):
        return ""
    lost = what_is_given_up(position.progress, settings.spec)
    return f". A sync in progress is given up: {lost}"
