"""Random histories of the archive's rules: `rules.world` says what they check."""

from __future__ import annotations

import re
import runpy

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_jobo.sync.start import Load
from tests.support.repository import REPOSITORY
from tests.sync.rules import histories, run
from tests.sync.rules.histories import MOVES, Setting, Step
from tests.sync.rules.world import World

SEEDS = st.integers(0, 2**32 - 1)


def test_random_histories_are_right() -> None:
    assert not histories.find_wrong(seed=1, count=300)


@pytest.mark.exhaustive
def test_many_random_histories_are_right() -> None:
    """`just histories SEED COUNT` plays as many as you like."""
    assert not histories.find_wrong(seed=2, count=3_000)


def test_each_mutant_of_the_rules_still_has_its_place() -> None:
    """Otherwise, `just rule-mutants` ends."""
    mutants = runpy.run_path(f"{REPOSITORY / 'tools' / 'rule_mutants.py'}")["MUTANTS"]
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        source = (REPOSITORY / mutant.module).read_text()
        assert mutant.apply(source) != source


class Histories(RuleBasedStateMachine):
    """The same moves under Hypothesis, which varies them in other ways, and shrinks better."""

    setting: Setting
    world: World

    @initialize(
        setting=st.builds(
            Setting,
            order=st.sampled_from(["time", "id"]),
            has_two=st.booleans(),
            is_free=st.sampled_from([False, False, False, True]),
            has_shared_settings=st.booleans(),
            seed=SEEDS,
        )
    )
    def begin(self, setting: Setting) -> None:
        self.setting, self.world = setting, histories.begin(setting)
        self.take("rows_change", 1)

    @rule(move=st.sampled_from(sorted(MOVES)), seed=SEEDS)
    def take(self, move: str, seed: int) -> None:
        histories.take(self.world, self.setting, Step(move, seed))

    @rule(seed=SEEDS)
    def run_dies(self, seed: int) -> None:
        self.take("dies", seed)

    @rule(seed=SEEDS)
    def run_ends(self, seed: int) -> None:
        self.take("runs", seed)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            histories.end(self.world, self.setting)


TestHistories = pytest.mark.exhaustive(Histories.TestCase)
TestHistories.settings = settings(
    max_examples=300,
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[*HealthCheck],
)


def test_a_wrong_rule_is_found_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "where", lambda _, view: Load(view.head + 1))  # so nothing is loaded
    wrong = histories.find_wrong(seed=1, count=100)
    steps = re.search(r", (\d+) steps:", wrong)
    assert steps
    assert int(steps[1]) <= 3
    assert "but the API has Row" in wrong
