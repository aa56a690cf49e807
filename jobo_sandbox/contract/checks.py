"""The checks that are not of one feed: the key, profiles, expired jobs, errors, and headers."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from jobo_sandbox import vocabulary
from jobo_sandbox.contract.api import Answer, Api
from jobo_sandbox.contract.outcomes import (
    CHANGE,
    HANDLED,
    WARNED,
    WORST,
    Differs,
    NotTestable,
    expect,
)
from jobo_sandbox.contract.registry import CLIENT, DOCS, LAST_CHECKS, TAP, check
from jobo_sandbox.instants import FAR_FUTURE
from tap_jobo.clock import format_timestamp, parse_http_date
from tap_jobo.records.values import parse_uuid
from tap_jobo.streams.career_sites import CAREER_SITES as SITES
from tap_jobo.streams.jobs import EXPIRED_JOBS, MANAGED_JOBS

FILTER_VALUES: Final = {
    "work_models": vocabulary.WORK_MODELS,
    "employment_types": vocabulary.EMPLOYMENT_TYPES,
    "experience_levels": vocabulary.EXPERIENCE_LEVELS,
}
"""All values of some filters of jobs, by the filter."""
_NO_COMPANY: Final = "/api/companies/00000000-0000-4000-8000-000000000000"
_WRONG_KEY: Final = {"X-Api-Key": f"jbe_test_{'x' * 21}_{'x' * 43}"}
_OTHER_AGENT: Final = {"User-Agent": "python-requests/2.32"}
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404
BAD_REQUESTS: Final = (_BAD_REQUEST, 422)
_SHAPES: Final = ({"title", "status"}, {"status", "error", "message"}, {"error"})


@check(DOCS, CHANGE)
def wrong_key(api: Api) -> None:
    """A feed refuses a wrong key with 401."""
    answer = api.request(SITES, headers=_WRONG_KEY, updated_after=FAR_FUTURE)
    answer.expect_status(
        _UNAUTHORIZED, tap_does=HANDLED if answer.status >= _BAD_REQUEST else CHANGE
    )


@check(DOCS, CHANGE)
def profile_not_found(api: Api) -> None:
    """The profile of an unknown company is 404."""
    api.get(_NO_COMPANY).expect_status(_NOT_FOUND)


@check(CLIENT, HANDLED)
def profile_key(api: Api) -> str:
    """Profiles are public, or need the key."""
    status = api.get(_NO_COMPANY, {"X-Api-Key": None}).status
    expect(status in {_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND}, f"HTTP {status} without a key")
    return "public" if status == _NOT_FOUND else f"HTTP {status} without a key"


@check(TAP, CHANGE)
def user_agent(api: Api) -> None:
    """The tap's User-Agent is not refused."""
    own, other = api.get(_NO_COMPANY).status, api.get(_NO_COMPANY, _OTHER_AGENT).status
    expect(own in {other, _NOT_FOUND}, f"HTTP {own}, but {other} for python-requests")


