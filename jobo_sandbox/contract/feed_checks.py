"""The checks of each billed feed: pages, filters, money, and rows."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import requests

from jobo_sandbox.contract import tap
from jobo_sandbox.contract.api import Answer, Api, Json
from jobo_sandbox.contract.checks import BAD_REQUESTS, FILTER_VALUES, window_verdict
from jobo_sandbox.contract.outcomes import CHANGE, HANDLED, WARNED, Differs, NotTestable, expect
from jobo_sandbox.contract.registry import BILLED, CHECKS, CLIENT, DOCS, LAST_CHECKS, Check, check
from jobo_sandbox.feeds import FEEDS
from jobo_sandbox.filters import values_in
from jobo_sandbox.instants import FAR_FUTURE
from tap_jobo.clock import format_timestamp, parse_http_date, parse_timestamp
from tap_jobo.records.values import parse_uuid
from tap_jobo.streams.career_sites import CAREER_SITES as SITES
from tap_jobo.streams.companies import SCHEMA as PROFILE
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.jobs import JOBS
from tap_jobo.wording import plural

_TICK, _HOUR = timedelta(microseconds=1), timedelta(hours=1)
_EARLY, _LATE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


def nothing_to_check(api: Api) -> str:
    """Return why no check makes sense: there is no response, or the key is refused."""
    try:
        answer = api.request(SITES, updated_after=FAR_FUTURE)
    except Differs as difference:
        return str(difference)
    return answer.says()[0] if answer.status == requests.codes.unauthorized else ""


@check(DOCS, CHANGE, *BILLED)
def updated_after(api: Api, feed: FeedSpec) -> None:
    """No row is returned that was updated after an instant in the future, as the tap writes it."""
    rows = _after(api, feed, FAR_FUTURE).items(feed)
    expect(not rows, f"{len(rows)} rows for updated_after {FAR_FUTURE}", window_verdict(rows))


@check(DOCS, WARNED, *BILLED)
def empty_page(api: Api, feed: FeedSpec) -> str:
    """An empty last page has no next_cursor, a false has_more, and costs nothing."""
    answer = _after(api, feed, FAR_FUTURE)
    if answer.items(feed):
        raise NotTestable("the page is not empty")
    more, cursor = answer.body().get("has_more"), answer.body().get("next_cursor")
    expect(more is False, f"has_more: {more}, a next_cursor: {bool(cursor)}")
    is_list = feed.item_key in answer.body() and answer.body()[feed.item_key] is not None
    expect(is_list, f"{feed.item_key} is null or missing", HANDLED)
    expect(not cursor, "has_more is false, but there is a next_cursor", HANDLED)
    return f"X-Has-More: {answer.headers.get('X-Has-More')}"


@check(DOCS, HANDLED, *BILLED)
def bad_values(api: Api, feed: FeedSpec) -> str:
    """A value of the wrong type, and a batch_size above the cap, are 400."""
    if _after(api, feed, FAR_FUTURE).items(feed):
        raise NotTestable("updated_after is ignored, so a page above the cap could be billed")
    window: Json = {feed.since_parameter: FAR_FUTURE}
    lists = [each.name for each in feed.filters if "array" in each.type.schema["type"]]
    wrong_values: list[Json] = [{feed.filter_parameters[name]: 7} for name in lists[:1]]
    for wrong in [*wrong_values, {"batch_size": feed.page_cap + 1}]:
        answer = api.request(feed, **window, **wrong)
        answer.allowed().expect_status(*BAD_REQUESTS)
    return answer.says()[0]


@check(DOCS, CHANGE, *BILLED)
def rejected_cursor(api: Api, feed: FeedSpec) -> str:
    """A cursor that is garbage is rejected in words that the tap recognizes."""
    # The rest of the body makes it cost nothing if the cursor is ignored.
    window: Json = {feed.since_parameter: FAR_FUTURE}
    answer = api.request(feed, cursor="garbage", **window)
    error, is_recognized = answer.allowed().says()
    expect(is_recognized, f"HTTP {answer.status}; the tap says: {error}")
    return error


def _returns_nothing(api: Api, feed: FeedSpec, name: str, value: Any) -> None:
    answer = api.request(feed, **{name: value})
    if answer.status in BAD_REQUESTS:
        raise NotTestable(f"the value is refused: {answer.says()[0]}")
    rows = answer.delivered(feed).items(feed)
    expect(not rows, f"{len(rows)} rows for {name} {value}")
    if values := [*FILTER_VALUES.get(name, ())]:
        every: Json = {name: values}
        expect(api.page(feed, **every).items(feed), f"no row for {values}")


def _splits_rows(api: Api, feed: FeedSpec, name: str, values: tuple[Any, ...]) -> None:
    first = _ids(api.page(feed), feed)
    same = all(_ids(api.page(feed, **{name: value}), feed) == first for value in values)
    expect(not same, f"the first row is the same without {name} and with each value")


def filter_check(feed: FeedSpec, name: str, probes: tuple[Any, ...]) -> Check:
    """Return the check that an API applies a filter, with the probes of the sandbox's filter."""
    run = partial(_returns_nothing, value=probes[0])
    if len(probes) > 1:
        run = partial(_splits_rows, values=probes)
    return Check("The filter is applied.", DOCS, CHANGE, partial(run, feed=feed, name=name))


