import pytest

from jobo_sandbox import Sandbox

from .helpers import ids, page, post


def test_a_cursor_carries_filters_window_and_page_size(sandbox: Sandbox) -> None:
    whole = ids(sandbox, country_codes=["US"], batch_size=3)
    first = page(sandbox, country_codes=["US"], batch_size=3)
    second = page(
        sandbox,
        cursor=first["next_cursor"],
        country_codes=["FR"],
        updated_after="2999-01-01T00:00:00Z",
        batch_size=50,
    )
    assert [row["id"] for row in second["career_sites"]] == whole[3:6]


def assert_rejected(sandbox: Sandbox, cursor: object) -> None:
    billed = sandbox.credits_billed
    response = post(sandbox, {"cursor": cursor})
    assert response.status_code == 400
    assert response.json()["detail"] == "Invalid cursor"
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert sandbox.credits_billed == billed


@pytest.mark.parametrize("cursor", ["", "ümlaut", "AAAA", 7])
def test_a_malformed_cursor_is_rejected(sandbox: Sandbox, cursor: object) -> None:
    assert_rejected(sandbox, cursor)


def test_the_same_secret_takes_the_cursors_of_an_earlier_sandbox(sandbox: Sandbox) -> None:
    cursor = page(sandbox, batch_size=5)["next_cursor"]
    with Sandbox(size=120, seed=7, secret=sandbox.secret) as later:
        assert page(later, cursor=cursor)["career_sites"]


def test_cursors_issued_so_far_can_be_rejected(sandbox: Sandbox) -> None:
    cursor = page(sandbox)["next_cursor"]
    sandbox.expire_cursors()
    assert_rejected(sandbox, cursor)
    assert len(ids(sandbox)) == 120
