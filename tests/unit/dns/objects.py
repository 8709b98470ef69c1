"""Services and slices for the name server's tests."""

from typing import Any

from petset.dns.index import Index, service_of

Obj = dict[str, Any]


def service(name: str, cluster_ip: str = "None", **spec: Any) -> Obj:
    spec.setdefault("ports", [{"name": "web", "port": 80, "protocol": "TCP"}])
    return {
        "metadata": {"name": name, "namespace": "default", "resourceVersion": "1"},
        "spec": {"clusterIP": cluster_ip, **spec},
    }


def endpoint(address: str, hostname: str = "", *, ready: bool | None = True) -> Obj:
    found: Obj = {"addresses": [address], "conditions": {"ready": ready}}
    if hostname:
        found["hostname"] = hostname
    return found


def endpoint_slice(name: str, *endpoints: Obj, ports: list[Obj] | None = None) -> Obj:
    return {
        "metadata": {
            "name": f"{name}-x",
            "namespace": "default",
            "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": list(endpoints),
        "ports": [{"name": "web", "port": 80, "protocol": "TCP"}] if ports is None else ports,
    }


def index_of(services: list[Obj], slices: list[Obj]) -> Index:
    index = Index("cluster.local")
    for one in services:
        key = ("default", one["metadata"]["name"])
        index.update(key, one, [s for s in slices if service_of(s) == key])
    return index
