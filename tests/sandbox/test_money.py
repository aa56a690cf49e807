import pytest

from jobo_sandbox import Sandbox

from .helpers import page, post, profile


@pytest.mark.parametrize("shape", ["problem", "message"])
def test_the_balance_must_cover_the_requested_page(sandbox: Sandbox, shape: str) -> None:
    sandbox.error_shape = "problem" if shape == "problem" else "message"
    sandbox.balance = 2_499
    response = post(sandbox, {"updated_after": "2999-01-01T00:00:00Z"})
    assert response.status_code == 402
    assert response.json()["credits_required"] == 2_500
    assert response.json()["credits_balance"] == 2_499
    assert response.headers["X-Credits-Deducted"] == "0"
    assert sandbox.balance == 2_499
    sandbox.balance = 2_500
    headers = post(sandbox, {}).headers
    assert headers["X-Credits-Deducted"] == headers["X-Credits-Required"] == "2500"
    assert headers["X-Credits-Balance"] == "0"
    assert sandbox.balance == 0


def test_the_key_has_the_documented_look(sandbox: Sandbox) -> None:
    assert sandbox.api_key.startswith("jbe_test_")
    assert [len(part) for part in sandbox.api_key.split("_")[2:]] == [21, 43]
    assert len(sandbox.api_key) == 74


def test_the_ledger_knows_every_request(sandbox: Sandbox) -> None:
    first = page(sandbox, batch_size=10)
    page(sandbox, cursor=first["next_cursor"])
    post(sandbox, {"batch_size": 0})
    profile(sandbox, "nobody")
    one, two, bad, other = sandbox.ledger
    rows = [row["id"] for row in first["career_sites"]]
    assert (one.number, one.endpoint, one.status) == (1, "feed", 200)
    assert (one.cursor, one.row_ids, one.credits) == (None, rows, 500)
    assert one.body == {"batch_size": 10}
    assert one.headers["x-api-key"] == sandbox.api_key
    assert two.cursor == first["next_cursor"]
    assert (bad.status, bad.row_ids, bad.credits) == (400, [], 0)
    assert (other.endpoint, other.endpoint_number, other.status) == ("profile", 1, 404)
    assert other.company_id == "nobody"
    assert sandbox.feed_requests == [one, two, bad]
    assert sandbox.profile_requests == [other]
    assert (sandbox.rows_billed, sandbox.credits_billed) == (20, 1_000)
    assert sandbox.open_requests == 0
