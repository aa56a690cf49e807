"""APIs that differ from the documentation: what each does, and what the contract check says."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from jobo_sandbox import Entry, Fault, Sandbox
from jobo_sandbox.contract.outcomes import CHANGE, HANDLED, WARNED
from tests.streams.test_other_formats import camel_case

Tell = Callable[[Sandbox], None]
When = Callable[[Entry], bool]
SITES = "career_sites"
EMPTY = {"jobs": list[Any](), "career_sites": [], "next_cursor": None, "has_more": False}
NOPE = {"status": 400, "error": "Bad Request", "message": "Nope"}
NOTHING_TOLD = {"X-Credits-Deducted": "0", "X-Credits-Balance": ""}
QUOTA = {"X-Credits-Deducted": "", "X-Credits-Balance": "", "X-Quota-Limit": "1000"}


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
    return entry.body if isinstance(entry.body, dict) else {}


def by_cursor(entry: Entry) -> bool:
    """Whether a request asks for a later page."""
    return entry.cursor not in {None, "garbage"}


def is_rejected(entry: Entry) -> bool:
    return entry.cursor == "garbage"


def is_windowed(entry: Entry) -> bool:
    return "updated_after" in sent(entry)


def is_wrong_key(entry: Entry) -> bool:
    return "xxx" in entry.headers.get("x-api-key", "")


def is_without_key(entry: Entry) -> bool:
    return "x-api-key" not in entry.headers


def is_of_the_tap(entry: Entry) -> bool:
    return "tap-" in entry.headers["user-agent"]


def is_bad_value(entry: Entry) -> bool:
    return sent(entry).get("industries") == 7


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


JOBS_IN_CAMEL_CASE = body("jobs", camel_case)
LIES: list[tuple[str, str, Tell]] = [
    # Money
    ("career_sites_price", HANDLED, options(price=40)),
    ("jobs_price", WARNED, options(jobs_price=4)),
    ("career_sites_price", WARNED, costs(SITES, "")),
    ("career_sites_price", CHANGE, fault(SITES, headers=NOTHING_TOLD)),
    ("balance", CHANGE, costs(SITES, "50", lambda e: sent(e)["batch_size"] > 1)),
    ("balance", WARNED, options(empty_price=3)),
    ("balance", WARNED, costs(SITES, "50", is_wrong_key, status=401)),
    ("balance", CHANGE, costs("profile", "1", status=404)),
    ("balance", HANDLED, fault(None, headers={"X-Credits-Balance": "10000000"})),
    ("balance", WARNED, costs("jobs", "0")),
    ("balance", CHANGE, fault("jobs", headers=QUOTA)),  # while the balance falls
    ("balance", WARNED, options(ignored={"batch_size"})),
    # The key, headers, and errors
    ("wrong_key", HANDLED, fault(SITES, is_wrong_key, status=403)),
    ("wrong_key", CHANGE, fault(SITES, is_wrong_key, status=200, body=EMPTY)),
    ("profile_key", HANDLED, fault("profile", is_without_key, status=500)),
    ("user_agent", CHANGE, fault("profile", is_of_the_tap, status=403)),
    ("date_header", CHANGE, options(omit_date_header=True)),
    ("date_header", CHANGE, options(clock_offset=-2 * 86_400)),
    ("rate_limit_headers", HANDLED, options(omit_rate_headers=True)),
    ("compression", HANDLED, fault(SITES, headers={"Content-Encoding": "br"})),
    ("deprecation", HANDLED, fault("jobs", headers={"Sunset": "Fri, 1 Jan 2027 00:00:00 GMT"})),
    ("errors", HANDLED, options(error_shape="text")),
    ("profile_not_found", CHANGE, fault("profile", status=410)),
    ("career_sites_rejected_cursor", CHANGE, fault(SITES, is_rejected, status=400, body=NOPE)),
    ("jobs_rejected_cursor", CHANGE, options(ignored={"cursor"})),
    ("career_sites_bad_values", HANDLED, fault(SITES, is_bad_value, status=200, body=EMPTY)),
    # Pages
    ("career_sites_pages", HANDLED, fault(SITES, headers={"X-Has-More": "false"})),
    ("jobs_pages", CHANGE, page("jobs", has_more="yes")),
    ("career_sites_pages", WARNED, page(SITES, error="Timed out")),
    ("career_sites_pages", CHANGE, page(SITES, next_cursor=None)),
    ("career_sites_pages", CHANGE, page(SITES, has_more=False, next_cursor=None)),
    ("jobs_updated_after", CHANGE, JOBS_IN_CAMEL_CASE),
    ("career_sites_empty_page", HANDLED, page(SITES, is_empty=True, career_sites=None)),
    ("jobs_updated_after", CHANGE, fault("jobs", is_windowed, send_as=204, replace={})),
    ("career_sites_empty_page", WARNED, page(SITES, is_empty=True, has_more=True)),
    ("career_sites_cursor", CHANGE, first_page_again),
    ("jobs_cursor", CHANGE, fault("jobs", by_cursor, replace=EMPTY)),
    ("jobs_cursor", CHANGE, page("jobs", next_cursor="x")),
    ("career_sites_cursor", CHANGE, fault(SITES, by_cursor, reject_cursor="400")),
    ("jobs_cursor_size", HANDLED, options(cursor_carries="everything")),
    ("jobs_filters", CHANGE, rows("jobs", by_cursor, source="x")),
    ("jobs_order", HANDLED, rows("jobs", by_cursor, created_at="2001-01-01T00:00:00Z")),
    ("jobs_estimated_total", HANDLED, page("jobs", estimated_total=None)),
    # Rows, windows, and the rest
    ("jobs_fields", HANDLED, body("jobs", without_dashes)),
    ("career_sites_fields", WARNED, rows(SITES, external_id=None)),
    ("career_sites_fields", HANDLED, rows(SITES, ats=None)),
    ("career_sites_pages", CHANGE, rows(SITES, ats=7)),
    ("career_sites_ids", CHANGE, rows(SITES, id=str(UUID(int=1)))),
    ("profile", CHANGE, body("profile", lambda came: {"id": came["id"]})),
    ("profile", WARNED, body("profile", camel_case)),
    ("career_sites_updated_after", WARNED, options(ignored={"updated_after"})),
    ("career_sites_window", WARNED, options(overlap=365 * 86_400)),
    ("jobs_window", CHANGE, fault("jobs", is_windowed, replace=EMPTY)),
    ("expired_jobs", CHANGE, body("expired_jobs", lambda b: b | {"job_ids": [7]})),
    ("expired_jobs", HANDLED, body("expired_jobs", lambda b: b | {"job_ids": b["job_ids"] * 2})),
    ("expired_jobs_limit", HANDLED, fault("expired_jobs", is_over_a_week, status=200, body=EMPTY)),
    ("managed_jobs", CHANGE, body("managed_jobs", lambda _: {"items": []})),
    ("filter_values", HANDLED, body("filters", lambda b: b | {"enums": {"work_models": ["x"]}})),
]
"""The check that notices what an API does, what the tap does about it, and how the API does it."""

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
