"""What a run would load, ask, and buy: the plan in words, for `--plan`."""

from collections.abc import Iterator

from tap_jobo.errors import ConfigError, FormatError, StateError
from tap_jobo.sync.plan import Request
from tap_jobo.sync.report import Contents, describe_request
from tap_jobo.sync.run import FeedRun


def preview(run: FeedRun) -> Iterator[str]:
    """Yield what a run would load, ask, and buy. Nothing is written."""
    try:
        run.open()
        run.check()
        yield f"load: {_describe_load(run)}"
    except (ConfigError, FormatError, StateError) as error:
        yield f"ask: {error}"
        return
    if run.problem:
        yield f"ask: {run.problem}"
    elif run.only_loads:
        yield "buy: nothing, because max_credits is 0"
    elif isinstance(run.planned, Request):
        request, sync = describe_request(run.planned, run.wanted.start), run.planned.sync
        then = ", and then what changed" if sync.reads != sync.filters else ""
        yield f"buy: {request} ({_price(run, run.planned)}){then}"


def _describe_load(run: FeedRun) -> str:
    if not run.archive.lasts:
        return "nothing, because the archive is off"
    numbers = run.pages_to_load
    if not numbers:
        return "nothing"
    contents = Contents()
    for entry in run.archive.read_all(numbers):
        contents.note(entry.header, run.reader.count_rows(entry))
    return contents.as_load


def _price(run: FeedRun, request: Request) -> str:
    is_all = request.page == 1 and request.sync.since <= run.wanted.start
    if is_all and request.sync.reads == request.sync.filters:
        return run.standing(run.position).price_of_everything()
    return run.archive.describe_price()
