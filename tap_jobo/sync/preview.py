"""What a run would load, ask, and buy: the plan in words, for `--plan`."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tap_jobo.errors import FormatError, StateError
from tap_jobo.model import Entry
from tap_jobo.sync.load import Contents
from tap_jobo.sync.opening import Opening
from tap_jobo.sync.plan import NewSync, Request, Run, plan
from tap_jobo.sync.questions import price_of_everything, what_is_given_up
from tap_jobo.sync.report import describe_request
from tap_jobo.sync.start import Adopt, Question


@dataclass
class Preview:
    """What a run would do with a stream.

    Attributes:
        lines: What it would load, ask, and buy.
        stops_run: Whether it would ask before anything is loaded, so that no stream is read.
    """

    lines: list[str] = field(default_factory=list)
    stops_run: bool = False


def preview(opening: Opening, new: NewSync, count_rows: Callable[[Entry], int]) -> Preview:
    """Return what a run would load, ask, and buy.

    Args:
        opening: Where the run starts. Nothing is written.
        new: What a sync would get that begins now.
        count_rows: Returns the number of rows of a page.
    """
    try:
        opening.look()
        load = _describe_load(opening, count_rows)
    except (FormatError, StateError) as error:
        return Preview([f"ask: {error}"], stops_run=isinstance(error, StateError))
    preview = Preview([f"load: {load}"])
    request = plan(opening.position, opening.settings, Run(), new, opening.ordered)
    if isinstance(request, Question):
        preview.stops_run = not opening.has_pages_to_load
        question = opening.messages.question(request, opening.standing(opening.position))
        preview.lines.append(f"ask: {question}")
    elif request:
        then = ", and then what changed" if request.sync.kind == "added" else ""
        price = _price(request, opening)
        preview.lines.append(
            f"buy: {describe_request(request)} ({price}){then}"
            f"{what_is_given_up(opening.position, opening.settings)}"
        )
    return preview


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
