import pytest
import requests

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.patience import patient
from tests.support.crash import wait_until_quiet

from .helpers import CAREER_SITES, TIMEOUT


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
            timeout=patient(0.1) if how == "hang" else TIMEOUT,
        )
    wait_until_quiet(sandbox)
    assert sandbox.rows_billed == rows
