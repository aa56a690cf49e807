"""APIs that differ from the documentation: what each does to the sandbox, and who notices it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobo_sandbox import Entry, Fault, Sandbox
from tests.streams.test_other_formats import camel_case, in_camel_case, without_ats, without_nulls

Tell = Callable[[Sandbox], None]
When = Callable[[Entry], bool]
SITES = "career_sites"


def options(**values: Any) -> Tell:
    """Set options of the sandbox."""

    def change(sandbox: Sandbox) -> None:
        for name, value in values.items():
            setattr(sandbox, name, value)

    return change


def fault(endpoint: str | None, when: When | None = None, **attributes: Any) -> Tell:
    """Inject a fault into all requests, or some."""
    spoiled = Fault(times=None, **attributes)
    return lambda sandbox: sandbox.faults.add(spoiled, endpoint=endpoint, when=when)


def costs(endpoint: str, credits_: str, when: When | None = None, **attributes: Any) -> Tell:
    """Deduct credits for all requests, or some."""
    return fault(endpoint, when, headers={"X-Credits-Deducted": credits_}, **attributes)


def body(endpoint: str, change: Callable[[Any], Any], when: When | None = None) -> Tell:
    """Change each body that is no error."""
    return fault(endpoint, when, replace=lambda came: came if "status" in came else change(came))


def rows(endpoint: str, when: When | None = None, **values: Any) -> Tell:
    """Change fields of each row."""
    return body(
        endpoint, lambda came: came | {endpoint: [row | values for row in came[endpoint]]}, when
    )


def page(endpoint: str, *, is_empty: bool = False, **members: Any) -> Tell:
    """Change members of each page that has rows, or of each that has none."""
    return body(endpoint, lambda came: came if bool(came[endpoint]) == is_empty else came | members)


def sent(entry: Entry) -> dict[str, Any]:
    """Return the body of a request."""
    return entry.body if isinstance(entry.body, dict) else {}


def has(**values: Any) -> When:
    """Whether a request has these values."""
    return lambda entry: values.items() <= {k: str(v) for k, v in sent(entry).items()}.items()


def by_cursor(entry: Entry) -> bool:
    """Whether a request asks for a later page."""
    return entry.cursor not in {None, "garbage"}


def is_rejected(entry: Entry) -> bool:
    """Whether a request has a cursor that the API does not know."""
    return entry.cursor == "garbage"


def is_windowed(entry: Entry) -> bool:
    """Whether a request asks for rows that changed since an instant."""
    return "updated_after" in sent(entry)


def is_wrong_key(entry: Entry) -> bool:
    """Whether a request has the wrong key."""
    return "xxx" in entry.headers.get("x-api-key", "")


def is_nobody(entry: Entry) -> bool:
    """Whether a request is for a profile that nobody has."""
    return (entry.company_id or "").startswith("0000")


def first_page_again(sandbox: Sandbox) -> None:
    """Let each page have the rows of the first one of its size."""
    seen: dict[Any, Any] = {}

    def change(came: Any) -> Any:
        size = len(came["career_sites"])
        return came | {"career_sites": seen.setdefault(size, came["career_sites"])}

    body(SITES, change)(sandbox)


def one_id(sandbox: Sandbox) -> None:
    """Let each row have the same id."""
    rows(SITES, id=next(iter(sandbox.world.rows())))(sandbox)


def is_over_a_week(entry: Entry) -> bool:
    """Whether a request asks for ids of more than seven days."""
    since = datetime.fromisoformat(entry.body["expired_since"])
    return entry.time - since > timedelta(days=7)


def nulls(sandbox: Sandbox) -> None:
    """Let some rows have nulls."""
    for key in sandbox.world.rows():
        sandbox.world.touch(key, crunchbase_url=None)


def both(*tells: Tell) -> Tell:
    """Lie in several ways."""

    def tell(sandbox: Sandbox) -> None:
        for each in tells:
            each(sandbox)

    return tell


@dataclass(frozen=True)
class Lie:
    """What an API does, and the check that notices it.

    Attributes:
        name: The check, whose first words are the stream.
        what: What the API does.
        tell: Lets the sandbox do it.
        way: What a user of the tap does to meet it, if it takes more than two syncs.
    """

    name: str
    what: str
    tell: Tell
    way: str = ""


EMPTY = {"jobs": list[Any](), "career_sites": [], "next_cursor": None, "has_more": False}
OTHER_ID = "a6d0b299-142b-4eb6-9308-8e2cae5af18e"
GATEWAY = "<html><head><title>404 Not Found</title></head></html>"
NOPE = {"status": 400, "error": "Bad Request", "message": "Nope"}
YEAR = 365 * 86_400
LATE = {"has_more": False, "next_cursor": None}

LIES = [
    # Money
    Lie("career_sites_price", "a lower price", options(price=40)),
    Lie("jobs_price", "a higher price of jobs", options(jobs_price=4)),
    Lie("balance", "2,500 credits for each page", costs(SITES, "2500")),
    Lie(
        "balance",
        "a flat price of pages",
        costs(SITES, "50", lambda e: sent(e)["batch_size"] > 1),
    ),
    Lie("balance", "empty pages cost", options(empty_price=3)),
    Lie("balance", "refused keys cost", costs(SITES, "50", is_wrong_key, status=401), "key"),
    Lie("balance", "errors cost", costs("profile", "1", status=404)),
    Lie("balance", "expired ids cost", costs("expired_jobs", "1")),
    Lie("career_sites_price", "no money headers", options(omit_credit_headers=True)),
    Lie("balance", "a balance that stays", fault(None, headers={"X-Credits-Balance": "10000000"})),
    Lie("balance", "nothing deducted", costs("jobs", "0")),
    Lie("career_sites_price", "no deduction", costs(SITES, "")),
    Lie(
        "career_sites_price",
        "nothing deducted, and no balance",
        both(
            options(omit_credit_headers=True),
            fault(SITES, headers={"X-Credits-Deducted": "0"}),
        ),
    ),
    Lie(
        "balance",
        "a quota alone, though the balance falls",
        fault(
            "jobs",
            headers={"X-Credits-Deducted": "", "X-Credits-Balance": "", "X-Quota-Limit": "1000"},
        ),
    ),
    # The key
    Lie("wrong_key", "403 for a wrong key", fault(SITES, is_wrong_key, status=403), "key"),
    Lie(
        "wrong_key",
        "a page for a wrong key",
        fault(SITES, is_wrong_key, status=200, body=EMPTY),
        "key",
    ),
    Lie("profile_key", "500", fault("profile", lambda e: "x-api-key" not in e.headers, status=500)),
    Lie(
        "user_agent",
        "refused",
        fault("profile", lambda e: "tap-" in e.headers["user-agent"], status=403),
    ),
    # Headers
    Lie("date_header", "no Date", options(omit_date_header=True)),
    Lie("date_header", "two days ago", options(clock_offset=-2 * 86_400)),
    Lie("rate_limit_headers", "none", options(omit_rate_headers=True)),
    Lie("compression", "unknown", fault(SITES, headers={"Content-Encoding": "br"})),
    Lie(
        "career_sites_pages",
        "contradiction",
        fault(SITES, headers={"X-Has-More": "false"}),
    ),
    Lie("deprecation", "sunset", fault("jobs", headers={"Sunset": "Fri, 1 Jan 2027 00:00:00 GMT"})),
    # Errors
    Lie("errors", "text", options(error_shape="text")),
    Lie("errors", "HTML", fault("profile", is_nobody, status=404, body=GATEWAY)),
    Lie("profile_not_found", "another status", fault("profile", status=410)),
    Lie(
        "career_sites_rejected_cursor",
        "other words",
        fault(SITES, is_rejected, status=400, body=NOPE),
        "cursor",
    ),
    Lie("jobs_rejected_cursor", "ignored", options(ignored={"cursor"})),
    Lie("jobs_rejected_cursor", "500", fault("jobs", is_rejected, status=500), "cursor"),
    Lie(
        "career_sites_bad_values",
        "7",
        fault(SITES, has(industries="7"), status=200, body=EMPTY),
    ),
    # Pages
    Lie("jobs_pages", "has_more as text", page("jobs", has_more="yes")),
    Lie("career_sites_pages", "an error beside rows", page(SITES, error="Timed out")),
    Lie("career_sites_pages", "more without a cursor", page(SITES, next_cursor=None)),
    Lie(
        "career_sites_pages",
        "no second page",
        page(SITES, has_more=False, next_cursor=None),
    ),
    Lie("jobs_updated_after", "no envelope", body("jobs", lambda _: {"data": []})),
    Lie("jobs_updated_after", "camelCase", body("jobs", camel_case)),
    Lie("career_sites_empty_page", "null", page(SITES, is_empty=True, career_sites=None)),
    Lie("jobs_empty_page", "no list", body("jobs", lambda b: b if b["jobs"] else LATE)),
    Lie(
        "jobs_updated_after",
        "an error as the end",
        body("jobs", lambda b: b if b["jobs"] else LATE | {"error": "Busy"}),
    ),
    Lie("jobs_updated_after", "204", fault("jobs", is_windowed, send_as=204, replace={})),
    Lie("career_sites_empty_page", "a null cursor", options(null_cursor_at_end=True)),
    Lie("balance", "batch_size ignored", options(ignored={"batch_size"})),
    Lie("career_sites_cursor", "a page that repeats", first_page_again),
    Lie("jobs_cursor", "a page without rows", fault("jobs", by_cursor, replace=EMPTY)),
    Lie("jobs_cursor", "the same cursor again", page("jobs", next_cursor="x")),
    Lie("balance", "more rows", body("jobs", lambda b: b | {"jobs": b["jobs"] * 100}, by_cursor)),
    Lie("career_sites_cursor", "cursors that expire at once", options(cursor_lifetime=-1)),
    Lie("jobs_cursor_size", "the cursor's", options(cursor_carries="everything")),
    Lie("jobs_filters", "a cursor without filters", rows("jobs", by_cursor, source="x"), "source"),
    Lie(
        "jobs_order",
        "another order",
        rows("jobs", by_cursor, created_at="2001-01-01T00:00:00Z"),
    ),
    Lie("jobs_estimated_total", "none", body("jobs", lambda b: b | {"estimated_total": None})),
    # Rows
    Lie("jobs_fields", "ids without dashes", options(ids_without_dashes=True)),
    Lie("career_sites_fields", "unknown fields", options(more_fields={"external_id": None})),
    Lie("jobs_fields", "another type", rows("jobs", benefits="none")),
    Lie("career_sites_fields", "null", rows(SITES, ats=None)),
    Lie("career_sites_pages", "a number", rows(SITES, ats=7)),
    Lie(
        "career_sites_fields",
        "nulls that are left out",
        body(
            SITES,
            lambda b: {**b, "career_sites": without_nulls(without_ats(b)["career_sites"])},
        ),
    ),
    Lie("career_sites_pages", "a field that is gone", both(nulls, body(SITES, without_ats))),
    Lie(
        "jobs_fields",
        "rows in camelCase",
        body("jobs", in_camel_case("listing_url", "apply_url", "created_at")),
    ),
    Lie("career_sites_ids", "one id for all", one_id),
    Lie("profile", "null as name", body("profile", lambda b: b | {"name": None})),
    Lie("profile", "no name", body("profile", lambda b: {k: b[k] for k in b if k != "name"})),
    Lie("profile", "camelCase of profiles", body("profile", camel_case)),
    # Windows and filters
    Lie("career_sites_updated_after", "ignored", options(ignored={"updated_after"})),
    Lie("jobs_updated_after", "no microseconds", fault("jobs", is_windowed, status=400)),
    Lie("career_sites_window", "an overlap of a year", options(overlap=YEAR)),
    Lie("jobs_window", "late", fault("jobs", is_windowed, replace=EMPTY)),
    Lie("career_sites_industries", "filter ignored", options(ignored={"industries"}), "industries"),
    # The rest
    Lie("expired_jobs", "no ids", body("expired_jobs", lambda b: b | {"job_ids": [7]})),
    Lie(
        "expired_jobs",
        "too many",
        body("expired_jobs", lambda b: b | {"job_ids": b["job_ids"] * 2}),
    ),
    Lie(
        "expired_jobs_limit",
        "none",
        fault("expired_jobs", is_over_a_week, status=200, body=EMPTY),
    ),
    Lie("managed_jobs", "another format", body("managed_jobs", lambda _: {"items": []})),
    Lie(
        "filter_values",
        "others",
        body("filters", lambda b: b | {"enums": {"work_models": ["x"]}}),
    ),
    # What the tap must bear
    Lie(
        "rate_limit_headers",
        "401 for the clock",
        both(options(omit_rate_headers=True), fault("clock", status=401)),
    ),
]

HONEST: dict[str, Tell] = {
    "as documented": options(),
    "public profiles and an overlap": options(public_profiles=True, overlap=300),
    "rows of the year 1": rows("jobs", updated_at="0001-01-01T00:00:00Z"),
    "no updated_at": lambda sandbox: setattr(sandbox.world, "rows_with_updated_at", False),
    "other errors": options(error_shape="message"),
    "errors without a status": options(error_shape="error"),
    "another order": options(order="updated_desc"),
    "the order of the changes": options(order="updated_asc"),
    "jobs included in the plan": options(jobs_plan="included"),
    "jobs without limit": options(jobs_plan="unlimited"),
    "a balance of a dollar": options(balance=1_000),
}
