from datetime import timedelta
from typing import Any, get_args

import pytest

from jobo_sandbox import Order, Sandbox

from .helpers import ids, page, pages, post

ROW = {
    "id": str,
    "name": str,
    "website": str | None,
    "logo_url": str | None,
    "summary": str | None,
    "industries": list,
    "linkedin_url": str | None,
    "crunchbase_url": str | None,
    "ats": str,
    "listing_url": str,
    "details_url": str | None,
}
ORDERS = get_args(Order)


def test_rows_have_exactly_the_documented_fields(sandbox: Sandbox) -> None:
    for answer in pages(sandbox):
        assert set(answer) == {"career_sites", "next_cursor", "has_more"}
        for row in answer["career_sites"]:
            assert set(row) == set(ROW)
            assert all(isinstance(row[name], kind) for name, kind in ROW.items())
            assert 1 <= len(row["industries"]) <= 3


def test_orders_are_what_they_are_called(sandbox: Sandbox) -> None:
    by_time = sorted(sandbox.world.rows(), key=sandbox.world.updated_at)
    orders = {"updated_asc": by_time, "updated_desc": by_time[::-1], "id": sorted(by_time)}
    for sandbox.order in ORDERS:
        for size in (1, 7, 50):
            assert ids(sandbox, batch_size=size) == orders[sandbox.order]
    assert [len(answer["career_sites"]) for answer in pages(sandbox)] == [50, 50, 20]
    sandbox.world.touch(by_time[7])
    sandbox.order = "updated_desc"
    assert ids(sandbox)[0] == by_time[7]


@pytest.mark.parametrize("order", ORDERS)
def test_updated_after_is_strict(sandbox: Sandbox, order: Order) -> None:
    sandbox.order = order
    first, second = list(sandbox.world.rows())[:2]
    instant = sandbox.now()
    sandbox.world.touch(first, at=instant)
    sandbox.world.touch(second, at=instant + timedelta(microseconds=1))
    assert ids(sandbox, updated_after=instant.isoformat()) == [second]
    before = instant - timedelta(microseconds=1)
    assert set(ids(sandbox, updated_after=before.isoformat(), batch_size=1)) == {first, second}


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"industries": ["fintech", "saas"]}, "industries"),
    ({"company_sizes": ["1-10", "10001+"]}, "company_size"),
    ({"country_codes": ["DE", "US"]}, "country_code"),
    ({"funding_stages": ["seed", "series_a"]}, "funding_stage"),
    ({"company_types": ["non_profit"]}, "company_type"),
]


@pytest.mark.parametrize(("filters", "field"), FILTERS)
def test_values_of_a_list_are_alternatives(
    sandbox: Sandbox, filters: dict[str, Any], field: str
) -> None:
    [wanted] = filters.values()
    matching = set()
    for key in sandbox.world.rows():
        company = sandbox.world.company(key)
        assert company is not None
        value = company.traits[field]
        if set(wanted) & set(value if isinstance(value, list) else [value]):
            matching.add(key)
    assert 0 < len(matching) < 120
    assert set(ids(sandbox, **filters, batch_size=5)) == matching


def test_different_filters_all_apply(sandbox: Sandbox) -> None:
    both = ids(sandbox, country_codes=["US"], company_types=["for_profit"], is_agency=False)
    assert both
    for alone in ({"country_codes": ["US"]}, {"is_agency": False}):
        assert set(both) < set(ids(sandbox, **alone))
    sandbox.world.touch(both[0], founded_year=2098)
    sandbox.world.touch(both[1], founded_year=2099)
    assert ids(sandbox, founded_after=2099) == [both[1]]


@pytest.mark.parametrize(
    "body",
    [
        {"batch_size": 0},
        {"batch_size": "50"},
        {"country_codes": ["de"]},
        {"industries": [1]},
        {"company_types": ["charity"]},
        {"founded_after": "2020"},
        {"is_agency": "yes"},
        {"updated_after": "2025-01-01"},
        [],
    ],
)
def test_bad_input_is_refused_and_costs_nothing(sandbox: Sandbox, body: Any) -> None:
    response = post(sandbox, body)
    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert set(response.json()) == {"title", "status", "detail"}
    assert sandbox.credits_billed == 0


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
    with Sandbox(size=120, seed=1, secret=sandbox.secret) as later:
        assert page(later, cursor=cursor)["career_sites"]


def test_cursors_issued_so_far_can_be_rejected(sandbox: Sandbox) -> None:
    cursor = page(sandbox)["next_cursor"]
    sandbox.expire_cursors()
    assert_rejected(sandbox, cursor)
    assert len(ids(sandbox)) == 120
