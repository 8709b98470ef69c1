"""Settings of the server as one value."""

from dataclasses import dataclass

GIT_VERSION = "v1.37.0+petset.0.1.0"
"""Version of the API that the schema follows, and petset's own after the plus sign."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the composition root tells the server.

    Attributes:
        advertise_address: IP at which pods and nodes reach the server (endpoint of the
            `kubernetes` Service).
        secure_port: TCP port of that endpoint.
        service_cidr: range of ClusterIPs; its first address is the `kubernetes` Service.
        cluster_dns: ClusterIP of the `kube-dns` Service, "" for none.
        node_ports: first and last port given to NodePort Services.
        event_ttl_s: Events older than this are removed.
        watch_timeout_s: range of a watch's length where the client gives none, in seconds.
        bookmark_s: pause between bookmarks, in seconds.
        request_timeout_s: longest time of one write, in seconds.
        git_version: what /version says.
    """

    advertise_address: str = "127.0.0.1"
    secure_port: int = 6443
    service_cidr: str = "10.96.0.0/16"
    cluster_dns: str = "10.96.0.10"
    node_ports: tuple[int, int] = (30000, 32767)
    event_ttl_s: float = 3600.0
    watch_timeout_s: tuple[float, float] = (1800.0, 3600.0)
    bookmark_s: float = 60.0
    request_timeout_s: float = 34.0
    git_version: str = GIT_VERSION
