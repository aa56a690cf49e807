"""Random histories of the rules of the log: `world` says what they check."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tap_jobo.sync import run
from tap_jobo.sync.start import Start
from tests.sync.world import histories


def test_random_histories_are_right() -> None:
    assert not histories.find_wrong(seed=1, count=40)


def test_random_histories_of_free_feeds_are_right() -> None:
    assert not histories.find_wrong(seed=2, count=20, free=1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [11, 12])
def test_many_random_histories_are_right(seed: int) -> None:
    assert not histories.find_wrong(seed=seed, count=400)


def test_a_wrong_rule_is_found_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_head(_: Any, places: Any) -> Start:
        return Start(places.head)

    monkeypatch.setattr(run, "where", at_head)  # so nothing is loaded
    wrong = histories.find_wrong(seed=1, count=100)
    steps = re.search(r", (\d+) steps:", wrong)
    assert steps
    assert int(steps[1]) <= 3
