import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Endpoint, Entry, Fault, Sandbox
from jobo_sandbox.contract import command
from jobo_sandbox.contract.api import LIMIT, MOST_REQUESTS, Api
from jobo_sandbox.contract.registry import CHECKS, LAST_CHECKS
from tests.support import Run, Tap, execute

Change = Callable[[Sandbox], None]
Outcomes = dict[str, str]


@pytest.fixture
def checked() -> Iterator[Sandbox]:
    """The sandbox that the command checks by default."""
    with command.sandbox() as sandbox:
        yield sandbox


def check(sandbox: Sandbox) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in command.run(Api(sandbox.url, sandbox.api_key))}


def outcomes(sandbox: Sandbox) -> Outcomes:
    return {name: result["outcome"] for name, result in check(sandbox).items()}


def differing(sandbox: Sandbox) -> set[str]:
    return {name for name, outcome in outcomes(sandbox).items() if outcome == command.DIFFERS}


def contract(*arguments: str, **env: str) -> Run:
    command = [sys.executable, "-m", "jobo_sandbox", "contract", *arguments]
    return execute(command, {**os.environ, "NO_PROXY": "127.0.0.1", **env})


def contract_of(sandbox: Sandbox, *arguments: str) -> Run:
    return contract("--api-url", sandbox.url, "--api-key", sandbox.api_key, "--yes", *arguments)


def always(
    fault: Fault, endpoint: Endpoint | None = None, when: Callable[[Entry], bool] | None = None
) -> Change:
    return lambda sandbox: sandbox.faults.add(fault, endpoint=endpoint, when=when)


def options(**values: Any) -> Change:
    def change(sandbox: Sandbox) -> None:
        for name, value in values.items():
            setattr(sandbox, name, value)

    return change


def replace(endpoint: Endpoint, change: Callable[[Any], Any], **fault: Any) -> Change:
    """Change the body of every page of an endpoint."""

    def spoil(body: Any) -> Any:
        return change(body) if "status" not in body else body

    return always(Fault(replace=spoil, times=None, **fault), endpoint)


def items(body: dict[str, Any]) -> str:
    return "jobs" if "jobs" in body else "career_sites"


def rows(endpoint: Endpoint, **values: Any) -> Change:
    """Change fields of every row."""
    return replace(
        endpoint, lambda body: body | {items(body): [row | values for row in body[items(body)]]}
    )


def page(endpoint: Endpoint, **members: Any) -> Change:
    """Change every page that has rows."""
    return replace(endpoint, lambda body: body | members if body[items(body)] else body)


def empty_page(endpoint: Endpoint, **members: Any) -> Change:
    """Change every page that has no rows."""
    return replace(endpoint, lambda body: body if body[items(body)] else body | members)


def header(
    endpoint: Endpoint | None, when: Callable[[Entry], bool] | None = None, **values: str
) -> Change:
    headers = {name.replace("_", "-"): value for name, value in values.items()}
    return always(Fault(headers=headers, times=None), endpoint, when)


def sent(entry: Entry) -> dict[str, Any]:
    return entry.body if isinstance(entry.body, dict) else {}


def status(
    code: int, endpoint: Endpoint | None, when: Callable[[Entry], bool], **fault: Any
) -> Change:
    return always(Fault(status=code, times=None, **fault), endpoint, when)


def has(name: str) -> Callable[[Entry], bool]:
    return lambda entry: name in sent(entry)


def is_garbage(entry: Entry) -> bool:
    return entry.cursor == "garbage"


def by_cursor(entry: Entry) -> bool:
    return entry.cursor not in {None, "garbage"}


def is_wrong_key(entry: Entry) -> bool:
    return "xxx" in entry.headers.get("x-api-key", "")


def same_row(sandbox: Sandbox) -> None:
    """Every row has the id of the first, but a listing_url of its own."""
    key = next(iter(sandbox.world.rows()))
    rows("feed", id=key)(sandbox)


def repeats(endpoint: Endpoint) -> Change:
    """A page of one has the rows of the first page of one."""
    seen: list[Any] = []

    def change(body: Any) -> Any:
        if len(body[items(body)]) == 1:
            seen.append(body[items(body)])
            return body | {items(body): seen[0]}
        return body

    return replace(endpoint, change)


def unfiltered_ids(sandbox: Sandbox) -> None:
    """Ids of the expired jobs come in a page, however few are asked for."""
    sandbox.ignored = {"batch_size"}


