"""The how-to pages of StatefulSets: what they say is played as it stands there."""

from pathlib import Path

import pytest

from tests.e2e import tutorial
from tests.e2e.conftest import ROOT, Cluster

PAGES = sorted((ROOT / "docs" / "howto").glob("statefulset-*.md"))


@pytest.mark.timeout(480)  # a node's silence alone is given nearly two minutes
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_pages_say_what_happens(cluster: Cluster, page: Path) -> None:
    cluster.kubectl("delete", "events", "--all")  # pages tell of their own only
    player = tutorial.Player(cluster)
    steps = list(tutorial.steps(page))
    assert steps
    for step in steps:
        player.play(step)
