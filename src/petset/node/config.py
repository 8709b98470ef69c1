"""Configuration of a node's agent."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from petset.node.network.node import NodeNetwork


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """How a node's agent is set up.

    Attributes:
        name: of the node.
        run_dir: the node's run-time directory (`/run/petset/<cluster>/<node>`); short.
        state_dir: the node's state directory (`<state>/clusters/<cluster>/nodes/<node>`).
        cluster: name of the cluster; parent of its control groups.
        network: where the node is; None runs pods on the fake network of a fake runtime.
        address: the node's IP.
        pod_cidr: its pods' addresses.
        domain: the cluster's DNS zone.
        version: what the node reports as kubeletVersion.
        port: of the agent's HTTPS endpoint.
        tls: context of that endpoint (verifies clients by the cluster's CA); None: no endpoint.
        capacity: overrides of what the machine offers.
    """

    name: str
    run_dir: Path
    state_dir: Path
    cluster: str
    address: str
    pod_cidr: str
    network: NodeNetwork | None = None
    domain: str = "cluster.local"
    dns_address: str = "10.96.0.10"
    version: str = "v1.37.0+petset.0.1.0"
    port: int = 10250
    tls: ssl.SSLContext | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=dict)
