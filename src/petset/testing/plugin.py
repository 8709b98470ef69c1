"""Fixtures for pytest. Loaded on demand: `pytest_plugins = ["petset.testing.plugin"]`.

Each process of a test run (each worker of pytest-xdist) has one cluster with a port, an authority
and a directory of its own. It is reset before a test that uses it, which takes milliseconds, so a
test finds a fresh cluster whatever the one before left behind.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from petset.testing.background import Options
from petset.testing.cluster import Cluster, RunningCluster, running_cluster


@pytest.fixture(scope="session")
def petset_options() -> Options:
    """What the cluster is made of (`testing.background.Settings`). Override it in a conftest."""
    return {}


@pytest.fixture(scope="session")
def petset_session_cluster(petset_options: Options) -> Iterator[RunningCluster]:
    """The cluster of this process, as the tests before left it."""
    with running_cluster(**petset_options) as cluster:
        yield cluster


@pytest.fixture
def petset_cluster(petset_session_cluster: RunningCluster) -> RunningCluster:
    """A fresh cluster, for tests that block; `.aio` is the same one for async tests."""
    petset_session_cluster.reset()
    return petset_session_cluster


@pytest.fixture
def petset_async_cluster(petset_cluster: RunningCluster) -> Cluster:
    """A fresh cluster, for async tests on any loop."""
    return petset_cluster.aio


@pytest.fixture
def petset_kubeconfig(petset_cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kubeconfig of a fresh cluster; KUBECONFIG names it during the test."""
    monkeypatch.setenv("KUBECONFIG", str(petset_cluster.kubeconfig))
    return petset_cluster.kubeconfig
