"""The examples with a primary and replicas: their tutorials, played on real containers."""

from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Cluster
from tests.e2e.tutorial import Player, steps

EXAMPLES = sorted((ROOT / "examples").glob("0[345]-*"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_tutorial_says_what_happens(cluster: Cluster, example: Path) -> None:
    player = Player(cluster)
    for step in steps(example / "README.md"):
        player.play(step)
