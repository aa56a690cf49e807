"""What a request asks for, and the cursor that carries it from page to page."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from jobo_sandbox.company_data import Json
from jobo_sandbox.instants import DAY, parse
from jobo_sandbox.job_data import Job
from jobo_sandbox.ledger import Endpoint
from jobo_sandbox.world import Position

MAX_BATCH_SIZE = 50
MAX_JOBS = 1_000
MAX_EXPIRED = 10_000
# What live users have seen: a request for jobs without a size gets a full page.
_DEFAULT_JOBS = 1_000
# Not documented: clients must not rely on it.
_DEFAULT_EXPIRED = 1_000
_LONGEST_LOOKBACK = 7 * DAY
# Each list filter, and the trait that must equal (or contain) one of its values.
_LISTS = {
    "industries": "industries",
    "company_sizes": "company_size",
    "country_codes": "country_code",
    "funding_stages": "funding_stage",
    "company_types": "company_type",
}
_JOB_LISTS = ("sources", "work_models", "employment_types", "experience_levels")
_MANAGED_LISTS = ("sources", "work_models")
_JOB_TRAITS = {
    "work_models": "work_model",
    "employment_types": "employment",
    "experience_levels": "experience",
}
_PLACE = ("country", "region", "city")
_ALLOWED = {"country_codes": "[A-Z]{2}", "company_types": "for_profit|non_profit"}
# Earlier than every update.
_ALWAYS = 0
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Query:
    """A scan through the feed.

    Attributes:
        filters: The filters that were sent, by their names in the body.
        newer_than: Only rows updated (or expired) after this instant, in microseconds since 1970.
        batch_size: Rows per page.
    """

    filters: Json
    newer_than: int
    batch_size: int

    def matches(self, traits: Json) -> bool:
        """Whether a company with these traits passes the filters."""
        return all(_passes(name, wanted, traits) for name, wanted in self.filters.items())

    def matches_job(self, job: Job) -> bool:
        """Whether a job passes the filters and was updated recently enough."""
        return job.updated_at > self.newer_than and all(
            _job_passes(name, wanted, job) for name, wanted in self.filters.items()
        )


def read_query(body: Json) -> Query:
    """Read a request for career sites.

    Raises:
        ValueError: If the API would reject it. The message is meant for the user.
    """
    filters = {name: _list(body, name) for name in _LISTS}
    filters["founded_after"] = _typed(body, "founded_after", int, "an integer")
    filters["is_agency"] = _typed(body, "is_agency", bool, "a boolean")
    size = _batch_size(body, MAX_BATCH_SIZE, MAX_BATCH_SIZE)
    newer_than = _instant(body, "updated_after")
    return Query(_given(filters), _ALWAYS if newer_than is None else newer_than, size)


def read_jobs_query(body: Json, *, managed: bool) -> Query:
    """Read a request for jobs.

    Raises:
        ValueError: If the API would reject it. The message is meant for the user.
    """
    filters: Json = {
        name: _list(body, name) for name in (_MANAGED_LISTS if managed else _JOB_LISTS)
    }
    filters["posted_after"] = _instant(body, "posted_after")
    if not managed:
        filters["locations"] = _locations(body)
    size = _batch_size(body, _DEFAULT_JOBS, MAX_JOBS)
    since = _instant(body, "updated_after")
    return Query(_given(filters), _ALWAYS if since is None else since - 1, size)


def read_expired_query(parameters: Json, now: int) -> Query:
    """Read a request for expired jobs: the parameters of its URL.

    Raises:
        ValueError: If the API would reject it. The message is meant for the user.
    """
    size = parameters.get("batch_size")
    if size is not None and not size.isdecimal():
        raise ValueError("batch_size must be an integer.")
    number = {"batch_size": None if size is None else int(size)}
    since = _instant(parameters, "expired_since")
    if since is None:
        since = now - DAY
    if since < now - _LONGEST_LOOKBACK:
        raise ValueError("expired_since must not be more than 7 days ago.")
    return Query({}, since - 1, _batch_size(number, _DEFAULT_EXPIRED, MAX_EXPIRED))


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page of a scan starts: after a row, after so many pages. Signed.

    With a lifetime, it has the instant of its issue in microseconds since 1970.
    """

    endpoint: Endpoint
    query: Query
    order: str
    after: Position | None
    pages: int
    issued_at: int = 0


def write_cursor(cursor: Cursor, secret: bytes) -> str:
    """Encode a cursor as URL-safe text."""
    payload = json.dumps(asdict(cursor), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(payload, secret) + payload).decode().rstrip("=")


def read_cursor(text: str, secret: bytes) -> Cursor:
    """Decode a cursor.

    Raises:
        ValueError: If it was not signed with this secret.
    """
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(payload, secret)):
        raise ValueError("not a cursor of this sandbox")
    fields = json.loads(payload)
    after = fields["after"] and (fields["after"][0], fields["after"][1])
    return Cursor(**fields | {"query": Query(**fields["query"]), "after": after})


def _sign(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, payload, hashlib.sha256)[:_SIGNATURE_BYTES]


def _typed(body: Json, name: str, kind: type, what: str) -> Any:
    value = body.get(name)
    if value is not None and type(value) is not kind:  # a bool is not an integer here
        raise ValueError(f"{name} must be {what}.")
    return value


def _instant(body: Json, name: str) -> int | None:
    text = _typed(body, name, str, "a date-time")
    try:
        return None if text is None else parse(text)
    except ValueError:
        raise ValueError(f"{name} must be a date-time.") from None


def _batch_size(body: Json, default: int, most: int) -> int:
    size = _typed(body, "batch_size", int, "an integer")
    size = default if size is None else size
    if not 1 <= size <= most:
        raise ValueError(f"batch_size must be between 1 and {most}.")
    return int(size)


def _locations(body: Json) -> list[Json]:
    places: list[Json] = _typed(body, "locations", list, "an array of objects") or []
    for place in places:
        if not isinstance(place, dict):
            raise ValueError("locations must be an array of objects.")  # noqa: TRY004 - a bad request
        for name in _PLACE:
            _typed(place, name, str, "a string")
    return places


def _given(filters: Json) -> Json:
    return {name: value for name, value in filters.items() if value not in (None, [])}


def _list(body: Json, name: str) -> list[str]:
    values: list[str] = _typed(body, name, list, "an array of strings") or []
    pattern = re.compile(_ALLOWED.get(name, ".*"), flags=re.DOTALL)
    for value in values:
        if not (isinstance(value, str) and pattern.fullmatch(value)):
            raise ValueError(f"{name}: {value!r} is not allowed.")
    return values


def _passes(name: str, wanted: Any, traits: Json) -> bool:
    if name == "founded_after":
        return bool((traits["founded_year"] or 0) >= wanted)
    if name == "is_agency":
        return bool(traits["is_agency"] == wanted)
    trait = traits[_LISTS[name]]
    return any(value in wanted for value in (trait if name == "industries" else [trait]))


def _job_passes(name: str, wanted: Any, job: Job) -> bool:
    if name == "posted_after":
        posted = job.row["date_posted"]
        return bool(job.created_at >= wanted or (posted and parse(posted) >= wanted))
    if name == "locations":
        return any(_is_at(place, where) for place in wanted for where in job.row["locations"])
    value = job.row["source"] if name == "sources" else job.traits[_JOB_TRAITS[name]]
    return value in wanted


def _is_at(place: Json, where: Json) -> bool:
    return all(place.get(name) in {None, where.get(name)} for name in _PLACE)