@check(DOCS, CHANGE, *BILLED)
def pages(api: Api, feed: FeedSpec) -> str:
    """The tap reads the pages, and X-Has-More says what has_more says."""
    one, five = api.page(feed), api.page(feed, 5)  # the first shows the price of the second
    is_end = not one.following() and len(five.items(feed)) > len(one.items(feed))
    expect(not is_end, "has_more is false after one row, but a page of five has more")
    for answer in (five, one):
        more, header = answer.body().get("has_more"), answer.headers.get("X-Has-More")
        has_error = answer.body().get("error") or answer.body().get("errors")
        expect(not has_error, "an error beside the rows", WARNED)
        is_same = header is None or header.lower() == str(more).lower()
        expect(is_same, f"X-Has-More: {header}, has_more: {more}", HANDLED if more else CHANGE)
        answer.following()
    return f"X-Has-More: {one.headers.get('X-Has-More')}"


@check(DOCS, HANDLED, *BILLED)
def price(api: Api, feed: FeedSpec) -> str:
    """X-Credits-Deducted matches the list price, for one row and for five."""
    for answer in (api.page(feed), api.page(feed, 5)):
        count, deducted = len(answer.items(feed)), answer.credits()
        expect(count, "the first page has no rows", CHANGE)
        if not deducted and feed.missing_charge_means_free and answer.names_plan:
            return "free on this plan"
        expect(deducted is not None, "no X-Credits-Deducted", WARNED)
        is_bounded = deducted or answer.credits("X-Credits-Balance") is not None
        came = f"{deducted} credits for {plural(count, 'row')}"
        expect(is_bounded, f"{came}, and no X-Credits-Balance", CHANGE)
        is_dearer = (deducted or 0) > count * feed.list_price
        expect(deducted == count * feed.list_price, came, WARNED if is_dearer else HANDLED)
    return f"{feed.list_price:g} credits a row"


@check(DOCS, WARNED, *BILLED)
def fields(api: Api, feed: FeedSpec) -> str:
    """Rows have UUIDs as ids, no unknown field, and no null in a field that is never null."""
    answer = api.page(feed, 5)
    lines, rows = answer.reading(feed).warnings, _rows(answer, feed)
    expect(not lines, " ".join(lines[:3]))
    nulls = [name for name in feed.never_null if any(row.get(name) is None for row in rows)]
    expect(not nulls, f"null or missing: {', '.join(nulls)}", HANDLED)
    expect(all("-" in row["id"] for row in rows), "the ids have no dashes", HANDLED)
    return f"with {'' if 'updated_at' in rows[0] else 'no '}updated_at"


