"""Puts the parts of a real node together: runtime, volumes, network, the tools of the workers."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from petset.api import errors
from petset.api.meta import Obj
from petset.base.clock import Clock
from petset.base.ids import Ids
from petset.client.client import Client
from petset.client.transport import TransportError
from petset.node import machine, nodeobject
from petset.node.check import Checker
from petset.node.config import AgentConfig
from petset.node.environment import Facts
from petset.node.images.types import Images
from petset.node.network import namespace
from petset.node.network import node as network
from petset.node.network.hostport import HostPorts
from petset.node.podfiles import Resolver
from petset.node.runtime import record
from petset.node.runtime.base import Runtime
from petset.node.runtime.oci import OciConfig, OciRuntime
from petset.node.tools import Emit, Tools
from petset.node.volume.base import VolumeFailedError, Volumes
from petset.node.volume.manager import NodeVolumes, VolumesConfig

MACHINE_RESOLV = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
"""The first is the one behind systemd's stub, which pods cannot reach."""
MACHINE_HOSTS = Path("/etc/hosts")


@dataclass(frozen=True, slots=True)
class Parts:
    """What tools are made of; `runtime` and `volumes` None mean: the real ones."""

    config: AgentConfig
    client: Client
    clock: Clock
    ids: Ids
    images: Images
    services: Callable[[], Sequence[Obj]]
    emit: Emit
    runtime: Runtime | None
    volumes: Volumes | None


def tools(parts: Parts) -> Tools:
    """The tools of a node's pod workers."""
    config = parts.config
    config.state_dir.mkdir(parents=True, exist_ok=True)
    runtime = parts.runtime or _runtime(parts)
    fetch = _Fetch(parts.client)
    seen = machine.look(config.state_dir)
    facts = nodeobject.NodeFacts(
        config.name, config.address, config.pod_cidr, "", "", capacity=config.capacity
    )
    allocatable = nodeobject.capacity(facts, seen)
    volumes = parts.volumes or NodeVolumes(
        VolumesConfig(
            config.state_dir,
            Facts("", config.address, config.name, allocatable),
            record.pod_is_alive,
        ),
        fetch,
        parts.ids.suffix,
    )
    return Tools(
        client=parts.client,
        clock=parts.clock,
        ids=parts.ids,
        runtime=runtime,
        volumes=volumes,
        images=parts.images,
        checker=Checker(runtime, _socket_maker(config.network)),
        emit=parts.emit,
        fetch=fetch,
        services=parts.services,
        resolver=Resolver(
            config.dns_address, config.domain, _first_of(*MACHINE_RESOLV), _first_of(MACHINE_HOSTS)
        ),
        node_ip=config.address,
        state_dir=config.state_dir,
        node_name=config.name,
        ports=HostPorts(config.network.netns if config.network else None),
        allocatable=allocatable,
    )


def _runtime(parts: Parts) -> OciRuntime:
    config = parts.config
    assert config.network is not None, "a real runtime needs a real network"
    return OciRuntime(
        OciConfig(
            run_dir=config.run_dir,
            state_dir=config.state_dir,
            cgroup=f"/petset/{config.cluster}/{config.name}",
            node_netns=config.network.netns,
            node_address=config.address,
            pod_cidr=config.pod_cidr,
        ),
        parts.clock,
        lambda: parts.ids.suffix(8),
    )


def _socket_maker(where: network.NodeNetwork | None) -> Callable[[], socket.socket]:
    netns = where.netns if where else None
    return lambda: namespace.make_socket(netns, socket.AF_INET, socket.SOCK_STREAM)


def _first_of(*files: Path) -> str:
    """What is in the first of the files that exists."""
    for file in files:
        if file.exists():
            return file.read_text(errors="replace")
    return ""


class _Fetch:
    """Reads objects from the API; see `volume.base.Fetch`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, resource: str, namespace_: str, name: str) -> Obj | None:
        try:
            return await self._client.get(resource, name, namespace_)
        except errors.StatusError as error:
            if error.code == 404:
                return None
            raise VolumeFailedError(str(error)) from error
        except TransportError as error:
            raise VolumeFailedError(f"the API cannot be reached: {error}") from error
