"""The checks of the contract: one function for each assumption, which its docstring states."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from uuid import UUID

from jobo_sandbox import vocabulary
from jobo_sandbox.contract.api import (
    JOBS,
    SITES,
    Answer,
    Api,
    Differs,
    Feed,
    NotTestable,
    expect,
)
from tap_jobo.streams import FEEDS

Check = Callable[[Api], str | None]
"""Returns a remark, if there is one. Raises `Differs` or `NotTestable`."""

CHECKS: dict[str, tuple[str, Check]] = {}
"""What is assumed, and how to check it, by name."""

_NO_COMPANY = "/api/companies/00000000-0000-4000-8000-000000000000"
_EXPIRED = "/api/jobs/expired"
_WRONG_KEY = f"jbe_test_{'x' * 21}_{'x' * 43}"
# No row was updated after it, so that a page is empty and free.
_FAR_FUTURE = "2999-01-01T00:00:00Z"
_BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _CONFLICT = 400, 401, 404, 409
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


def _check(check: Check) -> Check:
    CHECKS[check.__name__] = str(check.__doc__), check
    return check


def _check_of_both(check: Callable[..., str | None]) -> None:
    for feed in (SITES, JOBS):
        CHECKS[f"{feed.stream}_{check.__name__}"] = str(check.__doc__), partial(check, feed=feed)


@_check
def profile_not_found(api: Api) -> None:
    """The profile of an unknown company answers 404."""
    _expect_status(api.send("GET", _NO_COMPANY), _NOT_FOUND)


@_check
def wrong_key(api: Api) -> None:
    """A wrong key answers 401."""
    for answer in _with_wrong_key(api):
        _expect_status(answer, _UNAUTHORIZED)


@_check
def errors(api: Api) -> None:
    """An error has title, status, detail or status, error, message, and deducts nothing."""
    for answer in _errors(api):
        names = answer.body().keys()
        known = names >= {"title", "status", "detail"} or names >= {"status", "error", "message"}
        expect(known, f"HTTP {answer.status} with {sorted(names)}")
        _expect_free(answer)


@_check
def date_header(api: Api) -> str:
    """Every response has a Date, within a day of the local clock."""
    ahead = timedelta()
    for answer in (*_errors(api), _filters(api), _expired(api), api.page(SITES)):
        text = answer.headers.get("Date", "")
        expect(text, f"HTTP {answer.status} without a Date")
        ahead = parsedate_to_datetime(text) - datetime.now(UTC)
        expect(abs(ahead) < _DAY, f"Date: {text}")
    return f"the API's clock is {ahead.total_seconds():+.0f} s from the local one"


@_check
def rate_limit_headers(api: Api) -> str:
    """Feeds and profiles carry the rate limit headers."""
    groups = []
    for answer in (_expired(api), api.send("GET", _NO_COMPANY)):
        names = [f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset")]
        limit, left, reset = (answer.number(name) for name in names)
        expect(None not in (limit, left, reset), f"HTTP {answer.status} without {', '.join(names)}")
        groups.append(f"{answer.headers.get('X-RateLimit-Group')}: {left} of {limit} left")
    return ", ".join(groups)


@_check
def compression(api: Api) -> str:
    """A response is compressed with gzip, or not at all."""
    coding = api.page(SITES).headers.get("Content-Encoding", "identity")
    expect(coding in {"gzip", "identity"}, coding)
    return coding


@_check
def bad_requests(api: Api) -> str:
    """HEAD and a path that does not exist are refused, and deduct nothing."""
    answers = (api.send("HEAD", SITES.path), api.send("GET", "/api/there-is-no-such-path"))
    for answer in answers:
        expect(answer.status in range(400, 500), f"HTTP {answer.status}")
        _expect_free(answer)
    return ", ".join(f"HTTP {answer.status}" for answer in answers)


@_check
def filter_values(api: Api) -> None:
    """The free list of filter values has the documented ones."""
    body = _filters(api).body()
    documented: dict[str, Iterable[str]] = {
        "work_models": vocabulary.WORK_MODELS,
        "employment_types": vocabulary.EMPLOYMENT_TYPES,
        "experience_levels": vocabulary.EXPERIENCE_LEVELS,
    }
    for name, values in documented.items():
        came = body.get("enums", {}).get(name, [])
        expect(set(came) == set(values), f"{name}: {came}")
    _expect_objects(body, "sources", {"key"})


@_check
def suggestions(api: Api) -> None:
    """The free suggestions of industries and locations have the documented fields."""
    industries = api.send("GET", "/api/connectors/filter-options/industries", params={"limit": 3})
    place = {"q": "berlin", "limit": 3}
    places = api.send("GET", "/api/connectors/locations/suggest", params=place)
    if _NOT_FOUND in {industries.status, places.status}:
        raise NotTestable("this API does not have them")
    _expect_objects(industries.delivered().body(), "options", {"key", "count"})
    _expect_objects(places.delivered().body(), "suggestions", {"city", "region", "country"})


@_check_of_both
def envelope(api: Api, feed: Feed) -> None:
    """X-Has-More says what has_more says, and there is a cursor where there is more."""
    for answer in _pages(api, feed):
        body, _ = answer.body(), answer.rows(feed)
        more, cursor = body.get("has_more"), body.get("next_cursor")
        expect(isinstance(more, bool), f"has_more: {more}")
        expect(isinstance(cursor, str) or not more, f"next_cursor: {cursor}")
        header = answer.headers.get("X-Has-More", str(more)).lower()
        expect(header == str(more).lower(), f"X-Has-More: {header}, has_more: {more}")


@_check_of_both
def batch_size(api: Api, feed: Feed) -> None:
    """A page has batch_size rows at most, and one above the cap answers 400."""
    for answer in _pages(api, feed):
        count = len(answer.rows(feed))
        expect(count <= 1, f"{count} rows with batch_size 1")
    above = api.post(feed, batch_size=feed.cap + 1, updated_after=_FAR_FUTURE)
    _expect_status(above, _BAD_REQUEST)


@_check_of_both
def price(api: Api, feed: Feed) -> str:
    """X-Credits-Deducted is the list price of the rows, and the balance falls by it."""
    first, second = _pages(api, feed)
    deducted, rows = second.number("X-Credits-Deducted"), len(second.rows(feed))
    balances = [answer.number("X-Credits-Balance") for answer in (first, second)]
    if deducted is None and feed is not SITES and (balances[1] or second.number("X-Quota-Limit")):
        return "free on this plan"
    expect(deducted == rows * feed.price, f"{deducted} credits for {rows} rows")
    between = api.answers[api.answers.index(first) + 1 : api.answers.index(second) + 1]
    spent = sum(answer.number("X-Credits-Deducted") or 0 for answer in between)
    fallen = (balances[0] or 0) - (balances[1] or 0)
    expect(None not in balances and fallen == spent, f"{spent} credits, balances {balances}")
    return f"{feed.price} credits a row"


@_check_of_both
def fields(api: Api, feed: Feed) -> str:
    """Ids are UUIDs, and the tap's schema has every field of a row."""
    (schema,) = (spec.schema for spec in FEEDS if spec.name == feed.stream)
    rows = api.page(feed).rows(feed)
    _expect_uuids([row.get("id") for row in rows])
    names = {name for row in rows for name in row}
    unknown = names - schema.to_dict()["properties"].keys()
    expect(not unknown, f"unknown fields {sorted(unknown)}")
    return "with updated_at" if "updated_at" in names else "without updated_at"


