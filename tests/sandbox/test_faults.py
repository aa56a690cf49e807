from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from jobo_sandbox import Fault, Hold, Sandbox, Shape

from .helpers import EXPIRED, JOBS, MANAGED, get, page, post, profile


def test_a_status_on_the_nth_request(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(status=503, headers={"Retry-After": "2"}), on=3)
    answers = [post(sandbox, {}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 503, 200]
    assert answers[2].headers["Retry-After"] == "2"
    assert [entry.fault is None for entry in sandbox.ledger] == [True, True, False, True]
    assert sandbox.rows_billed == 150


def test_the_next_requests_and_for_ever(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(status=500, times=2))
    assert [post(sandbox, {}).status_code for _ in range(3)] == [500, 500, 200]
    sandbox.faults.add(Fault(status=500, times=None))
    assert [post(sandbox, {}).status_code for _ in range(3)] == [500, 500, 500]
    sandbox.faults.clear()
    assert post(sandbox, {}).status_code == 200


def test_faults_for_an_endpoint_or_a_company(sandbox: Sandbox) -> None:
    one, other = list(sandbox.world.rows())[:2]
    sandbox.faults.add(Fault(status=500), endpoint="profile", on=2)
    sandbox.faults.add(Fault(status=502), company_id=other)
    page(sandbox)
    assert [profile(sandbox, one).status_code for _ in range(3)] == [200, 500, 200]
    assert [profile(sandbox, other).status_code for _ in range(2)] == [502, 200]


def test_faults_are_counted_within_their_endpoint(hiring: Sandbox) -> None:
    hiring.faults.add(Fault(status=500), endpoint="jobs", on=2)
    hiring.faults.add(Fault(reject_cursor="400"), endpoint="expired_jobs")
    page(hiring)
    answers = [post(hiring, {}, path=path) for path in (JOBS, MANAGED, JOBS, JOBS)]
    assert [answer.status_code for answer in answers] == [200, 200, 500, 200]
    assert get(hiring, EXPIRED).status_code == 200
    assert get(hiring, EXPIRED, cursor="any").json()["detail"] == "Invalid cursor"


@pytest.mark.parametrize("shape", ["problem", "message"])
def test_errors_come_in_both_shapes(sandbox: Sandbox, shape: Shape) -> None:
    sandbox.error_shape = shape
    names = {
        "problem": {"title", "status", "detail"},
        "message": {"status", "error", "message"},
    }
    for answer in (post(sandbox, {"batch_size": 0}), post(sandbox, {}, key="wrong")):
        assert set(answer.json()) == names[shape]
        assert answer.json()["status"] == answer.status_code
    sandbox.faults.add(Fault(status=503))
    assert set(post(sandbox, {}).json()) == names[shape]
    sandbox.faults.add(Fault(status=503, shape="message"))
    assert set(post(sandbox, {}).json()) == names["message"]


def test_billed_and_dropped_before_the_answer(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(drop=True, billed=True))
    with pytest.raises(requests.ConnectionError, match="without response"):
        post(sandbox, {})
    assert (sandbox.rows_billed, sandbox.credits_billed) == (50, 2_500)


@pytest.mark.parametrize(("billed", "rows"), [(False, 0), (True, 50)])
def test_hanging_until_the_client_leaves(sandbox: Sandbox, billed: bool, rows: int) -> None:  # noqa: FBT001
    sandbox.faults.add(Fault(hang=True, billed=billed))
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{sandbox.url}/api/career-sites/feed",
            json={},
            headers={"X-Api-Key": sandbox.api_key},
            timeout=0.1,
        )
    assert sandbox.rows_billed == rows


def test_a_held_request_can_be_waited_for(sandbox: Sandbox) -> None:
    hold = Hold()
    sandbox.faults.add(Fault(hold=hold), on=2)
    page(sandbox)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(page, sandbox)
        hold.wait()
        assert sandbox.open_requests == 1
        assert (len(sandbox.ledger), sandbox.ledger[1].status) == (2, None)
        key = next(iter(sandbox.world.rows()))
        sandbox.world.touch(key, name="Changed meanwhile")
        hold.release()
        rows = held.result()["career_sites"]
    assert {row["name"] for row in rows if row["id"] == key} <= {"Changed meanwhile"}
    assert sandbox.ledger[1].status == 200
