"""A node under test: a real server in process, a real agent, a network and directories of its own.

Pods are bound by their spec.nodeName; there is no scheduler. Images are plain directories.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import MutableObj, Obj
from petset.apiserver.app import App
from petset.base.clock import SystemClock
from petset.base.http import Identity
from petset.base.ids import Ids
from petset.client.client import Client
from petset.client.local import Local
from petset.node.agent import Agent
from petset.node.config import AgentConfig
from petset.node.images.types import Image, ImageError, Report
from petset.node.network import host
from petset.node.network.node import NodeNetwork
from petset.node.runtime import teardown
from petset.store.drivers.memory import MemoryStore

IDENTITY = Identity("system:node:n0", ("system:masters", "system:authenticated"))
LIMIT_S = 30.0
PROGRAMS = (
    "sh cat echo sleep id ls httpd wget hostname env stat touch kill ps test nc tar true false "
    "mount head seq stty dd"
)
NEEDED = ("crun", "conmon", "nft", "busybox")


def missing() -> str:
    """Why real containers cannot run here, "" when they can."""
    if os.geteuid() != 0:
        return "needs root"
    lacking = [n for n in NEEDED if not shutil.which(n)]
    return f"needs {', '.join(lacking)}" if lacking else ""


needs_machine = [pytest.mark.e2e, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]


class PlainImages:
    """One image: busybox as a plain directory. Other names are refused."""

    def __init__(self, root: Path) -> None:
        self.image = Image("sha256:" + "1" * 64, "docker.io/library/busybox:latest", (str(root),))
        self.known = {"busybox"}

    async def ensure(
        self, ref: str, policy: str, report: Report, auths: Mapping[str, str] | None = None
    ) -> Image:
        del policy, auths
        if ref not in self.known:
            raise ImageError("ErrImagePull", f"no image {ref} here")
        report("Normal", "Pulled", f'Container image "{ref}" already present on machine')
        return self.image

    def local(self, ref: str) -> Image | None:
        return self.image if ref in self.known else None


def make_layer(root: Path) -> None:
    """Unpack busybox with a name for each of its programs."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", root / "bin/busybox")
    for name in PROGRAMS.split():
        (root / "bin" / name).symlink_to("busybox")
    for name in ("etc", "tmp", "root", "proc", "sys", "dev", "var/www"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/home/web:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nweb:x:102:\nextra:x:103:web\n")
    (root / "tmp").chmod(0o1777)


@contextmanager
def cluster_network(name: str) -> Iterator[host.ClusterNetwork]:
    """A cluster index of this test's own, from the end of the range."""
    locks = Path("/run/petset-test")
    locks.mkdir(exist_ok=True)
    for index in range(63, 20, -1):
        with (locks / f"{index}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if Path(f"/sys/class/net/ps{index}").exists():
                continue
            network = host.ClusterNetwork(name, index)
            host.make(network)
            try:
                yield network
            finally:
                host.remove(network)
            return
    raise RuntimeError("no free cluster index")


@dataclass
class Box:
    """What a test holds in its hands."""

    name: str
    run: Path
    state: Path
    network: host.ClusterNetwork
    client: Client
    images: PlainImages
    agents: dict[str, tuple[Agent, "asyncio.Task[None]"]] = field(default_factory=dict)

    def config(self, number: int, **changes: Any) -> AgentConfig:
        name, network = f"n{number}", self.network
        run_dir = self.run / name
        where = NodeNetwork(
            run_dir,
            network.bridge,
            network.port(number),
            network.node_address(number),
            network.gateway,
            network.pod_cidr(number),
        )
        return AgentConfig(
            name=name,
            run_dir=run_dir,
            state_dir=self.state / "nodes" / name,
            cluster=self.name,
            address=where.address,
            pod_cidr=where.pod_cidr,
            network=where,
            **changes,
        )

    async def start(self, number: int = 0, **changes: Any) -> Agent:
        """Start the agent of a node and wait until the node is registered."""
        config = self.config(number, **changes)
        host.add_node(self.network, number)
        agent = Agent(config, self.client, SystemClock(), Ids(), self.images)
        task = asyncio.ensure_future(agent.run())
        ready = asyncio.ensure_future(agent.ready.wait())
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=LIMIT_S)
        if task.done():
            task.result()
        assert agent.ready.is_set()
        self.agents[config.name] = (agent, task)
        return agent

    async def stop(self, number: int = 0) -> None:
        """End the agent of a node at once; its pods go on."""
        _, task = self.agents.pop(f"n{number}")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def create(self, pod: MutableObj) -> MutableObj:
        return await self.client.create("pods", pod, "default")

    async def pod(self, name: str) -> MutableObj | None:
        try:
            return await self.client.get("pods", name, "default")
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def until(self, name: str, found: Callable[[Obj], Any]) -> MutableObj:
        """Wait until the pod is as `found` wants it; it is asked after every change."""
        last: Obj | None = None
        try:
            async with asyncio.timeout(LIMIT_S):
                while True:
                    pod = await self.pod(name)
                    last = pod
                    if pod is not None and found(pod):
                        return pod
                    await self._change(name, meta.version_of(pod or {}))
        except TimeoutError:
            events = await self.events(name)
            raise AssertionError(f"{name}: {(last or {}).get('status')} {events}") from None

    async def _change(self, name: str, version: str) -> None:
        fields = f"metadata.name={name}"
        watch = self.client.watch("pods", "default", resource_version=version, fields=fields)
        async with contextlib.aclosing(watch) as events:
            async for _ in events:
                return

    async def gone(self, name: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while (pod := await self.pod(name)) is not None:
                await self._change(name, meta.version_of(pod))

    async def events(self, name: str) -> list[tuple[str, str]]:
        listed = await self.client.list("events", "default")
        return [
            (e["reason"], e["message"]) for e in listed.items if e["involvedObject"]["name"] == name
        ]

    async def told(self, name: str, reason: str) -> None:
        """Wait for an event: it is written a moment after what it tells of."""
        async with asyncio.timeout(LIMIT_S):
            while reason not in [told for told, _ in await self.events(name)]:
                await asyncio.sleep(0.01)

    def log_of(self, agent: Agent, name: str) -> str:
        pod = agent.pod("default", name)
        return self.log(pod) if pod else ""

    def log(self, pod: Obj, container: str = "c", attempt: int = 0) -> str:
        """What a container has written, without times."""
        uid = pod["metadata"]["uid"]
        name = pod["metadata"]["name"]
        node = pod["spec"]["nodeName"]
        file = self.state / "nodes" / node / "logs" / f"default_{name}_{uid}" / container
        found = file / f"{attempt}.log"
        lines = found.read_text().splitlines() if found.exists() else []
        parts = [line.split(" ", 3)[2:] for line in lines]
        text = "".join(text + ("\n" if tag == "F" else "") for tag, text in parts)
        return text.removesuffix("\n")


@asynccontextmanager
async def box(tmp_path: Path, *, start: bool = True) -> AsyncIterator[Box]:
    """A control plane and, if asked, one node; everything is removed at the end."""
    name = "t" + uuid.uuid4().hex[:8]
    run, state = Path("/run/petset") / name, tmp_path / "state"
    layer = tmp_path / "layer"
    make_layer(layer)
    clock = SystemClock()
    store = MemoryStore(clock)
    app = App(store, clock, Ids())
    await app.start()
    client = Client(Local(app.dispatch, IDENTITY), manager="test")
    with cluster_network(name) as network:
        here = Box(name, run, state, network, client, PlainImages(layer))
        try:
            if start:
                await here.start()
            yield here
        finally:
            for number in [int(n.removeprefix("n")) for n in here.agents]:
                await here.stop(number)
            for node in sorted((state / "nodes").glob("*")) if state.exists() else []:
                teardown.destroy_node(run / node.name, node)
            shutil.rmtree(run, ignore_errors=True)
            await app.close()
            await store.close()


async def eventually(found: Callable[[], Any]) -> None:
    """Wait for something that nobody tells of."""
    async with asyncio.timeout(LIMIT_S):
        while not found():
            await asyncio.sleep(0.01)


def pod_of(name: str, command: str = "exec sleep 1000", **spec: Any) -> MutableObj:
    """A pod of one busybox container `c` that runs a shell command."""
    container = {"name": "c", "image": "busybox", "command": ["/bin/sh", "-c", command]}
    container.update(spec.pop("container", {}))
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", **spec.pop("metadata", {})},
        "spec": {
            "nodeName": "n0",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            **spec,
        },
    }


def is_ready(pod: Obj) -> bool:
    return meta.is_condition_true(pod, "Ready")


def state_of(pod: Obj, name: str = "c") -> Obj:
    """The state of one container, {} when there is none yet."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status["name"] == name:
            found: Obj = status["state"]
            return found
    return {}


def restarts(pod: Obj) -> int:
    """How often the first container was started again."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return int(statuses[0]["restartCount"]) if statuses else 0
