"""The filter values that Jobo knows: fetched once, and nothing depends on them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import requests

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api import known_values
from tap_jobo.api.client import Client
from tap_jobo.api.known_values import (
    FILTERS_PATH,
    describe_unknown_values,
    fetch_known_values,
)
from tap_jobo.api.session import ApiSession
from tap_jobo.errors import InterruptedRunError
from tap_jobo.signals import ShutdownSignal
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LOGGER = logging.getLogger("tests.known_values")
UNKNOWN = dict.fromkeys(["sources", "work_models", "employment_types", "experience_levels"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=20, jobs=50) as sandbox:
        yield sandbox


def fetch(
    sandbox: Sandbox, shutdown: ShutdownSignal | None = None
) -> Mapping[str, frozenset[str] | None]:
    """Fetch the values, and see that nobody waited and that it was asked for once."""
    clock = FakeClock()
    with ApiSession(sandbox.url) as session:
        client = Client(
            session=session,
            key=sandbox.api_key,
            shutdown=shutdown or ShutdownSignal(clock),
            clock=clock,
            logger=LOGGER,
        )
        request = requests.Request(
            "GET", sandbox.url + FILTERS_PATH, headers={"X-Api-Key": sandbox.api_key}
        ).prepare()
        known = fetch_known_values(client, lambda: request, LOGGER)
    assert clock.passed == 0
    assert len(sandbox.ledger) <= 1
    return known.values


def debug_line(caplog: pytest.LogCaptureFixture) -> str:
    """The one line that was logged."""
    (record,) = (record for record in caplog.records if record.name == LOGGER.name)
    assert record.levelno == logging.DEBUG
    return record.getMessage()


class TestFetch:
    def test_values_are_those_of_the_api(
        self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, LOGGER.name)
        known = fetch(sandbox)
        jobs = [job.row for _, job in sandbox.world.board.active()]
        types = "full-time part-time contract internship freelance temporary"
        expected: dict[str, frozenset[str] | set[str] | None] = {
            "sources": {row["source"] for row in jobs},
            "work_models": {"remote", "hybrid", "onsite"},
            "employment_types": {*types.split()},
            "experience_levels": {"intern", "entry", "mid", "senior", "lead", "executive"},
        }
        assert expected == known
        assert [record for record in caplog.records if record.name == LOGGER.name] == []
        assert sandbox.credits_billed == 0

    @pytest.mark.parametrize(
        ("fault", "why"),
        [
            (Fault(status=404), "404"),
            (Fault(status=401), "401"),
            (Fault(status=429, headers={"Retry-After": "60"}), "429"),
            (Fault(status=503, headers={"Retry-After": "60"}), "503"),
            (Fault(drop=True), "closed"),
            (Fault(truncate=0.5), "broke off"),
            (Fault(garbage="<html>"), "JSON"),
            (Fault(redirect="http://127.0.0.1:1/"), "302"),
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
        assert fetch(sandbox) == UNKNOWN
        assert why in debug_line(caplog)
        assert len(sandbox.ledger) == 1

    def test_unreachable_api_is_one_debug_line(
        self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, LOGGER.name)
        sandbox.close()
        assert fetch(sandbox) == UNKNOWN
        assert "cannot be reached" in debug_line(caplog)

    def test_it_is_given_five_seconds(self) -> None:
        assert known_values._SECONDS == 5

    @pytest.mark.parametrize(
        ("replace", "missing"),
        [
            (lambda body: body["sources"], list(UNKNOWN)),
            (lambda _: {}, list(UNKNOWN)),
            (lambda body: body | {"sources": None}, ["sources"]),
            (lambda body: body | {"sources": []}, ["sources"]),
            (lambda body: body | {"sources": ["greenhouse"]}, ["sources"]),
            (lambda body: body | {"sources": [{"key": 7}]}, ["sources"]),
            (lambda body: body | {"enums": []}, list(UNKNOWN)[1:]),
            (lambda body: body | {"enums": {"work_models": ["x"]}}, list(UNKNOWN)[2:]),
        ],
    )
    def test_what_cannot_be_understood_is_not_known(
        self,
        sandbox: Sandbox,
        caplog: pytest.LogCaptureFixture,
        replace: Callable[[dict[str, Any]], object],
        missing: list[str],
    ) -> None:
        caplog.set_level(logging.DEBUG, LOGGER.name)
        sandbox.faults.add(Fault(replace=replace))
        known = fetch(sandbox)
        assert [name for name, values in known.items() if values is None] == missing
        assert ", ".join(missing) in debug_line(caplog)

    def test_signal_ends_the_run_here_too(self, sandbox: Sandbox) -> None:
        class Signaled(ShutdownSignal):
            def check(self) -> None:
                raise InterruptedRunError(15)

        with pytest.raises(InterruptedRunError):
            fetch(sandbox, Signaled(FakeClock()))
        assert sandbox.ledger == []


class TestDescribe:
    KNOWN = frozenset({"greenhouse", "lever_co", "workday", "work_1", "work_2", "work_3"})

    def test_nearest_known_value_is_suggested(self) -> None:
        (warning,) = describe_unknown_values("jobs_sources", ["workday", "lever"], self.KNOWN)
        assert warning == (
            "Setting 'jobs_sources': 'lever' is not one of Jobo's sources; did you mean "
            "'lever_co'? Unknown values match nothing."
        )

    def test_at_most_three_are_suggested(self) -> None:
        (warning,) = describe_unknown_values("jobs_sources", ["work_9"], self.KNOWN)
        assert warning.count("work_") == 4
        assert " or " in warning

    def test_case_matters_to_jobo_and_not_to_suggestions(self) -> None:
        (warning,) = describe_unknown_values("jobs_sources", ["GREENHOUSE"], self.KNOWN)
        assert "'GREENHOUSE' is not one" in warning
        assert "did you mean 'greenhouse'?" in warning

    def test_without_a_near_value_nothing_is_asked(self) -> None:
        (warning,) = describe_unknown_values("jobs_work_models", ["xyz"], self.KNOWN)
        assert warning == (
            "Setting 'jobs_work_models': 'xyz' is not one of Jobo's work models. Unknown values "
            "match nothing."
        )

    def test_each_unknown_value_has_a_warning(self) -> None:
        assert len(describe_unknown_values("jobs_sources", ["a", "b"], self.KNOWN)) == 2

    def test_nothing_is_checked_against_unknown_lists(self) -> None:
        assert describe_unknown_values("jobs_sources", ["lever"], None) == []
