"""The filter values that Jobo lists: fetched when they are needed, and nothing depends on them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import pytest
import requests

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api import known_values
from tap_jobo.api.known_values import KnownValues
from tap_jobo.api.session import ApiSession
from tap_jobo.errors import InterruptedRunError
from tap_jobo.signals import ShutdownSignal
from tap_jobo.streams import SETTINGS
from tests.support.client import make_client
from tests.support.clock import FakeClock

LOGGER = logging.getLogger("tests.client")
NAMED = {setting.name: setting for setting in SETTINGS}


def warnings(sandbox: Sandbox, **settings: Any) -> list[str]:
    """Check settings, and see that nobody waited and that nothing was billed."""
    clock = FakeClock()
    with ApiSession(sandbox.url) as session:
        client = make_client(session, sandbox.api_key, clock)

        def prepare(path: str, query: Mapping[str, str]) -> requests.PreparedRequest:
            key = {"X-Api-Key": sandbox.api_key}
            url = sandbox.url + path
            return requests.Request("GET", url, params=query, headers=key).prepare()

        known = KnownValues(client, prepare)
        found = [known.warnings(NAMED[name], value) for name, value in settings.items()]
    assert clock.passed == 0
    assert sandbox.credits_billed == 0
    return [line for lines in found for line in lines]


class TestLists:
    def test_values_that_jobo_lists(
        self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, LOGGER.name)
        source = next(job["source"] for job in sandbox.world.jobs().values())
        assert (
            warnings(
                sandbox,
                jobs_sources=[source],
                jobs_locations=[{"country": "Germany"}, {"city": "London", "region": "England"}],
                country_codes=["XX"],
            )
            == []
        )
        assert [record for record in caplog.records if record.name == LOGGER.name] == []
        endpoints = [entry.endpoint for entry in sandbox.ledger]
        assert sorted(set(endpoints)) == ["filters", "locations"]
        assert len(endpoints) == 3

    @pytest.mark.parametrize(
        ("name", "value", "shown", "advice"),
        [
            ("jobs_sources", "LEVER_CO", "'LEVER_CO'", "Did you mean 'lever_co'?"),
            ("jobs_locations", {"city": "Ber"}, "city=Ber", "Did you mean city=Berlin?"),
            (
                "jobs_locations",
                {"country": "Germny"},
                "country=Germny",
                "Use full names, such as Germany.",
            ),
        ],
    )
    def test_value_that_jobo_does_not_list(
        self, sandbox: Sandbox, name: str, value: object, shown: str, advice: str
    ) -> None:
        (warning,) = warnings(sandbox, **{name: [value]})
        why = f"Jobo does not list {shown}, so it matches no rows."
        assert warning == f"Setting '{name}': {why} {advice} [no-match]"

    def test_number_of_requests_is_limited(self, sandbox: Sandbox) -> None:
        places = [{"city": f"City {number}"} for number in range(50)]
        assert len(warnings(sandbox, jobs_locations=places)) == len(sandbox.ledger) == 20


UNKNOWN: dict[str, Any] = {
    "jobs_sources": ["lever"],
    "jobs_locations": [{"country": "Germny"}],
}


class TestNothingDependsOnThem:
    @pytest.mark.parametrize(
        ("fault", "why"),
        [
            (Fault(status=401), "401"),
            (Fault(status=429, headers={"Retry-After": "60"}), "429"),
            (Fault(drop=True), "closed"),
            (Fault(truncate=0.5), "broke off"),
            (Fault(garbage="<html>"), "JSON"),
            (Fault(replace={"options": 7}), "KeyError"),
            (Fault(hang=True), "timed out"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_failure_is_one_debug_line_and_no_second_request(
        self,
        sandbox: Sandbox,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        fault: Fault,
        why: str,
    ) -> None:
        monkeypatch.setattr(known_values, "_SECONDS", 0.2)
        caplog.set_level(logging.DEBUG, LOGGER.name)
        sandbox.faults.add(fault)
        assert warnings(sandbox, **UNKNOWN) == []
        (record,) = (record for record in caplog.records if record.name == LOGGER.name)
        assert record.levelno == logging.DEBUG
        assert why in record.getMessage()
        assert len(sandbox.ledger) == 1

    def test_signal_ends_the_run_here_too(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        signaled = Mock(side_effect=InterruptedRunError(15))
        monkeypatch.setattr(ShutdownSignal, "raise_if_set", signaled)
        with pytest.raises(InterruptedRunError):
            warnings(sandbox, **UNKNOWN)
        assert sandbox.ledger == []
