"""Each fuzz target for some rounds of a fixed seed; `python -m tests.fuzz` plays on and on."""

import pytest

from tests.fuzz import harness
from tests.fuzz.targets import TARGETS

SEED = 1


@pytest.mark.parametrize("name", TARGETS)
async def test_nothing_crashes_hangs_or_grows(name: str) -> None:
    target, rounds = TARGETS[name]
    await harness.play(name, target, SEED, rounds)