@_check_of_both
def cursor(api: Api, feed: Feed) -> None:
    """The cursor leads to a second page, which repeats no row."""
    first, second = (page.rows(feed) for page in _pages(api, feed))
    expect(second, "the second page is empty")
    ids = {row.get("id") for row in (*first, *second)}
    expect(len(ids) == len(first) + len(second), "the second page repeats the first")


@_check_of_both
def bad_cursor(api: Api, feed: Feed) -> str:
    """A cursor that is garbage answers 400 Invalid cursor, or 409."""
    answer = api.post(feed, cursor="garbage")
    text = " ".join(map(str, answer.body().values()))
    messages = {_BAD_REQUEST: "Invalid cursor", _CONFLICT: "feed_cursor_restart_required"}
    came = f"HTTP {answer.status}: {text:.100}"
    expect(answer.status in messages and messages[answer.status] in text, came)
    return f"HTTP {answer.status}"


@_check
def career_sites_cursor_alone(api: Api) -> None:
    """A cursor without the body leads to the same page as with it."""
    alone, repeated = (api.second_page(SITES, alone=alone).rows(SITES) for alone in (True, False))
    expect(alone == repeated, "it leads to another page")


@_check
def career_sites_updated_after(api: Api) -> None:
    """updated_after excludes a row that was updated at that instant."""
    row, instant = _first_updated(api, SITES)
    if _first_after(api, SITES, instant - _TICK) != row:
        raise NotTestable("the first row is not the first of those updated since")
    expect(_first_after(api, SITES, instant) != row, "it includes the row")


