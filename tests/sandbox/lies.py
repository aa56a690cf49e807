"""APIs that differ from the documentation: what each does, and what the contract check says."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jobo_sandbox import Entry, Fault, Sandbox
from jobo_sandbox.contract.outcomes import CHANGE, HANDLED, WARNED
from tests.streams.test_other_formats import camel_case

Tell = Callable[[Sandbox], None]
When = Callable[[Entry], bool]
SITES = "career_sites"
EMPTY = {"jobs": list[Any](), "career_sites": [], "next_cursor": None, "has_more": False}
NOPE = {"status": 400, "error": "Bad Request", "message": "Nope"}
YEAR = 365 * 86_400


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


def both(*tells: Tell) -> Tell:
    """Lie in several ways."""

    def tell(sandbox: Sandbox) -> None:
        for each in tells:
            each(sandbox)

    return tell


def sent(entry: Entry) -> dict[str, Any]:
    """Return the body of a request."""
    return entry.body if isinstance(entry.body, dict) else {}


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


def is_over_a_week(entry: Entry) -> bool:
    """Whether a request asks for ids of more than seven days."""
    since = datetime.fromisoformat(entry.body["expired_since"])
    return entry.time - since > timedelta(days=7)


def first_page_again(sandbox: Sandbox) -> None:
    """Let each page have the rows of the first one of its size."""
    seen: dict[Any, Any] = {}

    def change(came: Any) -> Any:
        size = len(came["career_sites"])
        return came | {"career_sites": seen.setdefault(size, came["career_sites"])}

    body(SITES, change)(sandbox)


def without_dashes(body: dict[str, Any]) -> dict[str, Any]:
    """Leave the dashes out of the ids."""
    return body | {"jobs": [row | {"id": row["id"].replace("-", "")} for row in body["jobs"]]}


def one_id(sandbox: Sandbox) -> None:
    """Let each row have the same id."""
    rows(SITES, id=next(iter(sandbox.world.rows())))(sandbox)


class Lie(NamedTuple):
    """What an API does, and what the check says of it.

    Attributes:
        what: What the API does.
        check: The check that notices it.
        verdict: What the tap does about it.
        tell: Lets the sandbox do it.
    """

    what: str
    check: str
    verdict: str
    tell: Tell


SILENT = fault(SITES, headers={"X-Credits-Deducted": "0"})
QUOTA = {"X-Credits-Deducted": "", "X-Credits-Balance": "", "X-Quota-Limit": "1000"}
OLD = {"created_at": "2001-01-01T00:00:00Z"}
NO_BAD_VALUE = fault(SITES, lambda e: str(sent(e).get("industries")) == "7", status=200, body=EMPTY)
REJECTED = fault(SITES, is_rejected, status=400, body=NOPE)

LIES = [
    # Money
    Lie("a lower price", "career_sites_price", HANDLED, options(price=40)),
    Lie("a higher price of jobs", "jobs_price", WARNED, options(jobs_price=4)),
    Lie("no deduction", "career_sites_price", WARNED, costs(SITES, "")),
    Lie(
        "nothing deducted, and no balance",
        "career_sites_price",
        CHANGE,
        both(options(omit_credit_headers=True), SILENT),
    ),
    Lie(
        "a flat price of pages",
        "balance",
        CHANGE,
        costs(SITES, "50", lambda e: sent(e)["batch_size"] > 1),
    ),
    Lie("empty pages cost", "balance", WARNED, options(empty_price=3)),
    Lie("refused keys cost", "balance", WARNED, costs(SITES, "50", is_wrong_key, status=401)),
    Lie("errors cost", "balance", CHANGE, costs("profile", "1", status=404)),
    Lie(
        "a balance that stays",
        "balance",
        HANDLED,
        fault(None, headers={"X-Credits-Balance": "10000000"}),
    ),
    Lie("nothing deducted", "balance", WARNED, costs("jobs", "0")),
    Lie("a quota alone, though the balance falls", "balance", CHANGE, fault("jobs", headers=QUOTA)),
    Lie("batch_size ignored", "balance", WARNED, options(ignored={"batch_size"})),
    # The key, headers, and errors
    Lie("403 for a wrong key", "wrong_key", HANDLED, fault(SITES, is_wrong_key, status=403)),
    Lie(
        "a page for a wrong key",
        "wrong_key",
        CHANGE,
        fault(SITES, is_wrong_key, status=200, body=EMPTY),
    ),
    Lie(
        "500",
        "profile_key",
        HANDLED,
        fault("profile", lambda e: "x-api-key" not in e.headers, status=500),
    ),
    Lie(
        "refused",
        "user_agent",
        CHANGE,
        fault("profile", lambda e: "tap-" in e.headers["user-agent"], status=403),
    ),
    Lie("no Date", "date_header", CHANGE, options(omit_date_header=True)),
    Lie("two days ago", "date_header", CHANGE, options(clock_offset=-2 * 86_400)),
    Lie("none", "rate_limit_headers", HANDLED, options(omit_rate_headers=True)),
    Lie("unknown", "compression", HANDLED, fault(SITES, headers={"Content-Encoding": "br"})),
    Lie(
        "sunset",
        "deprecation",
        HANDLED,
        fault("jobs", headers={"Sunset": "Fri, 1 Jan 2027 00:00:00 GMT"}),
    ),
    Lie("text", "errors", HANDLED, options(error_shape="text")),
    Lie("another status", "profile_not_found", CHANGE, fault("profile", status=410)),
    Lie("other words", "career_sites_rejected_cursor", CHANGE, REJECTED),
    Lie("ignored", "jobs_rejected_cursor", CHANGE, options(ignored={"cursor"})),
    Lie("7", "career_sites_bad_values", HANDLED, NO_BAD_VALUE),
    # Pages
    Lie(
        "contradiction",
        "career_sites_pages",
        HANDLED,
        fault(SITES, headers={"X-Has-More": "false"}),
    ),
    Lie("has_more as text", "jobs_pages", CHANGE, page("jobs", has_more="yes")),
    Lie("an error beside rows", "career_sites_pages", WARNED, page(SITES, error="Timed out")),
    Lie("more without a cursor", "career_sites_pages", CHANGE, page(SITES, next_cursor=None)),
    Lie(
        "no second page",
        "career_sites_pages",
        CHANGE,
        page(SITES, has_more=False, next_cursor=None),
    ),
    Lie("camelCase", "jobs_updated_after", CHANGE, body("jobs", camel_case)),
    Lie("null", "career_sites_empty_page", HANDLED, page(SITES, is_empty=True, career_sites=None)),
    Lie("204", "jobs_updated_after", CHANGE, fault("jobs", is_windowed, send_as=204, replace={})),
    Lie(
        "a null cursor",
        "career_sites_empty_page",
        WARNED,
        page(SITES, is_empty=True, has_more=True),
    ),
    Lie("a page that repeats", "career_sites_cursor", CHANGE, first_page_again),
    Lie("a page without rows", "jobs_cursor", CHANGE, fault("jobs", by_cursor, replace=EMPTY)),
    Lie("the same cursor again", "jobs_cursor", CHANGE, page("jobs", next_cursor="x")),
    Lie(
        "cursors that expire at once",
        "career_sites_cursor",
        CHANGE,
        fault(SITES, by_cursor, reject_cursor="400"),
    ),
    Lie("the cursor's", "jobs_cursor_size", HANDLED, options(cursor_carries="everything")),
    Lie("a cursor without filters", "jobs_filters", CHANGE, rows("jobs", by_cursor, source="x")),
    Lie("another order", "jobs_order", HANDLED, rows("jobs", by_cursor, **OLD)),
    Lie(
        "none",
        "jobs_estimated_total",
        HANDLED,
        body("jobs", lambda b: b | {"estimated_total": None}),
    ),
    # Rows, windows, and the rest
    Lie("ids without dashes", "jobs_fields", HANDLED, body("jobs", without_dashes)),
    Lie("unknown fields", "career_sites_fields", WARNED, rows(SITES, external_id=None)),
    Lie("null", "career_sites_fields", HANDLED, rows(SITES, ats=None)),
    Lie("a number", "career_sites_pages", CHANGE, rows(SITES, ats=7)),
    Lie("one id for all", "career_sites_ids", CHANGE, one_id),
    Lie(
        "no name", "profile", CHANGE, body("profile", lambda b: {k: b[k] for k in b if k != "name"})
    ),
    Lie("camelCase of profiles", "profile", WARNED, body("profile", camel_case)),
    Lie("ignored", "career_sites_updated_after", WARNED, options(ignored={"updated_after"})),
    Lie("an overlap of a year", "career_sites_window", WARNED, options(overlap=YEAR)),
    Lie("late", "jobs_window", CHANGE, fault("jobs", is_windowed, replace=EMPTY)),
    Lie("no ids", "expired_jobs", CHANGE, body("expired_jobs", lambda b: b | {"job_ids": [7]})),
    Lie(
        "too many",
        "expired_jobs",
        HANDLED,
        body("expired_jobs", lambda b: b | {"job_ids": b["job_ids"] * 2}),
    ),
    Lie(
        "none",
        "expired_jobs_limit",
        HANDLED,
        fault("expired_jobs", is_over_a_week, status=200, body=EMPTY),
    ),
    Lie("another format", "managed_jobs", CHANGE, body("managed_jobs", lambda _: {"items": []})),
    Lie(
        "others",
        "filter_values",
        HANDLED,
        body("filters", lambda b: b | {"enums": {"work_models": ["x"]}}),
    ),
]

HONEST: dict[str, Tell] = {
    "as documented": options(),
    "public profiles and an overlap": options(public_profiles=True, overlap=300),
    "rows of the year 1": rows("jobs", updated_at="0001-01-01T00:00:00Z"),
    "no updated_at": lambda sandbox: setattr(sandbox.world, "rows_with_updated_at", False),
    "other errors": options(error_shape="message"),
    "errors without a status": options(error_shape="error"),
    "another order": options(order="updated_asc"),
    "jobs included in the plan": options(jobs_plan="included"),
    "jobs without limit": options(jobs_plan="unlimited"),
    "a balance of a dollar": options(balance=1_000),
}