@check(DOCS, CHANGE, *BILLED)
def window(api: Api, feed: FeedSpec) -> str:
    """Rows updated since updated_after are returned, and none from an hour before it."""
    if _after(api, feed, FAR_FUTURE).items(feed):
        raise NotTestable("updated_after is ignored")
    now = parse_http_date(api.answers[-1].headers.get("Date")) or datetime.now(UTC)
    late = _after(api, feed, now + _HOUR).items(feed)
    expect(not late, "rows for updated_after in an hour", window_verdict(late))
    soon = _after(api, feed, now + timedelta(seconds=10)).items(feed)
    told = "rows for updated_after in 10 seconds: an overlap" if soon else "no overlap seen"
    first = _rows(api.page(feed), feed)[0]
    if (instant := _instant(first, _LATE)) == _LATE:
        rows = _after(api, feed, _EARLY).items(feed)
        expect(rows, "no rows since the year 2000")
        return f"{told}; rows have no updated_at to show more"
    for since, meaning in ((instant, "inclusive"), (instant - _TICK, "strict")):
        answer = _after(api, feed, since)
        if _ids(answer, feed) == [first.get("id")]:
            return f"{told}; {meaning}"
    is_lost = not answer.items(feed) or FEEDS[feed.name].order
    expect(not is_lost, "the first row is not returned since just before its updated_at")
    return f"{told}; the order does not show whether it is inclusive"


@check(DOCS, HANDLED, *(feed for feed in BILLED if FEEDS[feed.name].estimates))
def estimated_total(api: Api, feed: FeedSpec) -> str:
    """The first page estimates the number of rows."""
    total = api.page(feed).body().get("estimated_total")
    expect(type(total) is int, f"estimated_total: {total}")
    return f"{total:,} rows"


@check(DOCS, WARNED)
def profile(api: Api) -> str:
    """The profile of a company in the feed is free, has its id, and no unknown field."""
    key = str(_rows(api.page(SITES, 5), SITES)[0].get("id"))
    answer = api.get(f"/api/companies/{key}").expect_status(200, tap_does=HANDLED)
    body = answer.delivered().body()
    came = parse_uuid(body.get("id"))
    expect(came and came == parse_uuid(key), f"the id {body.get('id')!s:.60} for {key}", CHANGE)
    reading = tap.read_profile(body, PROFILE, ["name"])
    expect(not reading.error, reading.error, CHANGE)
    expect(not reading.warnings, " ".join(reading.warnings[:3]))
    expect(body.get("name"), "no name", HANDLED)
    return f"{len(body)} fields"


@check(DOCS, CHANGE, *BILLED)
def cursor(api: Api, feed: FeedSpec) -> str:
    """The cursor leads to a second page, which repeats no row."""
    one = api.page(feed)
    two = _second(api, feed, one)
    first, second = _ids(one, feed), _ids(two, feed)
    expect(two.following() != one.following(), "its next_cursor is the same again")
    is_skipped = bool(two.following())  # and rows may follow
    expect(second, "the second page is empty", HANDLED if is_skipped else CHANGE)
    expect(first != second, "the second page repeats the first")
    is_same = first + second == _ids(api.page(feed, 5), feed)[:2]
    return "in the order of the page of five" if is_same else "in another order than before"


@check(CLIENT, HANDLED)
def jobs_cursor_size(api: Api) -> str:
    """A page has as many rows as the body beside its cursor asks for."""
    if not (following := api.page(JOBS).following()):
        raise NotTestable("the feed has one page only")
    rows = len(api.page(JOBS, 2, cursor=following).items(JOBS))
    expect(rows == 2, f"{plural(rows, 'row')} for a batch_size of 2 after a page of one")  # noqa: PLR2004
    return "two rows"


@check(DOCS, CHANGE, *BILLED)
def filters(api: Api, feed: FeedSpec) -> str:
    """Filters with what a row has return rows that have it, on the second page too."""
    row = max(_rows(api.page(feed, 5), feed), key=lambda row: str(row.get("updated_at")))
    queries = _queries(feed, row)
    for query in queries:
        first = api.page(feed, **query)
        expect(first.items(feed), f"no row for {query}")
        second = _second(api, feed, first, **query) if first.following() else first
        for each in (*_items(first, feed), *_items(second, feed)):
            is_match = all(_shows(feed, each, name, value) for name, value in query.items())
            expect(is_match, f"on one of two pages, a row does not match {query}")
            is_late = _instant(each, _LATE) >= _instant(row, _EARLY) - _HOUR
            told = f"on one of two pages, a row was updated before {query}"
            expect(
                is_late or feed.since_parameter not in query, told, WARNED
            )  # the tap sees it too
    return ", ".join(name for query in queries for name in query)


