"""What every pod worker of a node uses. One value, made by the agent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from petset.api.meta import Obj
from petset.base.clock import Clock
from petset.base.ids import Ids
from petset.client.client import Client
from petset.node import podspec
from petset.node.check import Checker
from petset.node.environment import Facts
from petset.node.images.types import Images
from petset.node.network.hostport import HostPorts
from petset.node.podfiles import Resolver
from petset.node.runtime.base import Runtime
from petset.node.status import Host
from petset.node.volume.base import Fetch, Volumes

Emit = Callable[[Obj, str, str, str], None]
"""Records an event: (involved, type, reason, message)."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The means of a node's pod workers.

    Attributes:
        fetch: reads an object from the API, None when it is not there.
        services: the Services known, for service variables.
        state_dir: the node's state directory.
    """

    client: Client
    clock: Clock
    ids: Ids
    runtime: Runtime
    volumes: Volumes
    images: Images
    checker: Checker
    emit: Emit
    fetch: Fetch
    services: Callable[[], Sequence[Obj]]
    resolver: Resolver
    node_ip: str
    state_dir: Path
    node_name: str
    ports: HostPorts
    allocatable: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> Host:
        """The node as statuses name it."""
        return Host(self.node_ip, self.runtime.version.partition(":")[0])

    def pod_dir(self, uid: str) -> Path:
        """Where the records of a pod lie."""
        return self.state_dir / "pods" / uid

    def log_dir(self, pod: Obj) -> Path:
        """Where the logs of a pod lie."""
        metadata = pod.get("metadata") or {}
        name = f"{metadata.get('namespace')}_{metadata.get('name')}_{metadata.get('uid')}"
        return self.state_dir / "logs" / name

    def hostname(self, pod: Obj) -> str:
        """What a pod's containers see as their host's name."""
        return podspec.shown_hostname(pod, self.node_name, self.resolver.domain)

    def facts(self, pod_ip: str) -> Facts:
        """What the downward API may tell of pod and node."""
        return Facts(pod_ip, self.node_ip, self.node_name, self.allocatable)
