"""How Services print."""

from collections.abc import Sequence
from typing import Any

from petset.api import selectors
from petset.api.check import child, items
from petset.api.kind import Column, Table
from petset.api.meta import Obj, name_of
from petset.api.table import AGE, NAME, age_of


def external_of(service: Obj) -> str:
    """Where a Service is reached from outside the cluster."""
    spec = child(service, "spec")
    own = [str(address) for address in items(spec, "externalIPs")]
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(own) or "<none>"
        case "LoadBalancer":
            ingress = items(child(service, "status", "loadBalancer"), "ingress")
            given = [one.get("ip") or one.get("hostname") or "" for one in ingress]
            return ",".join([g for g in given if g] + own) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName") or "")
        case _:
            return "<unknown>"


def ports_of(ports: Sequence[Any]) -> str:
    """`80/TCP`, or `80:30080/TCP` with a node port, joined by commas."""
    made = []
    for port in ports:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        made.append(f"{port.get('port')}{node}/{port.get('protocol') or 'TCP'}")
    return ",".join(made) or "<none>"


def _cells(service: Obj, now: float) -> list[Any]:
    spec = child(service, "spec")
    addresses = items(spec, "clusterIPs")
    return [
        name_of(service),
        spec.get("type") or "",
        (addresses[0] if addresses else spec.get("clusterIP")) or "<none>",
        external_of(service),
        ports_of(items(spec, "ports")),
        age_of(service, now),
        str(selectors.from_labels(child(spec, "selector"))) or "<none>",
    ]


TABLE = Table(
    (
        NAME,
        Column("Type"),
        Column("Cluster-IP"),
        Column("External-IP"),
        Column("Port(s)"),
        AGE,
        Column("Selector", priority=1),
    ),
    _cells,
)
