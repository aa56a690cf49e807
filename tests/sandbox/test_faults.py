from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest
import requests

from jobo_sandbox import Fault, Hold, Sandbox, Shape

from .helpers import CAREER_SITES, EXPIRED, JOBS, MANAGED, get, page, post, profile


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


def test_rows_under_another_status(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(send_as=206))
    answer = post(sandbox, {})
    assert (answer.status_code, len(answer.json()["career_sites"])) == (206, 50)
    assert answer.headers["X-Credits-Deducted"] == "2500"
    [entry] = sandbox.ledger
    assert (entry.status, entry.credits) == (206, 2_500)


@pytest.mark.parametrize("path", [CAREER_SITES, JOBS])
def test_the_same_rows_for_ever(hiring: Sandbox, path: str) -> None:
    key = "career_sites" if path == CAREER_SITES else "jobs"
    first = page(hiring, path=path, batch_size=8)
    hiring.wraps_after = 1
    answers = [page(hiring, path=path, cursor=first["next_cursor"])]
    for _ in range(2):
        answers.append(page(hiring, path=path, cursor=answers[-1]["next_cursor"]))
    assert answers[0][key] != first[key]
    assert all(answer[key] == first[key] for answer in answers[1:])
    assert all(answer["has_more"] for answer in answers)
    assert len({answer["next_cursor"] for answer in answers}) == 3
    assert hiring.rows_billed == 32


@pytest.mark.parametrize(
    ("path", "key"), [(CAREER_SITES, "career_sites"), (JOBS, "jobs"), (EXPIRED, "job_ids")]
)
def test_empty_pages_for_ever(hiring: Sandbox, path: str, key: str) -> None:
    hiring.world.expire_job(next(iter(hiring.world.jobs())))
    hiring.empty_forever = True
    cursors: list[str] = []
    for _ in range(4):
        cursor = {"cursor": cursors[-1]} if cursors else {}
        answer = page(hiring, path=path, **cursor)
        assert (answer[key], answer["has_more"]) == ([], True)
        cursors.append(answer["next_cursor"])
    assert len(set(cursors)) == 4
    assert hiring.credits_billed == 0
    hiring.empty_forever = False
    assert page(hiring, path=path, cursor=cursors[-1])[key]


def test_truncated_in_the_middle(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(truncate=0.5))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        post(sandbox, {})
    assert (sandbox.rows_billed, sandbox.credits_billed) == (50, 2_500)


def test_garbage(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(garbage="<html>sorry</html>"))
    answer = post(sandbox, {})
    assert (answer.status_code, answer.text) == (200, "<html>sorry</html>")
    assert answer.headers["X-Credits-Deducted"] == "2500"
    assert sandbox.credits_billed == 2_500


@pytest.mark.parametrize(
    ("kind", "status", "member", "text"),
    [
        ("400", 400, "detail", "Invalid cursor"),
        ("400-message", 400, "message", "Invalid cursor"),
        ("409", 409, "code", "feed_cursor_restart_required"),
    ],
)
def test_a_rejected_cursor(
    sandbox: Sandbox,
    kind: Literal["400", "400-message", "409"],
    status: int,
    member: str,
    text: str,
) -> None:
    sandbox.faults.add(Fault(reject_cursor=kind))
    cursor = page(sandbox)["next_cursor"]  # carries none, and so does not meet the fault
    answer = post(sandbox, {"cursor": cursor})
    assert answer.status_code == status
    assert answer.json()[member] == text
    assert post(sandbox, {"cursor": cursor}).status_code == 200


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
