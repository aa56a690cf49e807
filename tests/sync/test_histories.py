"""Random histories of the rules of the log: `world` says what they check."""

import pytest

from tests.sync.world import histories


def test_random_histories_are_right() -> None:
    assert not histories.find_wrong(seed=1, count=60)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [11, 12])
def test_many_random_histories_are_right(seed: int) -> None:
    assert not histories.find_wrong(seed=seed, count=400)
