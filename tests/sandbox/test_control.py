from typing import Any

import pytest
import requests

from jobo_sandbox import Sandbox

from .helpers import TIMEOUT, page, post


def ask(sandbox: Sandbox, what: str, wish: Any) -> requests.Response:
    return requests.post(f"{sandbox.url}/_sandbox/{what}", json=wish, timeout=TIMEOUT)


def test_the_ledger_is_shown(sandbox: Sandbox) -> None:
    page(sandbox, batch_size=3)
    told = requests.get(f"{sandbox.url}/_sandbox/ledger", timeout=TIMEOUT).json()
    assert (told["requests"], told["rows_billed"], told["credits_billed"]) == (1, 3, 150)
    assert told["latest"][0]["body"] == {"batch_size": 3}


def test_faults_are_planned(sandbox: Sandbox) -> None:
    wish = {"status": 503, "headers": {"Retry-After": "9"}, "on": 2, "endpoint": "feed"}
    assert ask(sandbox, "faults", wish).status_code == 200
    answers = [post(sandbox, {}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[1].headers["Retry-After"] == "9"


def test_companies_are_updated_and_discovered(sandbox: Sandbox) -> None:
    key = next(iter(sandbox.world.rows()))
    told = ask(sandbox, "touch", {"id": key, "changes": {"name": "Other"}}).json()
    assert told["row"]["name"] == sandbox.world.rows()[key]["name"] == "Other"
    told = ask(sandbox, "touch", {}).json()
    assert told["row"]["id"] in sandbox.world.rows()
    assert told["companies"] == 121


def test_switches_are_set(sandbox: Sandbox) -> None:
    cursor = page(sandbox)["next_cursor"]
    wish = {"price": 60, "rate_limits": [[2, 60]], "expire_cursors": True}
    assert ask(sandbox, "settings", wish).json()["settings"]["price"] == 60
    assert post(sandbox, {"cursor": cursor}).status_code == 400
    assert post(sandbox, {}).headers["X-Credits-Deducted"] == "3000"
    assert post(sandbox, {}).status_code == 429


@pytest.mark.parametrize(
    ("what", "wish", "status"),
    [
        ("faults", {"stats": 503}, 400),
        ("faults", {"hold": True}, 400),
        ("settings", {"clock": 1}, 400),
        ("settings", [], 400),
        ("touch", {"id": "nobody"}, 404),
    ],
)
def test_what_makes_no_sense_is_refused(
    sandbox: Sandbox, what: str, wish: Any, status: int
) -> None:
    assert ask(sandbox, what, wish).status_code == status
