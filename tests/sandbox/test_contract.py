import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.contract import command
from jobo_sandbox.contract.api import LIMIT, LONGEST_WAITS, Api, most_requests
from jobo_sandbox.contract.registry import BILLED, CHECKS, LAST_CHECKS
from jobo_sandbox.feeds import FEEDS
from jobo_sandbox.limits import FEED_LIMITS, Limits
from tap_jobo.streams.feed_spec import FeedSpec
from tests.support import Run, Tap, execute

from .lies import (
    HONEST,
    JOBS_IN_CAMEL_CASE,
    LIES,
    NOTHING_TOLD,
    QUOTA,
    Tell,
    fault,
    is_wrong_key,
    options,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def checked() -> Iterator[Sandbox]:
    """The sandbox that the command checks by default."""
    with command.sandbox() as sandbox:
        yield sandbox


def check(sandbox: Sandbox) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in command.run(Api(sandbox.url, sandbox.api_key))}


def outcomes(sandbox: Sandbox) -> dict[str, str]:
    return {name: result["outcome"] for name, result in check(sandbox).items()}


def contract(*arguments: str, **env: str) -> Run:
    command = [sys.executable, "-m", "jobo_sandbox", "contract", *arguments]
    return execute(command, {**os.environ, "NO_PROXY": "127.0.0.1", **env})


def contract_of(sandbox: Sandbox, *arguments: str) -> Run:
    return contract("--api-url", sandbox.url, "--api-key", sandbox.api_key, "--yes", *arguments)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "verdict", "tell"), LIES)
def test_each_lie_is_noticed_with_its_verdict(
    checked: Sandbox, name: str, verdict: str, tell: Tell
) -> None:
    tell(checked)
    found = check(checked)[name]
    assert (found["outcome"], found["tap_does"]) == (command.DIFFERS, verdict)
    assert checked.credits_billed <= LIMIT + 2_500
    assert len(checked.ledger) <= most_requests()


@pytest.mark.parametrize(
    "kind",
    [
        "as documented",
        "public profiles and an overlap",
        *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in [*HONEST][2:]),
    ],
)
def test_an_honest_api_passes(checked: Sandbox, kind: str) -> None:
    HONEST[kind](checked)
    for key in [*checked.world.rows()][:2]:
        checked.world.touch(key)
    found = outcomes(checked)
    assert {*found.values()} == {command.DOCUMENTED}
    assert checked.credits_billed <= LIMIT
    assert len(checked.ledger) <= most_requests()


EVERYTHING = {"batch_size", "updated_after", "industries", "company_sizes", "country_codes"}
HIDDEN: list[Tell] = [
    fault(None, replace=lambda came: {"data": came.get("career_sites", came.get("jobs"))}),
    fault("career_sites", send_as=502, replace={"error": "Bad gateway"}),
    fault("jobs", send_as=524, replace={"error": "Timeout"}),
    fault(None, headers=NOTHING_TOLD),
    fault("jobs", headers=QUOTA),
    fault("jobs", headers={"X-Credits-Balance": "a lot"}),
]


@pytest.mark.parametrize(
    "tells",
    [
        [options(price=2_500)],
        [options(empty_price=900)],
        *([options(omit_credit_headers=True, ignored=EVERYTHING), tell] for tell in HIDDEN),
    ],
)
def test_no_server_makes_it_spend_more_than_a_page_above_the_limit(
    checked: Sandbox, tells: list[Tell]
) -> None:
    for tell in tells:
        tell(checked)
    found = outcomes(checked)
    dearest = max(entry.credits for entry in checked.ledger)
    assert checked.credits_billed <= LIMIT + dearest
    assert command.CUT_OFF in found.values()


def test_a_key_for_jobs_alone_passes_and_one_for_nothing_does_not(checked: Sandbox) -> None:
    for other in {*FEEDS} - {"jobs", "managed_jobs"}:
        fault(other, lambda entry: not is_wrong_key(entry), status=403)(checked)
    assert {*outcomes(checked).values()} == {command.DOCUMENTED, command.NOT_TESTABLE}
    assert contract_of(checked).returncode == 0
    fault("jobs", status=403)(checked)
    assert command.DIFFERS not in outcomes(checked).values()
    run = contract_of(checked)
    assert run.returncode == 1
    assert "No rows came" in run.stderr


def test_one_cause_is_one_finding(checked: Sandbox) -> None:
    JOBS_IN_CAMEL_CASE(checked)
    found = check(checked)
    (finding,) = [each for each in found.values() if each["outcome"] == command.DIFFERS]
    others = [each for each in found.values() if each["detail"].startswith("for the reason of ")]
    assert {each["detail"] for each in others} == {f"for the reason of {finding['name']}"}
    assert len(others) > 10


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("feed", BILLED, ids=lambda feed: str(feed.name))
def test_each_filter_that_is_ignored_is_noticed(
    checked: Sandbox, feed: FeedSpec, half: int
) -> None:
    """Half of them at a time: the rows of all would cost more than the check may spend."""
    checked.ignored = [*feed.filter_parameters.values()][half::2]
    found = outcomes(checked)
    assert {found[f"{feed.name}_{name}"] for name in checked.ignored} == {command.DIFFERS}


def test_what_the_account_does_not_allow_is_not_testable(checked: Sandbox) -> None:
    checked.balance = 2
    found = outcomes(checked)
    assert found["career_sites_price"] == found["jobs_price"] == command.NOT_TESTABLE
    assert found["profile_not_found"] == command.DOCUMENTED
    assert command.DIFFERS not in found.values()
    assert checked.credits_billed == 0


