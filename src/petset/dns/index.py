"""The zone's records, kept up to date Service by Service."""

import ipaddress
from collections.abc import Iterable, Sequence

from petset.api import meta
from petset.api.meta import Obj
from petset.dns import wire
from petset.dns.answer import (
    Address,
    Network,
    ServiceRecords,
    Zone,
    reverse_names,
    service_records,
)

NETWORKS = ("10.96.0.0/16", "10.128.0.0/10", "172.29.0.0/16", "127.0.0.0/8")
"""Services, pods, nodes and loopback: reverse names in here are answered at once."""


class Index:
    """Records of every Service.

    Args:
        zone: the cluster's domain.
        networks: networks whose reverse names are never forwarded.
        server: address of the server itself.
    """

    def __init__(
        self, zone: str, networks: Sequence[str] = NETWORKS, server: str = "10.96.0.10"
    ) -> None:
        self._services: dict[tuple[str, str], ServiceRecords] = {}
        self._namespaces: dict[str, int] = {}
        self._names: dict[Address, dict[tuple[str, str], list[wire.Name]]] = {}
        self._reverse: dict[Address, Sequence[wire.Name]] = {}
        nets: list[Network] = [ipaddress.ip_network(n) for n in networks]
        self.zone = Zone(
            wire.name_of(zone),
            self._services,
            self._namespaces,
            self._reverse,
            nets,
            ipaddress.ip_address(server),
        )

    def update(self, key: tuple[str, str], service: Obj | None, slices: Iterable[Obj]) -> bool:
        """Take in the present state of Service `key` (namespace, name); whether it differs."""
        new = None if service is None else service_records(service, slices)
        old = self._services.get(key)
        if new == old:
            return False
        self._file_reverse(key, old, add=False)
        if new is None:
            del self._services[key]
        else:
            self._services[key] = new
        self._file_reverse(key, new, add=True)
        self._count(key[0], (new is not None) - (old is not None))
        return True

    def _count(self, namespace: str, change: int) -> None:
        count = self._namespaces.get(namespace, 0) + change
        if count:
            self._namespaces[namespace] = count
        else:
            self._namespaces.pop(namespace, None)

    def _file_reverse(
        self, key: tuple[str, str], records: ServiceRecords | None, *, add: bool
    ) -> None:
        if records is None:
            return
        for address, names in reverse_names(self.zone.name, *key, records).items():
            holders = self._names.setdefault(address, {})
            if add:
                holders[key] = names
            else:
                holders.pop(key, None)
            if holders:
                self._reverse[address] = [n for k in sorted(holders) for n in holders[k]]
            else:
                del self._names[address]
                self._reverse.pop(address, None)


def service_of(part: Obj) -> tuple[str, str]:
    """(namespace, name) of the Service that an EndpointSlice belongs to."""
    name = meta.labels_of(part).get("kubernetes.io/service-name", "")
    return meta.namespace_of(part), name
