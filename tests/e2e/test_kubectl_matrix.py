"""Every command of kubectl, every version at hand, on real containers; and the page about it."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e import kubectl_tree, kubectl_world
from tests.e2e.conftest import ROOT, Cluster, kubectl_path, kubectl_versions
from tests.e2e.kubectl_create import CREATE
from tests.e2e.kubectl_errors import ERRORS
from tests.e2e.kubectl_local import LOCAL
from tests.e2e.kubectl_player import Player, Results, page, take
from tests.e2e.kubectl_pods import NODES, PODS
from tests.e2e.kubectl_read import READ
from tests.e2e.kubectl_streams import STREAMS
from tests.e2e.kubectl_write import CHANGE, REMOVE

PAGE = ROOT / "docs" / "reference" / "kubectl.md"
VERSIONS = kubectl_versions()
AT_ONCE = 4
EVERY = [READ, CREATE, CHANGE, REMOVE, ERRORS, STREAMS, PODS, NODES, LOCAL]

pytestmark = [
    pytest.mark.timeout(1800),  # some two thousand runs of kubectl, most of them at the beginning
    pytest.mark.skipif(not VERSIONS, reason="no kubectl.1.* beside kubectl"),
]


def few(versions: Sequence[str]) -> list[str]:
    """Oldest, middle, newest: enough for what is slow."""
    chosen = {0, len(versions) // 2, len(versions) - 1}
    return [version for i, version in enumerate(versions) if i in chosen]


def player(cluster: Cluster, version: str, folder: Path) -> Player:
    home = folder / version
    kubectl_world.furnish(home)
    return Player(cluster, version, home)


def in_own_namespace(shared: Player, prefix: str) -> Player:
    own = replace(shared, namespace=f"{prefix}-{shared.version.replace('.', '-')}")
    shared.run("create", "namespace", own.namespace)
    return own


def walk_streams(shared: Player, found: Results) -> None:
    """What every version does, beside the others; some of it makes pods beside those of READ."""
    take(STREAMS, shared, found)
    take(LOCAL, shared, found)
    take(CREATE, in_own_namespace(shared, "create"), found)


def walk_writes(shared: Player, found: Results) -> None:
    own = in_own_namespace(shared, "write")
    take(CREATE, own, Results())
    for part in (CHANGE, ERRORS, REMOVE):
        take(part, own, found)


def walk_pods(shared: Player, found: Results) -> None:
    take(PODS, in_own_namespace(shared, "pods"), found)


@pytest.fixture(scope="module")
def players(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Player]:
    """One for each version."""
    folder = tmp_path_factory.mktemp("matrix")
    return {version: player(cluster, version, folder) for version in VERSIONS}


@pytest.fixture(scope="module")
def results(cluster: Cluster, players: dict[str, Player]) -> Results:
    """All walks of all versions: outcomes by command and version."""
    kubectl_world.build(cluster)
    found = Results()
    slow = [players[version] for version in few(VERSIONS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda p: take(READ, p, found), players.values()))
        list(pool.map(lambda p: walk_streams(p, found), players.values()))
        jobs = [pool.submit(do, p, found) for p in slow for do in (walk_writes, walk_pods)]
        for job in jobs:
            job.result()
    for one in slow:  # these take nodes away from everybody
        take(NODES, one, found)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_no_command_is_broken(results: Results, version: str) -> None:
    broken = [
        f"{words}\n{outcome}"
        for (words, of), outcome in results.items()
        if of == version and outcome.startswith("BROKEN")
    ]
    assert not broken, "\n\n".join(broken)


def test_every_command_of_the_newest_kubectl_is_tried(
    results: Results, players: dict[str, Player]
) -> None:
    newest = VERSIONS[-1]
    known = kubectl_tree.commands(Path(kubectl_path(newest)))
    assert len(known) > 80
    assert not kubectl_tree.untried(known, players[newest].tried)


def test_everything_that_is_promised_has_a_step() -> None:
    assert not kubectl_tree.unkept(step.words for walk in EVERY for step in walk.steps)


def test_nothing_is_refused_but_what_comes_later(results: Results) -> None:
    refused = {
        (words, version): outcome
        for (words, version), outcome in results.items()
        if outcome.startswith("refused")
    }
    assert {words for words, _ in refused} == kubectl_tree.LATER.keys()
    for (words, version), outcome in refused.items():
        told = re.fullmatch(f"refused: {kubectl_tree.LATER[words]}", outcome)
        assert told, f"{words} with {version}: {outcome}"


def test_the_page_says_what_happened(results: Results) -> None:
    text = page(EVERY, VERSIONS, results)
    columns = f"| command | {' | '.join(VERSIONS)} |\n"
    if not os.environ.get("GOLDEN") and columns not in PAGE.read_text():
        pytest.skip("the page is about other versions than those at hand")
    if os.environ.get("GOLDEN"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "GOLDEN=1 rewrites the page"