@check(CLIENT, HANDLED, *(feed for feed in BILLED if FEEDS[feed.name].order))
def order(api: Api, feed: FeedSpec) -> None:
    """Rows come in their known order, which of jobs is that of created_at."""
    rows = [*_rows(api.page(feed), feed), *_rows(_second(api, feed, api.page(feed)), feed)]
    times = [str(row.get(FEEDS[feed.name].order)) for row in rows]
    expect(times == sorted(times, key=parse_timestamp), ", then ".join(times))


for _feed in BILLED:
    for _name, _filter in FEEDS[_feed.name].filters.items():
        CHECKS[f"{_feed.name}_{_name}"] = filter_check(_feed, _name, _filter.probes)


@check(DOCS, CHANGE, *BILLED, to=LAST_CHECKS)
def ids(api: Api, feed: FeedSpec) -> str:
    """Rows with the same id have the same listing_url."""
    urls: dict[str, Any] = {}
    for answer in (each for each in api.answers if each.path == feed.path):
        keys = [] if answer.reading(feed).error else _ids(answer, feed)
        is_one = 1 < len(keys) <= answer.body_sent["batch_size"] and len({*keys}) == 1
        expect(not is_one, "a page has nothing but one row, again and again")
        expect(len(keys) == len({*keys}), "a page has a row twice", HANDLED)
        rows = _items(answer, feed) if keys else []
        for key, url in zip(keys, (row.get("listing_url") for row in rows), strict=True):
            expect(urls.setdefault(key, url) == url, f"{key} has {urls[key]} and {url}")
    return f"{len(urls)} ids"


def _after(api: Api, feed: FeedSpec, instant: datetime | str) -> Answer:
    text = instant if isinstance(instant, str) else format_timestamp(instant)
    window: Json = {feed.since_parameter: text}
    return api.page(feed, **window)


def _second(api: Api, feed: FeedSpec, first: Answer, **body: Any) -> Answer:
    """Fetch the page after another one as the tap does."""
    if not (following := first.following()):
        raise NotTestable("the feed has one page only")
    return api.page(feed, **body, cursor=following)


def _instant(row: Json, otherwise: datetime) -> datetime:
    with suppress(ValueError):
        instant = parse_timestamp(str(row.get("updated_at")))
        return instant if instant > _EARLY else otherwise  # 0001-01-01 stands for none
    return otherwise


def _items(answer: Answer, feed: FeedSpec) -> list[Json]:
    return [row if isinstance(row, dict) else {} for row in answer.items(feed)]


def _rows(answer: Answer, feed: FeedSpec) -> list[Json]:
    if rows := _items(answer, feed):
        return rows
    raise NotTestable("the page has no rows")


def _ids(answer: Answer, feed: FeedSpec) -> list[str]:
    return [str(row.get("id")) for row in _items(answer, feed)]


def _queries(feed: FeedSpec, row: Json) -> list[Json]:
    """Return requests whose pages have a row: by filters, and by the window if the row shows it."""
    found = {name: each.selecting(row) for name, each in FEEDS[feed.name].filters.items()}
    found = {name: value for name, value in found.items() if value}
    instant = _instant(row, _LATE)
    window = {feed.since_parameter: format_timestamp(instant - _TICK)} if instant < _LATE else {}
    return [query for query in (found, window) if query]


def _shows(feed: FeedSpec, row: Json, name: str, wanted: Any) -> bool:
    """Return whether a row has a value of a filter, or does not show it."""
    each = FEEDS[feed.name].filters.get(name)
    field = each.field if each else ""
    return not field or any(value in wanted for value in values_in(row.get(field)))
