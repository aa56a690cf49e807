"""The API key of requests for profiles."""

from __future__ import annotations

from jobo_sandbox import Fault, Sandbox
from tests.support import complaint
from tests.support.companies import CompaniesTap, ids_of, profiles_of


class TestKey:
    def test_requests_go_to_the_api_whatever_the_host_of_details_url(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        with Sandbox(size=1) as other:
            for key in sandbox.world.rows():
                url = f"{other.url}/api/companies/{key}"
                sandbox.world.touch(key, details_url=url)
            sandbox.world.touch(key, details_url="file:///etc/passwd")
            run = tap.run()
            assert run.returncode == 0, run.stderr
            assert other.ledger == []
        assert len(ids_of(run)) == 120
        headers = [entry.headers for entry in sandbox.profile_requests]
        assert {header["x-api-key"] for header in headers} == {sandbox.api_key}

    def test_redirect_is_not_followed(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        with Sandbox(size=1) as other:
            fault = Fault(redirect=f"{other.url}/api/companies/x", times=None)
            sandbox.faults.add(fault, endpoint="profile")
            assert "302" in complaint(tap.run())
            assert other.ledger == []

    def test_profiles_and_errors_that_quote_it(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        key = sandbox.api_key
        good, odd, failing, unknown, *_ = sandbox.world.rows()
        faults = {
            good: Fault(replace=lambda profile: {**profile, "name": f"{key} Inc."}),
            odd: Fault(replace=lambda profile: {**profile, "website": [key]}),
            unknown: Fault(replace=lambda profile: {**profile, key: key, "id": key}),
            failing: Fault(status=503, body={"detail": key}, headers={"Retry-After": "0.01"}),
        }
        for company_id, fault in faults.items():
            sandbox.faults.add(fault, company_id=company_id)
        run = tap.run(env={"LOGLEVEL": "DEBUG"})
        assert run.returncode == 0, run.stderr
        names = {record["id"]: record["name"] for record in profiles_of(run)}
        assert names[good] == "[api_key] Inc."
        assert len(run.lines("ERROR")) == 2
        assert len(names) == 119
        assert key[:20] not in run.stdout + run.stderr
