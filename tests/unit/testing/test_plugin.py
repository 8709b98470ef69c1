"""The fixtures, in a pytest of their own with two workers."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import pytest

pytest_plugins = ["petset.testing.plugin"]


@pytest.fixture(scope="session")
def petset_options():
    return {"nodes": 2}
"""

TESTS = """
import os

import pytest

MAP = "{kind: ConfigMap, apiVersion: v1, metadata: {name: one}}"


@pytest.mark.parametrize("number", range(6))
def test_each_test_finds_a_fresh_cluster(petset_cluster, petset_kubeconfig, number):
    assert petset_cluster.get("configmaps", "one") is None
    assert petset_cluster.names("nodes") == ["n1", "n2"]
    assert os.environ["KUBECONFIG"] == str(petset_kubeconfig)
    petset_cluster.apply(MAP)
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{os.environ['PYTEST_XDIST_WORKER']} {petset_cluster.url}\\n")


def test_the_async_form_is_the_same_cluster(petset_cluster, petset_async_cluster):
    petset_cluster.apply(MAP)
    assert petset_async_cluster.get("configmaps", "one")
    assert petset_async_cluster.url == petset_cluster.url
"""


@pytest.mark.timeout(240)  # three more processes that load everything
def test_workers_have_clusters_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    notes = tmp_path / "notes"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "load",
        "-p",
        "no:cacheprovider",
    ]
    source = str(Path(__file__).parents[3] / "src")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": source, "NOTES": str(notes)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=220
    )
    assert "7 passed" in done.stdout, done.stdout + done.stderr
    seen = {tuple(line.split()) for line in notes.read_text().splitlines()}
    assert len(seen) == len({worker for worker, _ in seen}) == len({url for _, url in seen}) == 2
