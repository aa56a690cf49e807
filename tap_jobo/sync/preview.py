"""What a run would load, ask, and buy: the plan in words, for `--plan`."""

from collections.abc import Iterator

from tap_jobo.errors import StateError
from tap_jobo.sync.filters import describe
from tap_jobo.sync.opening import Opening
from tap_jobo.sync.plan import NewSync, Request, Run, plan
from tap_jobo.sync.start import Adopt, Question
from tap_jobo.wording import dollars, plural


def preview(opening: Opening, new: NewSync) -> Iterator[str]:
    """Yield a line each for what a run would load, ask, and buy.

    Args:
        opening: Where the run starts. Nothing is written.
        new: What a sync would get that begins now.
    """
    try:
        opening.look()
    except StateError as error:
        yield f"ask: {error}"
        return
    yield f"load: {_describe_load(opening)}"
    request = plan(opening.position, opening.settings, Run(), new, opening.ordered)
    if isinstance(request, Question):
        yield f"ask: {opening.messages.question(request, opening.standing(opening.position))}"
    elif request:
        yield f"buy: {_describe_request(request, opening)}"


def _describe_load(opening: Opening) -> str:
    archive = opening.archive
    if archive is None:
        return "nothing, because the archive is off"
    if isinstance(opening.decision, Adopt):
        return "nothing. The archive goes on from the state"
    count = archive.head - opening.first + 1
    if count <= 0:
        return "nothing"
    cost = archive.credits(opening.first)
    saved = f", {dollars(cost)} not billed again" if cost else ", free"
    return f"{plural(count, 'page')}{saved}"


def _describe_request(request: Request, opening: Opening) -> str:
    sync, spec = request.sync, opening.settings.spec
    what = {"full": "everything", "added": "the added rows", "changes": "changes"}[sync.kind]
    parts = [f"{what} since {sync.since}" if sync.since else what]
    if sync.reads:
        parts.append(f"with {describe(sync.reads, 5)}")
    if request.page > 1:
        parts = [f"the rest of a sync of {' '.join(parts)}, from page {request.page}"]
    known = sync.kind == "full" and request.why in ("restart", "full_table")
    archive = opening.archive if known else None
    price = spec.describe_price(archive.cost_of_everything() if archive else None)
    return f"{' '.join(parts)} ({price})"
