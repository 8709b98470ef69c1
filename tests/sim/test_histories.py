"""Two hundred histories from seeds: whatever breaks, no rule is broken, and all gets whole.

`make sim SEEDS=10000` lives more of them; `python -m tests.sim --seeds 17 --shrink` makes a failing
one short.
"""

import pytest

from tests.sim.history import live
from tests.sim.story import draw

BATCH = 10
HISTORIES = 200

pytestmark = pytest.mark.timeout(600)
"""A batch takes seconds of the processor; time itself is virtual, so nothing waits for it."""


@pytest.mark.parametrize("first", range(0, HISTORIES, BATCH))
def test_histories_break_no_rule(first: int) -> None:
    for seed in range(first, first + BATCH):
        outcome = live(draw(seed))
        told = "\n".join([*outcome.faults, "what happened last:", *outcome.trace[-40:]])
        replay = f"replay: python -m tests.sim --seeds {seed} --trace"
        assert not outcome.faults, f"seed {seed}:\n{told}\n{replay}"


@pytest.mark.parametrize("seed", range(3, 200, 40))
def test_the_same_seed_leaves_the_same_trace(seed: int) -> None:
    first, second = live(draw(seed)), live(draw(seed))
    differing = [pair for pair in zip(first.trace, second.trace, strict=False) if len({*pair}) > 1]
    assert not differing[:1]
    assert first.digest == second.digest
