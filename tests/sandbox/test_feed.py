from datetime import timedelta
from typing import Any, get_args

import pytest

from jobo_sandbox import Order, Sandbox
from jobo_sandbox.quirks import CursorCarries

from .helpers import CAREER_SITES, EXPIRED, JOBS, MANAGED, ask, ids, page, pages

ORDERS = get_args(Order)


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


def test_updated_after_is_strict(sandbox: Sandbox) -> None:
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
    ("path", "body"),
    [
        (CAREER_SITES, {"batch_size": 0}),
        (CAREER_SITES, {"batch_size": "50"}),
        (CAREER_SITES, {"country_codes": ["de"]}),
        (CAREER_SITES, {"industries": [1]}),
        (CAREER_SITES, {"company_types": ["charity"]}),
        (CAREER_SITES, {"founded_after": "2020"}),
        (CAREER_SITES, {"is_agency": "yes"}),
        (CAREER_SITES, {"updated_after": "2025-01-01"}),
        (CAREER_SITES, []),
        (JOBS, {"sources": "lever_co"}),
        (JOBS, {"posted_after": "2025-01-01"}),
        (JOBS, {"locations": ["Germany"]}),
        (JOBS, {"locations": [{"country": 1}]}),
        (EXPIRED, {"batch_size": "many"}),
        (EXPIRED, {"expired_since": "yesterday"}),
    ],
    ids=str,
)
def test_bad_input_is_refused_and_free(hiring: Sandbox, path: str, body: Any) -> None:
    response = ask(hiring, path, body)
    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert set(response.json()) == {"title", "status", "detail"}
    assert hiring.credits_billed == 0


@pytest.mark.parametrize("carries", get_args(CursorCarries))
def test_a_cursor_carries_as_much_as_is_set(sandbox: Sandbox, carries: CursorCarries) -> None:
    sandbox.cursor_carries = carries
    of_us, of_fr = (ids(sandbox, country_codes=[code], batch_size=3) for code in ("US", "FR"))
    first = page(sandbox, country_codes=["US"], batch_size=3)
    beside: dict[str, Any] = {"country_codes": ["FR"], "batch_size": 2}
    second = page(sandbox, cursor=first["next_cursor"], **beside)
    last = first["career_sites"][-1]["id"]
    expected = {
        "everything": of_us[3:6],
        "filters": of_us[3:5],
        "position": [key for key in of_fr if key > last][:2],
    }
    assert [row["id"] for row in second["career_sites"]] == expected[carries]


def test_a_cursor_alone_gets_a_full_page_of_jobs_unless_it_carries_the_size(
    hiring: Sandbox,
) -> None:
    cursor = page(hiring, path=JOBS, batch_size=5)["next_cursor"]
    assert len(page(hiring, path=JOBS, cursor=cursor)["jobs"]) == 85
    hiring.cursor_carries = "everything"
    assert len(page(hiring, path=JOBS, cursor=cursor)["jobs"]) == 5


@pytest.mark.parametrize("cursor", ["", "ümlaut", "AAAA", 7, "another feed's"])
@pytest.mark.parametrize("path", [CAREER_SITES, JOBS, MANAGED, EXPIRED])
def test_only_a_cursor_of_the_same_feed_is_accepted(
    hiring: Sandbox, path: str, cursor: object
) -> None:
    if cursor == "another feed's":
        other = CAREER_SITES if path == JOBS else JOBS
        cursor = page(hiring, path=other, batch_size=3)["next_cursor"]
    billed = hiring.credits_billed
    response = ask(hiring, path, {"cursor": cursor})
    assert (response.status_code, response.json()["detail"]) == (400, "Invalid cursor")
    assert hiring.credits_billed == billed


def test_the_same_secret_takes_the_cursors_of_an_earlier_sandbox(sandbox: Sandbox) -> None:
    cursor = page(sandbox, batch_size=5)["next_cursor"]
    with Sandbox(size=120, seed=1, secret=sandbox.secret) as later:
        assert page(later, cursor=cursor)["career_sites"]