@_check
def jobs_updated_after(api: Api) -> None:
    """updated_after includes a job that was updated at that instant."""
    row, instant = _first_updated(api, JOBS)
    expect(_first_after(api, JOBS, instant) == row, "it excludes the job")
    expect(_first_after(api, JOBS, instant + _TICK) != row, "it includes an earlier job")


@_check
def jobs_order(api: Api) -> None:
    """Jobs come in the order of created_at."""
    times = [str(row.get("created_at")) for page in _pages(api, JOBS) for row in page.rows(JOBS)]
    expect(times == sorted(times, key=datetime.fromisoformat), ", then ".join(times))


@_check
def jobs_estimated_total(api: Api) -> str:
    """The first page estimates the number of jobs."""
    total = api.page(JOBS).body().get("estimated_total")
    expect(isinstance(total, int), f"estimated_total: {total}")
    return f"{total:,} jobs"


@_check
def expired_jobs(api: Api) -> str:
    """Ids of expired jobs are UUIDs, batch_size of them at most, and free."""
    answer = _expired(api)
    _expect_free(answer)
    ids = answer.body().get("job_ids", [])
    _expect_uuids(ids)
    expect(len(ids) <= 1, f"{len(ids)} ids with batch_size 1")
    limit = {"expired_since": _days_ago(6), "limit": 1}
    limited = api.send("GET", _EXPIRED, params=limit).delivered().body().get("job_ids", [])
    return f"limit=1 returns {len(limited)} ids"


@_check
def expired_jobs_limit(api: Api) -> None:
    """Ids of expired jobs go back 7 days at most."""
    too_early = {"expired_since": _days_ago(8), "batch_size": 1}
    _expect_status(api.send("GET", _EXPIRED, params=too_early), _BAD_REQUEST)


def _pages(api: Api, feed: Feed) -> Iterator[Answer]:
    """Fetch two pages as the tap does."""
    yield api.page(feed)
    yield api.second_page(feed, alone=feed is JOBS)


def _filters(api: Api) -> Answer:
    return api.send("GET", "/api/connectors/filters").delivered()


def _expired(api: Api) -> Answer:
    query = {"expired_since": _days_ago(6), "batch_size": 1}
    return api.send("GET", _EXPIRED, params=query).delivered()


def _with_wrong_key(api: Api) -> Iterator[Answer]:
    yield api.send("GET", _NO_COMPANY, key=_WRONG_KEY)
    yield api.post(SITES, key=_WRONG_KEY, batch_size=1, updated_after=_FAR_FUTURE)


def _errors(api: Api) -> Iterator[Answer]:
    yield api.send("GET", _NO_COMPANY)
    yield from _with_wrong_key(api)
    yield api.post(SITES, cursor="garbage")


def _days_ago(days: int) -> str:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _text(midnight - days * _DAY)


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _first_updated(api: Api, feed: Feed) -> tuple[str, datetime]:
    rows = api.page(feed).rows(feed)
    if not rows or "updated_at" not in rows[0]:
        raise NotTestable("rows have no updated_at")
    return str(rows[0].get("id")), datetime.fromisoformat(str(rows[0]["updated_at"]))


def _first_after(api: Api, feed: Feed, instant: datetime) -> str | None:
    rows = api.page(feed, updated_after=_text(instant)).rows(feed)
    return str(rows[0].get("id")) if rows else None


def _expect_status(answer: Answer, status: int) -> None:
    expect(answer.status == status, f"HTTP {answer.status}")


def _expect_free(answer: Answer) -> None:
    deducted = answer.number("X-Credits-Deducted")
    expect(not deducted, f"HTTP {answer.status} deducted {deducted} credits")


def _expect_objects(body: dict[str, Any], name: str, members: set[str]) -> None:
    items = body.get(name)
    known = isinstance(items, list) and all(members <= item.keys() for item in items)
    expect(known, f"{name}: {items!s:.100}")


def _expect_uuids(values: list[Any]) -> None:
    for value in values:
        try:
            UUID(value)
        except (AttributeError, TypeError, ValueError):
            raise Differs(f"the id {value!r}") from None
