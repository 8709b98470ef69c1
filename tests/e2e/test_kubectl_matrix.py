"""Every command of kubectl, every version at hand, on real containers; and the page about it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e import kubectl_world
from tests.e2e.conftest import ROOT, Cluster, kubectl_versions
from tests.e2e.kubectl_create import CREATE
from tests.e2e.kubectl_errors import ERRORS
from tests.e2e.kubectl_player import Player, Results, page, take
from tests.e2e.kubectl_pods import NODES, PODS
from tests.e2e.kubectl_read import READ
from tests.e2e.kubectl_streams import STREAMS
from tests.e2e.kubectl_write import CHANGE, REMOVE

PAGE = ROOT / "docs" / "reference" / "kubectl.md"
VERSIONS = kubectl_versions()
AT_ONCE = 4
EVERY = [READ, CREATE, CHANGE, REMOVE, ERRORS, STREAMS, PODS, NODES]

pytestmark = [
    pytest.mark.timeout(600),
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


def walk(shared: Player, found: Results) -> None:
    """What every version does, beside the others."""
    take(READ, shared, found)
    take(STREAMS, shared, found)
    take(CREATE, in_own_namespace(shared, "create"), found)


def walk_writes(shared: Player, found: Results) -> None:
    own = in_own_namespace(shared, "write")
    take(CREATE, own, Results())
    for part in (CHANGE, ERRORS, REMOVE):
        take(part, own, found)


def walk_pods(shared: Player, found: Results) -> None:
    take(PODS, in_own_namespace(shared, "pods"), found)


@pytest.fixture(scope="module")
def results(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All walks of all versions: outcomes by command and version."""
    kubectl_world.build(cluster)
    folder, found = tmp_path_factory.mktemp("matrix"), Results()
    players = {version: player(cluster, version, folder) for version in VERSIONS}
    slow = [players[version] for version in few(VERSIONS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda p: walk(p, found), players.values()))
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


def test_the_page_says_what_happened(results: Results) -> None:
    text = page(EVERY, VERSIONS, results)
    columns = f"| command | {' | '.join(VERSIONS)} |\n"
    if not os.environ.get("GOLDEN") and columns not in PAGE.read_text():
        pytest.skip("the page is about other versions than those at hand")
    if os.environ.get("GOLDEN"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "GOLDEN=1 rewrites the page"
