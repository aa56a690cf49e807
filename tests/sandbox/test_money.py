import pytest

from jobo_sandbox import Sandbox

from .helpers import post


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
