"""A whole agent on a fake runtime in virtual time, against a real server in process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj
from petset.apiserver.app import App
from petset.base.http import Identity
from petset.base.ids import Ids
from petset.base.loopclock import LoopClock
from petset.client.client import Client
from petset.client.local import Local
from petset.node.agent import Agent
from petset.node.config import AgentConfig
from petset.node.images.types import Image, ImageError, Report
from petset.node.runtime.base import ContainerConfig
from petset.store.drivers.memory import MemoryStore
from petset.testing.clock import run_virtual
from petset.testing.runtime import Behaviour, FakeMachine, FakeRuntime, FakeVolumes

IDENTITY = Identity("system:node:n1", ("system:masters", "system:authenticated"))


class FakeImages:
    """Every image is there but those named missing."""

    def __init__(self) -> None:
        self.missing: set[str] = set()

    async def ensure(
        self, ref: str, policy: str, report: Report, auths: Mapping[str, str] | None = None
    ) -> Image:
        del policy, report, auths
        if ref in self.missing:
            raise ImageError("ErrImagePull", "not here")
        return Image("sha256:1", f"docker.io/library/{ref}:latest", (), cmd=("run",))

    def local(self, ref: str) -> Image | None:
        del ref
        return None


@dataclass
class Rig:
    """A server, a fake machine, and the agent on it."""

    client: Client
    clock: LoopClock
    machine: FakeMachine
    root: Path
    images: FakeImages = field(default_factory=FakeImages)
    volumes: FakeVolumes = field(default_factory=FakeVolumes)
    scripts: dict[str, Behaviour] = field(default_factory=dict)
    task: "asyncio.Task[None] | None" = None
    started: int = 0

    def behaviour(self, config: ContainerConfig) -> Behaviour:
        return self.scripts.get(config.name, Behaviour())

    def agent(self) -> Agent:
        self.started += 1  # every agent draws other ids
        config = AgentConfig(
            name="n1",
            run_dir=self.root / "run",
            state_dir=self.root / "state",
            cluster="x",
            address="172.29.0.10",
            pod_cidr="10.128.0.0/24",
        )
        runtime = FakeRuntime(self.machine)
        return Agent(
            config,
            self.client,
            self.clock,
            Ids(self.started),
            self.images,
            runtime=runtime,
            volumes=self.volumes,
        )

    async def start(self) -> Agent:
        agent = self.agent()
        self.task = asyncio.ensure_future(agent.run())
        await agent.ready.wait()
        return agent

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def create(self, name: str = "p", **spec: Any) -> MutableObj:
        pod = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}], **spec},
        }
        return await self.client.create("pods", pod, "default")

    async def pod(self, name: str = "p") -> MutableObj | None:
        try:
            return await self.client.get("pods", name, "default")
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def until(self, found: Callable[[Obj], Any], name: str = "p") -> MutableObj:
        async with asyncio.timeout(7200):
            while True:
                pod = await self.pod(name)
                if pod is not None and found(pod):
                    return pod
                await asyncio.sleep(0.05)

    async def gone(self, name: str = "p") -> None:
        async with asyncio.timeout(7200):
            while await self.pod(name) is not None:
                await asyncio.sleep(0.05)

    async def events(self, kind: str) -> list[MutableObj]:
        """What was told of objects of that kind, by the first time it was."""
        found = (await self.client.list("events", "default")).items
        mine = [e for e in found if e["involvedObject"]["kind"] == kind]
        return sorted(mine, key=lambda e: e["metadata"]["resourceVersion"].zfill(20))

    def running(self) -> list[str]:
        return [r.name for r in self.machine.runs.values() if r.state == "running"]


@asynccontextmanager
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    clock = LoopClock()
    store = MemoryStore(clock)
    app = App(store, clock, Ids(2))
    await app.start()
    client = Client(Local(app.dispatch, IDENTITY), manager="kubelet")
    here = Rig(client, clock, FakeMachine(clock), tmp_path)
    here.machine.script = here.behaviour
    await here.start()
    try:
        yield here
    finally:
        await here.stop()
        await app.close()
        await store.close()


PORT = {"containerPort": 80, "hostPort": 80}


def played(tmp_path: Path, story: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    """Run a story in virtual time."""

    async def body() -> None:
        async with rig(tmp_path) as here:
            await story(here)

    run_virtual(body())


def ready(pod: Obj) -> bool:
    return meta.is_condition_true(pod, "Ready")


def count(pod: Obj) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return int(statuses[0].get("restartCount") or 0)


def waiting(pod: Obj) -> str:
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    state = statuses[0].get("state") or {}
    return str((state.get("waiting") or {}).get("reason") or "")
