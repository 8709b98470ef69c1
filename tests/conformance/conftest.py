from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conformance.cluster import Cluster, Kubectl, find_kubectls, running

FOUND = find_kubectls()


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running(tmp_path) as made:
        yield made


PARAMS: list[Path | None] = [*FOUND] or [None]


@pytest.fixture(params=PARAMS, ids=lambda p: p.name if p else "none")
def kubectl(request: pytest.FixtureRequest, cluster: Cluster) -> Kubectl:
    """Every kubectl at hand, one after the other."""
    if request.param is None:
        pytest.skip("no kubectl on PATH")
    return cluster.kubectl(request.param)


@pytest.fixture
def newest_binary() -> Path:
    """The kubectl that most tests run with."""
    if not FOUND:
        pytest.skip("no kubectl on PATH")
    wanted = [p for p in FOUND if p.name.endswith(".1.32")]
    return (wanted or FOUND)[-1]


@pytest.fixture
def newest(cluster: Cluster, newest_binary: Path) -> Kubectl:
    """One kubectl, of the version that most tests run with."""
    return cluster.kubectl(newest_binary)