def by_cursor_rows(endpoint: Endpoint, **values: Any) -> Change:
    """Change fields of every row of later pages."""

    def change(body: Any) -> Any:
        key = items(body)
        return body | {key: [row | values for row in body[key]]}

    return always(Fault(replace=change, times=None), endpoint, by_cursor)


def forgets_size(sandbox: Sandbox) -> None:
    """A later page has more rows than the first."""

    def change(body: Any) -> Any:
        return body | {"jobs": [row for _ in range(100) for row in body["jobs"]]}

    sandbox.faults.add(Fault(replace=change, times=None), endpoint="jobs", when=by_cursor)


REPEATED = "a6d0b299-142b-4eb6-9308-8e2cae5af18e"
NOPE = {"status": 400, "error": "Bad Request", "message": "Nope"}
EMPTY: dict[str, Any] = {"jobs": [], "career_sites": [], "next_cursor": None, "has_more": False}

LIES: dict[str, tuple[Change, str]] = {
    # Money
    "a lower price": (options(price=40), "career_sites_price"),
    "a higher price": (options(price=60), "career_sites_price"),
    "a higher price of jobs": (options(jobs_price=4), "jobs_price"),
    "2,500 credits for each row": (
        header("feed", X_Credits_Deducted="2500"),
        "career_sites_price",
    ),
    "a flat price": (header("feed", has("batch_size"), X_Credits_Deducted="50"), "wrong_key"),
    "a flat price of pages": (
        header("feed", lambda entry: sent(entry) == {"batch_size": 5}, X_Credits_Deducted="50"),
        "career_sites_price",
    ),
    "empty pages cost a row": (
        header("jobs", has("updated_after"), X_Credits_Deducted="3"),
        "jobs_updated_after",
    ),
    "errors cost": (
        status(404, "profile", lambda _: True, headers={"X-Credits-Deducted": "1"}),
        "profile_not_found",
    ),
    "expired ids cost": (header("expired_jobs", X_Credits_Deducted="1"), "rate_limit_headers"),
    "half a credit too many": (
        header("jobs", lambda entry: sent(entry) == {"batch_size": 1}, X_Credits_Deducted="3.5"),
        "jobs_price",
    ),
    "no money headers": (options(omit_credit_headers=True), "career_sites_price"),
    "jobs without money headers": (options(jobs_plan="no_headers"), "jobs_price"),
    "a balance that falls by more": (
        header("feed", lambda entry: sent(entry) == {"batch_size": 5}, X_Credits_Balance="7"),
        "career_sites_filters",
    ),
    "a balance that does not fall": (header(None, X_Credits_Balance="10000000"), "balance"),
    "a page that requires more": (
        header("feed", X_Credits_Required="2500"),
        "career_sites_updated_after",
    ),
    # The key
    "403 for a wrong key": (status(403, "feed", is_wrong_key), "wrong_key"),
    "a page for a wrong key": (
        status(200, "feed", is_wrong_key, body=EMPTY),
        "wrong_key",
    ),
    "500 without a key": (
        status(500, "profile", lambda entry: "x-api-key" not in entry.headers),
        "profile_key",
    ),
    "403 for the tap's User-Agent": (
        status(403, "profile", lambda entry: "tap-jobo" in entry.headers["user-agent"]),
        "user_agent",
    ),
    # Headers
    "no Date": (options(omit_date_header=True), "date_header"),
    "a Date of two days ago": (options(clock_offset=-2 * 86_400), "date_header"),
    "no rate limit headers": (options(omit_rate_headers=True), "rate_limit_headers"),
    "a compression that the tap does not know": (
        header("feed", Content_Encoding="br"),
        "compression",
    ),
    "an X-Has-More that contradicts": (header("feed", X_Has_More="false"), "career_sites_pages"),
    # Errors
    "errors as text": (options(error_shape="text"), "errors"),
    "errors as HTML": (options(error_shape="html"), "errors"),
    "errors with a detail alone": (
        status(404, "profile", lambda _: True, body={"detail": "?"}),
        "errors",
    ),
    "another status for no profile": (
        status(410, "profile", lambda _: True),
        "profile_not_found",
    ),
    "a cursor rejected in other words": (
        status(400, "feed", is_garbage, body=NOPE),
        "career_sites_rejected_cursor",
    ),
    "a cursor that is ignored": (options(ignored={"cursor"}), "jobs_rejected_cursor"),
    "a cursor that breaks the server": (status(500, "jobs", is_garbage), "jobs_rejected_cursor"),
    "a wrong type that is ignored": (
        status(200, "feed", lambda entry: sent(entry).get("industries") == 7, body=EMPTY),
        "career_sites_bad_values",
    ),
    "a batch_size above the cap": (
        status(200, "jobs", lambda entry: sent(entry).get("batch_size") == 1_001, body=EMPTY),
        "jobs_bad_values",
    ),
    # Pages
    "has_more as text": (page("jobs", has_more="yes"), "jobs_pages"),
    "a number as cursor": (page("feed", next_cursor=7), "career_sites_pages"),
    "more without a cursor": (page("feed", next_cursor=None), "career_sites_pages"),
    "no envelope": (replace("jobs", lambda _: {"data": []}), "jobs_updated_after"),
    "null instead of no rows": (
        empty_page("feed", career_sites=None),
        "career_sites_updated_after",
    ),
    "204 instead of no rows": (
        always(
            Fault(send_as=204, replace={}, times=None),
            "jobs",
            lambda entry: "2999" in str(sent(entry).get("updated_after")),
        ),
        "jobs_updated_after",
    ),
    "an end with a null cursor": (options(null_cursor_at_end=True), "career_sites_empty_page"),
    "an end with a cursor": (
        empty_page("feed", has_more=True, next_cursor="x"),
        "career_sites_empty_page",
    ),
    "batch_size ignored": (options(ignored={"batch_size"}), "jobs_price"),
    "a second page that repeats": (repeats("feed"), "career_sites_cursor"),
    "a second page without rows": (
        always(Fault(times=None, replace=EMPTY), "jobs", by_cursor),
        "jobs_cursor",
    ),
    "cursors that live for no time": (options(cursor_lifetime=-1), "career_sites_cursor"),
    "jobs in another order": (
        always(
            Fault(times=None, replace=EMPTY | {"jobs": [{"created_at": "2020-01-01T00:00:00Z"}]}),
            "jobs",
            by_cursor,
        ),
        "jobs_order",
    ),
    "no estimate": (
        replace("jobs", lambda body: body | {"estimated_total": "many"}),
        "jobs_estimated_total",
    ),
    "no page after the first": (
        page("feed", has_more=False, next_cursor=None),
        "career_sites_pages",
    ),
    "the same cursor on each page": (page("jobs", next_cursor="x"), "jobs_cursor"),
    "no rows at all": (replace("jobs", lambda _: EMPTY), "jobs_price"),
    "a cursor that loses the filters": (by_cursor_rows("jobs", source="x"), "jobs_filters"),
    "a cursor that loses the window": (
        by_cursor_rows("jobs", updated_at="2020-01-01T00:00:00Z"),
        "jobs_filters",
    ),
    "a cursor that loses the page size": (forgets_size, "jobs_cursor"),
    # Rows
    "ids that are numbers": (rows("feed", id=7), "career_sites_fields"),
    "ids without dashes": (options(ids_without_dashes=True), "jobs_fields"),
    "ids that are shared": (same_row, "career_sites_ids"),
    "unknown fields": (options(more_fields={"external_id": None}), "career_sites_fields"),
    "fields of another type": (rows("jobs", benefits="none"), "jobs_fields"),
    "null where it is never null": (rows("feed", ats=None), "career_sites_fields"),
    "a field that is missing": (
        replace(
            "feed",
            lambda body: (
                body
                | {"career_sites": [{"id": row["id"], "ats": "x"} for row in body["career_sites"]]}
            ),
        ),
        "career_sites_fields",
    ),
    "the same row five times": (
        replace("jobs", lambda body: body | {"jobs": body["jobs"][:1] * len(body["jobs"])}),
        "jobs_ids",
    ),
    "a profile without a name": (replace("profile", lambda body: body | {"name": None}), "profile"),
    "the profile of another company": (
        always(
            Fault(replace={"id": "a6d0b299-142b-4eb6-9308-8e2cae5af18e"}, times=None), "profile"
        ),
        "profile",
    ),
    # Windows and filters
    "updated_after ignored": (options(ignored={"updated_after"}), "career_sites_updated_after"),
    "updated_after of jobs ignored": (options(ignored={"updated_after"}), "jobs_updated_after"),
    "an overlap of a day": (options(overlap=86_400 * 400), "career_sites_window"),
    "no microseconds": (
        status(400, "jobs", lambda entry: ".123456" in str(sent(entry).get("updated_after"))),
        "jobs_updated_after",
    ),
    "no rows since any instant": (
        always(Fault(replace=EMPTY, times=None), "feed", has("updated_after")),
        "career_sites_window",
    ),
    "no rows for any filter": (
        always(Fault(replace=EMPTY, times=None), "jobs", has("sources")),
        "jobs_filters",
    ),
    **{
        f"{name} ignored": (options(ignored={name}), f"career_sites_{name}")
        for name in (
            *("industries", "company_sizes", "country_codes", "funding_stages", "company_types"),
            *("founded_after", "is_agency"),
        )
    },
    **{
        f"{name} ignored": (options(ignored={name}), f"jobs_{name}")
        for name in (
            *("locations", "sources", "work_models", "employment_types", "experience_levels"),
            "posted_after",
        )
    },
    # The rest
    "expired ids that are no ids": (
        replace("expired_jobs", lambda body: body | {"job_ids": [7]}),
        "expired_jobs",
    ),
    "expired ids since ever": (
        status(200, "expired_jobs", lambda entry: days_ago(entry) > 7, body={"job_ids": []}),
        "expired_jobs_limit",
    ),
    "expired ids that repeat": (
        replace("expired_jobs", lambda body: body | {"job_ids": [REPEATED]}),
        "expired_jobs",
    ),
    "more expired ids than asked for": (unfiltered_ids, "expired_jobs"),
    "managed jobs of another format": (
        replace("managed_jobs", lambda _: {"items": []}),
        "managed_jobs",
    ),
    "other filter values": (
        replace("filters", lambda body: body | {"enums": {"work_models": ["moon"]}}),
        "filter_values",
    ),
    "other suggestions": (
        always(Fault(status=200, body={"options": [{}]}, times=None), "industries"),
        "suggestions",
    ),
}


