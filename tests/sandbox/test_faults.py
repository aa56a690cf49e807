from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from jobo_sandbox import Fault, Hold, Sandbox

from .helpers import CAREER_SITES, page


@pytest.mark.parametrize(("billed", "rows"), [(False, 0), (True, 50)])
@pytest.mark.parametrize(
    ("how", "error"), [("drop", requests.ConnectionError), ("hang", requests.ReadTimeout)]
)
def test_a_request_without_a_response_is_billed_if_the_fault_says_so(
    sandbox: Sandbox,
    how: str,
    error: type[Exception],
    billed: bool,  # noqa: FBT001
    rows: int,
) -> None:
    sandbox.faults.add(Fault(drop=how == "drop", hang=how == "hang", billed=billed))
    with pytest.raises(error):
        requests.post(
            sandbox.url + CAREER_SITES,
            json={},
            headers={"X-Api-Key": sandbox.api_key},
            timeout=0.1,
        )
    assert sandbox.rows_billed == rows


def test_a_held_request_sees_what_changes_meanwhile(sandbox: Sandbox) -> None:
    hold = Hold()
    sandbox.faults.add(Fault(hold=hold))
    with ThreadPoolExecutor() as pool:
        held = pool.submit(page, sandbox)
        hold.wait()
        assert sandbox.open_requests == 1
        assert sandbox.ledger[0].status is None
        key = min(sandbox.world.rows())
        sandbox.world.touch(key, name="Changed meanwhile")
        hold.release()
        rows = held.result()["career_sites"]
    assert [row["name"] for row in rows if row["id"] == key] == ["Changed meanwhile"]
    assert sandbox.ledger[0].status == 200
