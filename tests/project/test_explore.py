"""`just explore`: what it prints of an example that fails."""

from __future__ import annotations

import runpy

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.support.repository import REPOSITORY


class Broken(RuleBasedStateMachine):
    """A model that fails in two ways."""

    @rule(numbers=st.lists(st.integers()))
    def add(self, numbers: list[int]) -> None:
        assert sum(numbers) < 10, "too many"

    @rule()
    def stop(self) -> None:
        raise AssertionError("too soon")


def test_an_example_that_fails_is_printed_as_code_that_fails_alike() -> None:
    try_examples = runpy.run_path(str(REPOSITORY / "tools/explore.py"))["try_examples"]
    name, text = try_examples(Broken, 1)
    assert name == "Broken"
    error, code = text.split("\nstate = ")
    with pytest.raises(AssertionError) as failure:
        exec(f"state = {code}", {"Broken": Broken})
    assert f"\nAssertionError: {failure.value}\n" in error