def days_ago(entry: Entry) -> float:
    since = entry.body["expired_since"].replace("Z", "+00:00")
    return (entry.time - entry.time.fromisoformat(since)) / timedelta(days=1)


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_noticed(checked: Sandbox, lie: str) -> None:
    tell, name = LIES[lie]
    tell(checked)
    assert name in differing(checked)
    assert checked.credits_billed <= LIMIT + 250
    assert len(checked.ledger) <= MOST_REQUESTS


HONEST: dict[str, Change] = {
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


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_api_passes(checked: Sandbox, kind: str) -> None:
    HONEST[kind](checked)
    for key in [*checked.world.rows()][:2]:
        checked.world.touch(key)
    found = outcomes(checked)
    assert {each for each, outcome in found.items() if outcome != command.DOCUMENTED} == {
        "cursor_lifetime"
    }
    assert checked.credits_billed <= LIMIT
    assert len(checked.ledger) <= 55


@pytest.mark.parametrize("endpoint", ["managed_jobs", "jobs", "expired_jobs", "feed"])
def test_what_the_plan_does_not_include_is_not_testable(
    checked: Sandbox, endpoint: Endpoint
) -> None:
    status(403, endpoint, lambda entry: not is_wrong_key(entry))(checked)
    found = outcomes(checked)
    assert set(found.values()) == {command.DOCUMENTED, command.NOT_TESTABLE}


def test_public_profiles_and_an_overlap_are_told(checked: Sandbox) -> None:
    options(public_profiles=True, overlap=300)(checked)
    for key in [*checked.world.rows()][:2]:
        checked.world.touch(key)
    run = contract_of(checked)
    assert run.returncode == 0
    assert re.search(r"(?m)^as documented +profile_key: .* \(public\)$", run.stdout)
    assert re.search(r"(?m)^as documented +career_sites_window: .*: an overlap; ", run.stdout)
    assert re.search(r"(?m)^as documented +jobs_window: .*no overlap seen; inclusive", run.stdout)


def test_a_deduction_above_the_list_price_ends_the_check_at_once(checked: Sandbox) -> None:
    is_page_of_five = lambda entry: entry.body == {"batch_size": 5}  # noqa: E731
    header("feed", is_page_of_five, X_Credits_Deducted="2500")(checked)
    run = contract_of(checked)
    assert run.returncode == 1
    assert "2500 credits were deducted for 5 rows; no further request is sent" in run.stdout
    assert "cut off            career_sites_window: " in run.stdout
    assert checked.ledger[-1].body == {"batch_size": 5}


def test_rows_that_a_filter_should_exclude_do_not_end_the_check(checked: Sandbox) -> None:
    checked.ignored = {"company_sizes", "country_codes"}
    found = outcomes(checked)
    assert found.pop("career_sites_company_sizes") == command.DIFFERS
    assert found.pop("career_sites_country_codes") == command.DIFFERS
    assert set(found.values()) == {command.DOCUMENTED, command.NOT_TESTABLE}


def test_what_the_limit_cuts_off_is_no_success(
    checked: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobo_sandbox.contract.api.LIMIT", 300)
    found = outcomes(checked)
    assert found["career_sites_price"] == command.CUT_OFF
    assert command.DIFFERS not in found.values()
    assert checked.credits_billed <= 300
    report = ["--api-key", checked.api_key, "--api-url", checked.url, "--yes"]
    assert command.main(report) == 1


def test_what_the_account_does_not_allow_is_not_testable(checked: Sandbox) -> None:
    checked.balance = 2
    found = outcomes(checked)
    assert found["career_sites_price"] == found["jobs_price"] == command.NOT_TESTABLE
    assert found["profile_not_found"] == command.DOCUMENTED
    assert command.DIFFERS not in found.values()
    assert checked.credits_billed == 0
    run = contract_of(checked)
    assert run.returncode == 1
    assert "No rows came, so most of the expectations are not tested." in run.stderr


def test_a_rate_limit_cuts_off(checked: Sandbox) -> None:
    checked.rate_limits = ((10, 60),)
    run = contract_of(checked)
    assert run.returncode == 1
    assert "cut off            career_sites_price: " in run.stdout


def test_lost_responses_count_as_billed_and_end_the_check(checked: Sandbox) -> None:
    checked.faults.add(Fault(drop=True, billed=True, times=None), endpoint="feed")
    run = contract_of(checked)
    assert (run.returncode, run.stdout) == (2, "")
    assert "Nothing was checked: no response (ConnectionError)" in run.stderr
    found = outcomes(checked)
    assert found["wrong_key"] == command.DIFFERS
    assert found["career_sites_price"] == command.CUT_OFF
    assert len([entry for entry in checked.ledger if entry.status is None]) <= 4


def test_a_key_that_is_refused_ends_the_check(checked: Sandbox) -> None:
    run = contract("--api-url", checked.url, "--yes", "--api-key", "jbe_test_another")
    assert run.returncode == 2
    assert "Nothing was checked: Jobo responded with 401" in run.stderr
    assert len(checked.ledger) == 1


def test_the_command_checks_the_sandbox_and_asks_before_it_spends(checked: Sandbox) -> None:
    run = contract()
    assert run.returncode == 0, run.stdout
    *lines, _, summary = run.stdout.splitlines()
    assert len(lines) == len(CHECKS | LAST_CHECKS)
    assert "the sandbox: " in summary
    assert " 0 differs, " in summary
    assert " 0 cut off; " in summary
    refused = contract("--api-key", checked.api_key, "--api-url", checked.url)
    assert refused.returncode == 2
    assert "costs less than $1.00 at list price" in refused.stderr
    assert checked.ledger == []


def test_a_line_has_its_source_and_what_the_tap_does(checked: Sandbox) -> None:
    checked.price = 40
    start = (
        "differs            career_sites_price: X-Credits-Deducted is the list price of the rows"
    )
    end = "[documentation] (200 credits for 5 rows; tap-jobo: handled)"
    lines = contract_of(checked).stdout.splitlines()
    assert [line for line in lines if line.startswith(start) and line.endswith(end)]


def test_the_command_reports_as_json_without_the_key(checked: Sandbox) -> None:
    checked.price = 40
    key = {"TAP_JOBO_API_KEY": checked.api_key}
    run = contract("--api-url", checked.url, "--yes", "--json", "--api-key", **key)
    assert run.returncode == 1
    report = json.loads(run.stdout)
    assert (report["api"], report["credits"]) == (checked.url, checked.credits_billed)
    differing = [each for each in report["checks"] if each["outcome"] == "differs"]
    assert [(each["name"], each["detail"], each["tap_does"]) for each in differing] == [
        ("career_sites_price", "200 credits for 5 rows", "handled")
    ]
    assert checked.api_key not in run.stdout + run.stderr


def test_the_report_shows_what_came(checked: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    run = contract_of(checked, "--report", str(path))
    assert run.returncode == 0, run.stdout
    report = json.loads(path.read_text("utf-8"))
    assert report["counts"]["differs"] == 0
    exchanges = report["exchanges"]
    assert len(exchanges) == report["requests"] == len(checked.ledger)
    five, *_ = (each for each in exchanges if each["sent"] == {"json": {"batch_size": 5}})
    assert (five["request"], five["status"]) == ("POST /api/jobs/feed", 200)
    assert five["headers"]["X-Credits-Deducted"] == "15"
    assert len(five["body"]["jobs"]) == 5
    assert re.fullmatch(r".{40}\.\.\. \(\d+ characters\)", five["body"]["jobs"][0]["description"])
    cursor = five["body"]["next_cursor"]
    assert re.fullmatch(r"\[cursor, \d{3} characters\]", cursor)
    cursors = {each["sent"].get("json", {}).get("cursor") for each in exchanges}
    assert cursors >= {None, "garbage", cursor}
    assert {each for each in cursors if each} - {"garbage"} == {
        each for each in cursors if "[cursor, " in str(each)
    }
    (refused,) = (each for each in exchanges if is_garbage_in(each, "/api/jobs/feed"))
    assert refused["body"] == {"title": "Bad Request", "status": 400, "detail": "Invalid cursor"}


def is_garbage_in(exchange: dict[str, Any], path: str) -> bool:
    return exchange["request"] == f"POST {path}" and "garbage" in str(exchange["sent"])


def test_the_report_has_nothing_of_the_key(checked: Sandbox, tmp_path: Path) -> None:
    key, path = checked.api_key, tmp_path / "report.json"
    secret, escaped = key[9:], "".join(f"\\u{ord(letter):04x}" for letter in key)
    headers = {"X-Echo": f"{key} {key.lower()} ...{secret[5:30]}", "Set-Cookie": "chocolate=1"}
    always(Fault(headers=headers, times=None), "feed")(checked)
    always(Fault(replace=lambda body: body | {"jobs": f"{'-' * 20}{key}"}, times=None), "jobs")(
        checked
    )
    always(Fault(garbage=f'{{"{key}": "{escaped}"}}', times=None), "filters")(checked)
    always(Fault(status=404, body=f"<p>{key[:40]}</p>", times=None), "profile")(checked)
    run = contract_of(checked, "--report", str(path))
    assert run.returncode == 1
    text = path.read_text("utf-8")
    assert "[api_key" in text
    pieces = {secret[at : at + 8].lower() for at in range(len(secret) - 7)} | {escaped[:30]}
    assert not [piece for piece in pieces if piece in (run.stdout + run.stderr + text).lower()]
    assert '...[part of api_key]"' in text
    assert "chocolate" not in text


def test_a_report_that_cannot_be_written_ends_the_check_before_it_begins(
    checked: Sandbox, tmp_path: Path
) -> None:
    run = contract_of(checked, "--report", str(tmp_path / "none" / "report.json"))
    assert run.returncode == 2
    assert "No such file or directory; nothing was sent" in run.stderr
    assert checked.ledger == []


def test_requests_are_those_of_the_tap(checked: Sandbox, tmp_path: Path) -> None:
    names = ("user-agent", "accept", "accept-encoding", "connection", "content-type", "x-api-key")
    Tap(checked, tmp_path).run()
    own = {name: checked.feed_requests[0].headers[name] for name in names}
    outcomes(checked)
    usual = [entry for entry in checked.feed_requests if not is_wrong_key(entry)]
    assert all({name: entry.headers[name] for name in names} == own for entry in usual)


def test_a_key_in_the_wrong_place_is_not_printed() -> None:
    run = contract("jbe_test_abcdefgh", "--api-kye", "jbe_test_abcdefgh")
    assert run.returncode == 2
    assert "3 arguments are not known" in run.stderr
    assert "abcdefgh" not in run.stderr


@pytest.mark.parametrize("url", ["http://jobo.example", "http://127.0.0.1.jobo.example"])
def test_the_key_is_sent_in_the_clear_to_this_machine_only(url: str) -> None:
    run = contract("--api-key", "jbe_test_x", "--api-url", url, "--yes")
    assert run.returncode == 2
    assert "--api-url must use https" in run.stderr