# The first, with a 429 after a burst, is what live users have seen.
@pytest.mark.parametrize(("limits", "says"), [(((30, 10), *FEED_LIMITS), True), ([(4, 2)], False)])
def test_a_burst_is_waited_for_and_then_sent_slowly(limits: Limits, *, says: bool) -> None:
    waits: list[float] = []
    with command.sandbox(clock=lambda: time.time() + sum(waits)) as checked:
        checked.rate_limits, checked.omit_rate_headers = limits, True
        if not says:
            fault(None, headers={"Retry-After": ""})(checked)
            checked.error_shape = "text"
        api = Api(checked.url, checked.api_key, wait=waits.append)
        found = {each["name"]: each["outcome"] for each in command.run(api)}
        assert command.CUT_OFF not in found.values()
        assert 429 in {entry.status for entry in checked.ledger}
        assert checked.credits_billed <= LIMIT
        assert len(checked.ledger) <= most_requests()
        assert sum(waits) <= LONGEST_WAITS + 2 * most_requests()


def test_lost_responses_count_as_billed_and_end_the_check(checked: Sandbox) -> None:
    checked.faults.add(Fault(drop=True, billed=True, times=None), endpoint="career_sites")
    run = contract_of(checked)
    assert (run.returncode, run.stdout) == (2, "")
    assert re.search(r"Nothing was checked: .*\(ConnectionError\)", run.stderr)
    found = outcomes(checked)
    assert found["wrong_key"] == command.DIFFERS
    assert found["career_sites_price"] == command.CUT_OFF
    assert len([entry for entry in checked.ledger if entry.status is None]) <= 4


@pytest.mark.parametrize(
    ("arguments", "why", "requests"),
    [
        (["--api-key", "jbe_test_another"], "Nothing was checked: .* 401", 1),
        (["jbe_test_abc", "--api-kye", "jbe_test_abc"], "3 arguments are not known", 0),
        (["--api-url", "http://jobo.example"], "--api-url must use https", 0),
        (["--api-url", "http://127.0.0.1.jobo.example"], "--api-url must use https", 0),
        (["--report", "no/folder/report.json"], "No such file .*; nothing was sent", 0),
    ],
)
def test_a_command_that_cannot_check_shows_no_key(
    checked: Sandbox, arguments: list[str], why: str, requests: int
) -> None:
    run = contract_of(checked, *arguments)
    assert run.returncode == 2
    assert re.search(why, run.stderr)
    assert "jbe_test" not in run.stderr
    assert len(checked.ledger) == requests


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
    most = f"${(LIMIT + 1) / 1_000:.2f} at list price"
    assert f"{most_requests()} requests to {checked.url}, which costs less than {most}" in (
        refused.stderr
    )
    assert checked.ledger == []


def test_the_report_shows_what_came(checked: Sandbox, tmp_path: Path) -> None:
    path, checked.price = tmp_path / "report.json", 40
    key = {"TAP_JOBO_API_KEY": checked.api_key}
    run = contract("--api-url", checked.url, "--yes", "--report", str(path), "--api-key", **key)
    assert run.returncode == 1, run.stderr
    report = json.loads(path.read_text("utf-8"))
    assert (report["api"], report["credits"]) == (checked.url, checked.credits_billed)
    differing = [each for each in report["checks"] if each["outcome"] == "differs"]
    assert [(each["name"], each["detail"], each["tap_does"]) for each in differing] == [
        ("career_sites_price", "40 credits for 1 row", "handled")
    ]
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
    of_jobs = [each for each in exchanges if each["request"] == "POST /api/jobs/feed"]
    (refused,) = (each for each in of_jobs if "garbage" in str(each["sent"]))
    assert refused["body"] == {"title": "Bad Request", "status": 400, "detail": "Invalid cursor"}


def test_the_report_has_nothing_of_the_key(checked: Sandbox, tmp_path: Path) -> None:
    key, path = checked.api_key, tmp_path / "report.json"
    secret, escaped = key[9:], "".join(f"\\u{ord(letter):04x}" for letter in key)
    headers = {"X-Echo": f"{key} {key.lower()} ...{secret[5:30]}", "Set-Cookie": "chocolate=1"}
    fault("career_sites", headers=headers)(checked)
    fault("jobs", replace=lambda body: body | {"jobs": f"{'-' * 20}{key}"})(checked)
    fault("filters", garbage=f'{{"{key}": "{escaped}"}}')(checked)
    fault("profile", status=404, body=f"<p>{key[:40]}</p>")(checked)
    location = f"{checked.url}/moved?key={key.replace('_', '%255F')}&page=1"
    fault("expired_jobs", status=307, headers={"Location": location})(checked)
    run = contract_of(checked, "--report", str(path))
    assert run.returncode == 1
    assert "HTTP 307" in run.stdout
    text = path.read_text("utf-8")
    assert "[api_key" in text
    pieces = {secret[at : at + 8].lower() for at in range(len(secret) - 7)} | {escaped[:30]}
    assert not [piece for piece in pieces if piece in (run.stdout + run.stderr + text).lower()]
    assert '...[part of api_key]"' in text
    assert "chocolate" not in text


def test_requests_are_those_of_the_tap(checked: Sandbox, tmp_path: Path) -> None:
    names = ("user-agent", "accept", "accept-encoding", "connection", "content-type", "x-api-key")
    Tap(checked, tmp_path).run()
    own = {name: checked.feed_requests[0].headers[name] for name in names}
    outcomes(checked)
    usual = [entry for entry in checked.feed_requests if not is_wrong_key(entry)]
    assert all({name: entry.headers[name] for name in names} == own for entry in usual)
