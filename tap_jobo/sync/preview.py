"""What a run would load, ask, and buy: the plan in words, for `--plan`."""

from collections.abc import Callable, Iterator

from tap_jobo.errors import FormatError, StateError
from tap_jobo.model import Entry
from tap_jobo.sync.load import Contents
from tap_jobo.sync.opening import Opening
from tap_jobo.sync.plan import NewSync, Request, Run, plan
from tap_jobo.sync.questions import price_of_everything
from tap_jobo.sync.report import describe_request
from tap_jobo.sync.start import Adopt, Question


def preview(opening: Opening, new: NewSync, count_rows: Callable[[Entry], int]) -> Iterator[str]:
    """Yield what a run would load, ask, and buy.

    Args:
        opening: Where the run starts. Nothing is written.
        new: What a sync would get that begins now.
        count_rows: Returns the number of rows of a page.
    """
    try:
        opening.look()
        yield f"load: {_describe_load(opening, count_rows)}"
    except (FormatError, StateError) as error:
        yield f"ask: {error}"
        return
    request = plan(opening.position, opening.settings, Run(), new, opening.ordered)
    if isinstance(request, Question):
        standing = opening.standing(opening.position)
        yield f"ask: {opening.messages.question(request, standing)}"
    elif request:
        then = ", and then what changed" if request.sync.kind == "added" else ""
        yield f"buy: {describe_request(request)} ({_price(request, opening)}){then}"


def _describe_load(opening: Opening, count_rows: Callable[[Entry], int]) -> str:
    archive = opening.archive
    if archive is None:
        return "nothing, because the archive is off"
    if isinstance(opening.decision, Adopt):
        return "nothing. The archive continues from the state"
    if not opening.has_pages_to_load:
        return "nothing"
    contents = Contents()
    for entry in archive.read_all(opening.first):
        contents.note(entry.header, count_rows(entry))
    return contents.as_load


def _price(request: Request, opening: Opening) -> str:
    if request.sync.kind == "full" and request.page == 1:
        return price_of_everything(opening.standing(opening.position))
    return opening.settings.spec.describe_price()