@check(DOCS, HANDLED)
def rate_limit_headers(api: Api) -> str:
    """Feeds and profiles have the rate limit headers."""
    groups = []
    for answer in (_expired(api, days=6).delivered(), api.get(_NO_COMPANY)):
        names = [f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset")]
        limit, left, reset = (answer.credits(name) for name in names)
        expect(None not in (limit, left, reset), f"HTTP {answer.status} without {', '.join(names)}")
        groups.append(f"{answer.headers.get('X-RateLimit-Group')}: {left} of {limit} left")
    return ", ".join(groups)


@check(CLIENT, HANDLED)
def filter_values(api: Api) -> None:
    """The free list of filter values has the documented ones."""
    body = api.get("/api/connectors/filters").delivered().body()
    for name, values in FILTER_VALUES.items():
        came = body["enums"].get(name)
        expect(came and {*came} == {*values}, f"{name}: {came!s:.100}")
    _expect_objects(body.get("sources"), {"key"})


@check(DOCS, CHANGE)
def expired_jobs(api: Api) -> str:
    """Ids of expired jobs are UUIDs, batch_size of them at most, and a cursor leads to others."""
    answer = _expired(api, days=6).delivered(EXPIRED_JOBS)
    ids, following = answer.items(EXPIRED_JOBS), answer.following()
    expect(len(ids) <= 1, f"{len(ids)} ids with batch_size 1", HANDLED)
    if not following:
        raise NotTestable("too few jobs have expired in six days")
    ids += _expired(api, days=6, after=following).delivered(EXPIRED_JOBS).items(EXPIRED_JOBS)
    wrong = [each for each in ids if not parse_uuid(each)]
    expect(not wrong, f"the id {wrong[:1]!s:.60}")
    expect(len(ids) == len({*ids}), "the second page repeats the first")
    return f"such as {ids[0]}"


@check(DOCS, HANDLED)
def expired_jobs_limit(api: Api) -> None:
    """Ids of expired jobs go back 7 days at most."""
    _expired(api, days=8).allowed().expect_status(*BAD_REQUESTS)


@check(DOCS, CHANGE, to=LAST_CHECKS)
def managed_jobs(api: Api) -> str:
    """The managed feed returns pages like those of the jobs."""
    rows = api.page(MANAGED_JOBS, updated_after=FAR_FUTURE).items(MANAGED_JOBS)
    expect(not rows, f"{len(rows)} rows for updated_after {FAR_FUTURE}", window_verdict(rows))
    return "this account may use it"


@check(CLIENT, HANDLED, to=LAST_CHECKS)
def errors(api: Api) -> str:
    """Errors are JSON with title and status, with status, error, and message, or error alone."""
    came = set()
    for answer in api.answers:
        names = answer.body().keys()
        is_known = any(shape <= names for shape in _SHAPES)
        kind = answer.headers.get("Content-Type", "no content type")
        said = f"HTTP {answer.status} has {kind}, {sorted(names)}; the tap says: {answer.says()[0]}"
        expect(answer.status < _BAD_REQUEST or is_known, said)
        came |= {*names} if answer.status >= _BAD_REQUEST else set()
    return ", ".join(sorted(came))


@check(TAP, CHANGE, to=LAST_CHECKS)
def date_header(api: Api) -> str:
    """Every response has a Date, within a day of the local clock."""
    ahead = timedelta()
    for answer in (each for each in api.answers if each.status):
        if not (date := parse_http_date(answer.headers.get("Date"))):
            raise Differs(f"HTTP {answer.status} without a Date")
        ahead = date - datetime.now(UTC)
        expect(abs(ahead) < timedelta(days=1), f"Date: {date}")
    return f"the API's clock is {ahead.total_seconds():+.0f} s from the local one"


@check(TAP, HANDLED, to=LAST_CHECKS)
def compression(api: Api) -> str:
    """A response is compressed with gzip, or not at all."""
    codings = {answer.headers.get("Content-Encoding", "identity") for answer in api.answers}
    # If a body is compressed in another way, its own check says that the tap cannot read it.
    expect(codings <= {"gzip", "identity"}, ", ".join(sorted(codings)))
    return ", ".join(sorted(codings))


@check(DOCS, HANDLED, to=LAST_CHECKS)
def balance(api: Api) -> str:
    """Only rows that were requested cost something, and the balance falls by what is deducted."""
    for tap_does in WORST:
        if bill := next((bill for bill in api.bills if bill.tap_does == tap_does), None):
            raise bill
    if api.fallen is None:
        raise NotTestable("no response has X-Credits-Balance")
    expect(api.fallen == api.credits, f"it fell by {api.fallen:,}, not {api.credits:,} credits")
    return f"by {api.fallen:,} credits"


@check(CLIENT, HANDLED, to=LAST_CHECKS)
def deprecation(api: Api) -> None:
    """No response announces that an endpoint changes or ends."""
    for answer in api.answers:
        for name in ("Deprecation", "Sunset"):
            text = answer.headers.get(name)
            expect(text is None, f"{answer.path} has the header {name}: {text}")


def window_verdict(rows: list[Any]) -> str:
    """Return what the tap does about rows that changed before a window: it warns if it sees it."""
    is_seen = any(isinstance(row, dict) and "updated_at" in row for row in rows)
    return WARNED if is_seen else CHANGE


def _expired(api: Api, days: int, after: str = "") -> Answer:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = format_timestamp(midnight - timedelta(days=days))
    return api.get(EXPIRED_JOBS.path, expired_since=since, batch_size=1, cursor=after or None)


def _expect_objects(items: Any, members: set[str]) -> None:
    expect(items and all(members <= item.keys() for item in items), f"{items!s:.100}")
