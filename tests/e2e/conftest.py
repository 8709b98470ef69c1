"""A real cluster for tests on real containers: its own name, gone afterwards."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from petset.cli import paths, state
from petset.node.images.service import ImageService
from petset.node.images.types import ImageError

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests here need root; elsewhere they are skipped, and say so."""
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.e2e)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(240))
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    """What most pods here run is there before any of them is waited for: making it takes long."""
    asyncio.run(_have("busybox", "nginx"))


async def _have(*refs: str) -> None:
    service = ImageService(paths.images())
    try:
        for ref in refs:
            with contextlib.suppress(ImageError, OSError):  # the pods will tell why
                await service.ensure(ref, "IfNotPresent", lambda *_: None)
    finally:
        await service.close()


@dataclass
class Cluster:
    """A running cluster and the two ways of talking to it."""

    name: str
    config: Path

    @property
    def where(self) -> paths.Paths:
        return state.find(self.name)

    def petset(self, *words: str, check: bool = True, stdin: str | None = None) -> str:
        return run([sys.executable, "-m", "petset", *words], check=check, stdin=stdin)

    def kubectl(
        self, *words: str, check: bool = True, stdin: str | None = None, version: str = ""
    ) -> str:
        command = [kubectl_path(version), "--kubeconfig", str(self.config), *words]
        cache = self.config.parent / "kubecache"
        return run(command, check=check, stdin=stdin, extra={"KUBECACHEDIR": str(cache)})

    def json(self, *words: str) -> Any:
        return orjson.loads(self.kubectl(*words, "-o", "json"))

    def pods(self, app: str) -> dict[str, Any]:
        listed = self.json("get", "pods", "-l", f"app={app}")
        return {p["metadata"]["name"]: p for p in listed["items"]}

    def ready(self, app: str) -> list[str]:
        return [n for n, p in self.pods(app).items() if is_ready(p)]


def is_ready(pod: Any) -> bool:
    conditions = pod["status"].get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        c["type"] == "Ready" and c["status"] == "True" for c in conditions
    )


def run(
    command: list[str],
    *,
    check: bool = True,
    stdin: str | None = None,
    extra: dict[str, str] | None = None,
) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        timeout=180,
        env={**os.environ, **(extra or {})},
    )
    if check and done.returncode != 0:
        shown = " ".join(command)
        raise AssertionError(f"{shown}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + ("" if check else done.stderr)


def kubectl_path(version: str = "") -> str:
    found = shutil.which("kubectl")
    if not found:
        pytest.skip("no kubectl on PATH")
    if not version:
        return found
    return str(Path(found).resolve().parent / f"kubectl.{version}")


def kubectl_versions() -> list[str]:
    found = shutil.which("kubectl")
    if not found:
        return []
    beside = Path(found).resolve().parent.glob("kubectl.1.*")
    return sorted(p.name.removeprefix("kubectl.") for p in beside)


def eventually(done: Callable[[], object], what: str, limit_s: float = 60.0) -> None:
    """Ask until `done` says yes; a test that waits in vain says for what."""
    deadline = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain for {limit_s:.0f} s: {what}")
        time.sleep(0.05)


def make_cluster(directory: Path, nodes: int) -> Cluster:
    name = f"t{uuid.uuid4().hex[:8]}"
    config = directory / "kubeconfig"
    cluster = Cluster(name, config)
    cluster.petset("up", "--name", name, "--nodes", str(nodes), "--kubeconfig", str(config))
    return cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of three nodes for the tests of one module."""
    made = make_cluster(tmp_path_factory.mktemp("cluster"), 3)
    try:
        yield made
    finally:
        made.petset("down", "--name", made.name, "--delete-data")


@pytest.fixture
def one_node(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of one node for one test."""
    made = make_cluster(tmp_path, 1)
    try:
        yield made
    finally:
        made.petset("down", "--name", made.name, "--delete-data", check=False)
