"""APIs that lie: what each does to the sandbox, and the check that notices it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from jobo_sandbox import Endpoint, Entry, Fault, Sandbox

Tell = Callable[[Sandbox], None]
When = Callable[[Entry], bool]


def options(**values: Any) -> Tell:
    """Set options of the sandbox."""

    def change(sandbox: Sandbox) -> None:
        for name, value in values.items():
            setattr(sandbox, name, value)

    return change


def fault(endpoint: Endpoint | None, when: When | None = None, **attributes: Any) -> Tell:
    """Inject a fault into all requests, or some."""
    spoiled = Fault(times=None, **attributes)
    return lambda sandbox: sandbox.faults.add(spoiled, endpoint=endpoint, when=when)


def costs(endpoint: Endpoint, credits_: str, when: When | None = None, **attributes: Any) -> Tell:
    """Deduct credits for all requests, or some."""
    return fault(endpoint, when, headers={"X-Credits-Deducted": credits_}, **attributes)


def body(endpoint: Endpoint, change: Callable[[Any], Any], when: When | None = None) -> Tell:
    """Change each body that is no error."""
    return fault(endpoint, when, replace=lambda came: came if "status" in came else change(came))


def rows(endpoint: Endpoint, when: When | None = None, **values: Any) -> Tell:
    """Change fields of each row."""
    key = "career_sites" if endpoint == "feed" else "jobs"
    return body(endpoint, lambda came: came | {key: [row | values for row in came[key]]}, when)


def page(endpoint: Endpoint, *, is_empty: bool = False, **members: Any) -> Tell:
    """Change members of each page that has rows, or of each that has none."""
    key = "career_sites" if endpoint == "feed" else "jobs"
    return body(endpoint, lambda came: came if bool(came[key]) == is_empty else came | members)


def sent(entry: Entry) -> dict[str, Any]:
    """Return the body of a request."""
    return entry.body if isinstance(entry.body, dict) else {}


def has(**values: Any) -> When:
    """Whether a request has these values."""
    return lambda entry: values.items() <= {k: str(v) for k, v in sent(entry).items()}.items()


def only(size: int) -> When:
    """Whether a request asks for a page of this size, and for nothing else."""
    return lambda entry: sent(entry) == {"batch_size": size}


def by_cursor(entry: Entry) -> bool:
    """Whether a request asks for a later page."""
    return entry.cursor not in {None, "garbage"}


def is_wrong_key(entry: Entry) -> bool:
    """Whether a request has the wrong key."""
    return "xxx" in entry.headers.get("x-api-key", "")


def first_row_again(sandbox: Sandbox) -> None:
    """Let each page of one row have the same row."""
    seen: list[Any] = []

    def change(came: Any) -> Any:
        seen.append(came["career_sites"])
        return came | {"career_sites": next(each for each in seen if len(each) == 1)}

    body("feed", change, lambda entry: sent(entry).get("batch_size") == 1)(sandbox)


def one_id(sandbox: Sandbox) -> None:
    """Let each row have the same id."""
    rows("feed", id=next(iter(sandbox.world.rows())))(sandbox)


def is_over_a_week(entry: Entry) -> bool:
    """Whether a request asks for ids of more than seven days."""
    since = datetime.fromisoformat(entry.body["expired_since"])
    return entry.time - since > timedelta(days=7)


EMPTY = {"jobs": list[Any](), "career_sites": [], "next_cursor": None, "has_more": False}
OTHER_ID = "a6d0b299-142b-4eb6-9308-8e2cae5af18e"
NOPE = {"status": 400, "error": "Bad Request", "message": "Nope"}
YEAR = 365 * 86_400
OLD_JOB = EMPTY | {"jobs": [{"id": OTHER_ID, "created_at": "2001-01-01T00:00:00Z"}]}
garbage, in_2999 = has(cursor="garbage"), has(updated_after="2999-01-01T00:00:00.123456Z")

LIES: list[tuple[str, str, Tell]] = [
    # Money
    ("career_sites_price", "a lower price", options(price=40)),
    ("career_sites_price", "a higher price", options(price=60)),
    ("jobs_price", "a higher price of jobs", options(jobs_price=4)),
    ("career_sites_price", "2,500 credits for each page", costs("feed", "2500")),
    ("career_sites_price", "a flat price of pages", costs("feed", "50", only(5))),
    ("jobs_price", "half a credit too many", costs("jobs", "3.5", only(1))),
    ("jobs_updated_after", "empty pages cost", costs("jobs", "3", in_2999)),
    ("wrong_key", "refused keys cost", costs("feed", "50", is_wrong_key, status=401)),
    ("profile_not_found", "errors cost", costs("profile", "1", status=404)),
    ("rate_limit_headers", "expired ids cost", costs("expired_jobs", "1")),
    ("career_sites_price", "no money headers", options(omit_credit_headers=True)),
    ("jobs_price", "no money headers of jobs", options(jobs_plan="no_headers")),
    ("balance", "a balance that stays", fault(None, headers={"X-Credits-Balance": "10000000"})),
    ("jobs_price", "a lower balance", fault("jobs", only(5), headers={"X-Credits-Balance": "7"})),
    ("jobs_price", "a page that requires more", fault("jobs", headers={"X-Credits-Required": "9"})),
    # The key
    ("wrong_key", "403 for a wrong key", fault("feed", is_wrong_key, status=403)),
    ("wrong_key", "a page for a wrong key", fault("feed", is_wrong_key, status=200, body=EMPTY)),
    ("profile_key", "500", fault("profile", lambda e: "x-api-key" not in e.headers, status=500)),
    (
        "user_agent",
        "refused",
        fault("profile", lambda e: "tap-" in e.headers["user-agent"], status=403),
    ),
    # Headers
    ("date_header", "no Date", options(omit_date_header=True)),
    ("date_header", "two days ago", options(clock_offset=-2 * 86_400)),
    ("rate_limit_headers", "none", options(omit_rate_headers=True)),
    ("compression", "unknown", fault("feed", headers={"Content-Encoding": "br"})),
    ("career_sites_pages", "contradiction", fault("feed", headers={"X-Has-More": "false"})),
    # Errors
    ("errors", "text", options(error_shape="text")),
    ("errors", "HTML", options(error_shape="html")),
    ("errors", "a detail alone", fault("profile", status=404, body={"detail": "?"})),
    ("profile_not_found", "another status", fault("profile", status=410)),
    ("career_sites_rejected_cursor", "other words", fault("feed", garbage, status=400, body=NOPE)),
    ("jobs_rejected_cursor", "ignored", options(ignored={"cursor"})),
    ("jobs_rejected_cursor", "500", fault("jobs", garbage, status=500)),
    ("career_sites_bad_values", "7", fault("feed", has(industries="7"), status=200, body=EMPTY)),
    ("jobs_bad_values", "above", fault("jobs", has(batch_size="1001"), status=200, body=EMPTY)),
    # Pages
    ("jobs_pages", "has_more as text", page("jobs", has_more="yes")),
    ("career_sites_pages", "a number as cursor", page("feed", next_cursor=7)),
    ("career_sites_pages", "more without a cursor", page("feed", next_cursor=None)),
    ("career_sites_pages", "no second page", page("feed", has_more=False, next_cursor=None)),
    ("jobs_updated_after", "no envelope", body("jobs", lambda _: {"data": []})),
    ("jobs_updated_after", "204", fault("jobs", in_2999, send_as=204, replace={})),
    ("career_sites_empty_page", "a null cursor", options(null_cursor_at_end=True)),
    ("career_sites_empty_page", "a cursor", page("feed", is_empty=True, next_cursor="x")),
    ("jobs_price", "batch_size ignored", options(ignored={"batch_size"})),
    ("jobs_price", "no rows", body("jobs", lambda _: EMPTY)),
    ("career_sites_cursor", "a page that repeats", first_row_again),
    ("jobs_cursor", "a page without rows", fault("jobs", by_cursor, replace=EMPTY)),
    ("jobs_cursor", "the same cursor again", page("jobs", next_cursor="x")),
    ("jobs_cursor", "more rows", body("jobs", lambda b: b | {"jobs": b["jobs"] * 100}, by_cursor)),
    ("career_sites_cursor", "cursors that expire at once", options(cursor_lifetime=-1)),
    ("jobs_filters", "a cursor without filters", rows("jobs", by_cursor, source="x")),
    ("jobs_filters", "a cursor without window", rows("jobs", by_cursor, updated_at="2001-01-01")),
    ("jobs_order", "another order", fault("jobs", by_cursor, replace=OLD_JOB)),
    ("jobs_estimated_total", "none", body("jobs", lambda b: b | {"estimated_total": None})),
    # Rows
    ("career_sites_fields", "ids that are numbers", rows("feed", id=7)),
    ("jobs_fields", "ids without dashes", options(ids_without_dashes=True)),
    ("career_sites_fields", "unknown fields", options(more_fields={"external_id": None})),
    ("jobs_fields", "another type", rows("jobs", benefits="none")),
    ("career_sites_fields", "null", rows("feed", ats=None)),
    ("career_sites_ids", "one id for all", one_id),
    ("jobs_ids", "one row", body("jobs", lambda b: b | {"jobs": b["jobs"][:1] * len(b["jobs"])})),
    ("profile", "no name", body("profile", lambda b: b | {"name": None})),
    ("profile", "another company", fault("profile", replace={"id": OTHER_ID, "name": "x"})),
    # Windows and filters
    ("career_sites_updated_after", "ignored", options(ignored={"updated_after"})),
    ("jobs_updated_after", "ignored too", options(ignored={"updated_after"})),
    ("jobs_updated_after", "no microseconds", fault("jobs", in_2999, status=400)),
    ("career_sites_window", "an overlap of a year", options(overlap=YEAR)),
    ("jobs_window", "late", fault("jobs", lambda e: "updated_after" in sent(e), replace=EMPTY)),
    ("jobs_filters", "no rows", fault("jobs", lambda e: "sources" in sent(e), replace=EMPTY)),
    *[
        (f"{stream}_{name}", "filter ignored", options(ignored={name}))
        for stream, names in {
            "career_sites": "industries company_sizes country_codes funding_stages company_types "
            "founded_after is_agency",
            "jobs": "locations sources work_models employment_types experience_levels posted_after",
        }.items()
        for name in names.split()
    ],
    # The rest
    ("expired_jobs", "no ids", body("expired_jobs", lambda b: b | {"job_ids": [7]})),
    ("expired_jobs", "repeated ids", body("expired_jobs", lambda b: b | {"job_ids": [OTHER_ID]})),
    ("expired_jobs", "too many", options(ignored={"batch_size"})),
    ("expired_jobs_limit", "none", fault("expired_jobs", is_over_a_week, status=200, body=EMPTY)),
    ("managed_jobs", "another format", body("managed_jobs", lambda _: {"items": []})),
    ("filter_values", "others", body("filters", lambda b: b | {"enums": {"work_models": ["x"]}})),
    ("suggestions", "others", body("industries", lambda _: {"options": [{}]})),
]

HONEST: dict[str, Tell] = {
    "as documented": options(),
    "public profiles and an overlap": options(public_profiles=True, overlap=300),
    "no updated_at": lambda sandbox: setattr(sandbox.world, "rows_with_updated_at", False),
    "other errors": options(error_shape="message"),
    "errors without a status": options(error_shape="error"),
    "another order": options(order="updated_desc"),
    "the order of the changes": options(order="updated_asc"),
    "jobs included in the plan": options(jobs_plan="included"),
    "jobs without limit": options(jobs_plan="unlimited"),
    "a balance of a dollar": options(balance=1_000),
}
