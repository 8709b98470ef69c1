"""ClusterIPs and node ports of Services: who has which, and new ones.

Invariant: what is in use is told by the stored Services alone; this is an index over them, made
anew at start.
The low end of each range is left to those who ask for a number: free ones are drawn from above it
as long as there are any.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from random import Random

from petset.api.core.v1 import servicefamily
from petset.api.errors import FieldError, StatusError, invalid, invalid_object
from petset.api.meta import MutableObj, Obj, name_of

NONE = "None"
SERVICES = "services"
_TRIES = 32
_IP_FIELDS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


class ServiceAllocator:
    """Gives Services their addresses.

    Args:
        cidr: range of ClusterIPs (IPv4).
        node_ports: first and last node port.
        rng: picks among free ones.
    """

    def __init__(self, cidr: str, node_ports: tuple[int, int], rng: Random) -> None:
        self._net = ipaddress.IPv4Network(cidr)
        self._ports = node_ports
        self._rng = rng
        self._used_ips: set[int] = set()
        self._used_ports: set[int] = set()
        size = self._net.num_addresses
        self._static = min(max(16, size // 16), 256) if size > 32 else 0
        count = node_ports[1] - node_ports[0] + 1
        self._static_ports = min(max(16, count // 32), 128) if count > 16 else 0

    @property
    def first(self) -> str:
        """The first address: the `kubernetes` Service."""
        return str(self._net.network_address + 1)

    def rebuild(self, services: Iterable[Obj]) -> None:
        """Rebuild the index from the stored Services."""
        self._used_ips.clear()
        self._used_ports.clear()
        for service in services:
            self._used_ips |= _ips(service)
            self._used_ports |= _ports(service)

    def reserve(
        self, resource_id: str, obj: Obj, old: Obj | None, *, keep: bool = True
    ) -> AbstractContextManager[Obj]:
        """Give `obj` with its addresses to a block; they are given back if the block raises.

        Unless it is cancelled: the write goes on all the same, so that both the new and the old
        addresses stay taken. With `keep` False (dry run) they are given back in any case. Raises
        StatusError 422.
        """
        return nullcontext(obj) if resource_id != SERVICES else self._reserve(obj, old, keep=keep)

    @contextmanager
    def _reserve(self, obj: Obj, old: Obj | None, *, keep: bool) -> Iterator[Obj]:
        old_ips = _ips(old) if old else set()
        old_ports = _ports(old) if old else set()
        final = self._allocate(obj, old_ips, old_ports)
        new_ips, new_ports = _ips(final) - old_ips, _ports(final) - old_ports
        self._used_ips |= new_ips
        self._used_ports |= new_ports
        try:
            yield final
        except Exception:  # not when cancelled: nobody knows here what will be stored
            self._give_back(new_ips, new_ports)
            raise
        if keep:
            self._give_back(old_ips - _ips(final), old_ports - _ports(final))
        else:
            self._give_back(new_ips, new_ports)

    def _give_back(self, ips: set[int], ports: set[int]) -> None:
        self._used_ips -= ips
        self._used_ports -= ports

    def forget(self, resource_id: str, obj: Obj) -> None:
        """A Service is gone: its addresses are free."""
        if resource_id == SERVICES:
            self._give_back(_ips(obj), _ports(obj))

    def _allocate(self, obj: Obj, old_ips: set[int], old_ports: set[int]) -> MutableObj:
        spec = dict(obj.get("spec") or {})
        if spec.get("type") == "ExternalName":
            for key in _IP_FIELDS:
                spec.pop(key, None)
        else:
            self._give_ip(obj, spec, old_ips)
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            self._give_ports(obj, spec, old_ports)
        return {**obj, "spec": spec}

    def _give_ip(self, obj: Obj, spec: MutableObj, mine: set[int]) -> None:
        if faults := servicefamily.settle(spec):
            raise _refused(obj, *faults)
        wanted = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if wanted and wanted != NONE:
            self._check_ip(obj, wanted, mine)
        spec["clusterIP"] = wanted or self._free_ip()
        spec["clusterIPs"] = [spec["clusterIP"]]

    def _check_ip(self, obj: Obj, wanted: str, mine: set[int]) -> None:
        path, value = "spec.clusterIPs", [wanted]
        try:
            address = ipaddress.IPv4Address(wanted)
        except ValueError:
            why = f"failed to allocate IP {wanted}: only IPv4 addresses are served"
            raise _refused(obj, invalid(path, value, why)) from None
        ends = (self._net.network_address, self._net.broadcast_address)
        if address not in self._net or address in ends:
            why = (
                f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid "
                f"range. The range of valid IPs is {self._net}"
            )
            raise _refused(obj, invalid(path, value, why))
        if int(address) in self._used_ips - mine:
            why = f"failed to allocate IP {wanted}: provided IP is already allocated"
            raise _refused(obj, invalid(path, value, why))

    def _free_ip(self) -> str:
        low, high = int(self._net.network_address) + 1, int(self._net.broadcast_address) - 1
        start = min(low + self._static, high)
        for _ in range(_TRIES):
            number = self._rng.randint(start, high)
            if number not in self._used_ips:
                return str(ipaddress.IPv4Address(number))
        for number in chain(range(start, high + 1), range(low, start)):
            if number not in self._used_ips:
                return str(ipaddress.IPv4Address(number))
        raise StatusError(500, "InternalError", "Internal error occurred: range of IPs is full")

    def _give_ports(self, obj: Obj, spec: MutableObj, mine: set[int]) -> None:
        ports: list[MutableObj] = [dict(p) for p in spec.get("ports") or ()]
        for index, port in enumerate(ports):
            if wanted := port.get("nodePort"):
                self._check_port(obj, f"spec.ports[{index}].nodePort", wanted, mine)
        taken = {p["nodePort"] for p in ports if p.get("nodePort")}
        balancer = spec["type"] == "LoadBalancer"
        if not balancer or spec.get("allocateLoadBalancerNodePorts") is not False:
            for port in ports:
                if not port.get("nodePort"):
                    port["nodePort"] = _twin(port, ports) or self._free_port(taken)
                    taken.add(port["nodePort"])
        spec["ports"] = ports
        if balancer and spec.get("externalTrafficPolicy") == "Local":
            self._give_health_port(obj, spec, mine, taken)

    def _give_health_port(
        self, obj: Obj, spec: MutableObj, mine: set[int], taken: set[int]
    ) -> None:
        if wanted := spec.get("healthCheckNodePort"):
            self._check_port(obj, "spec.healthCheckNodePort", wanted, mine)
        else:
            spec["healthCheckNodePort"] = self._free_port(taken)

    def _check_port(self, obj: Obj, path: str, wanted: int, mine: set[int]) -> None:
        low, high = self._ports
        if not low <= wanted <= high:
            why = (
                f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
            )
            raise _refused(obj, invalid(path, wanted, why))
        if wanted in self._used_ports - mine:
            raise _refused(obj, invalid(path, wanted, "provided port is already allocated"))

    def _free_port(self, taken: set[int]) -> int:
        low, high = self._ports
        start = min(low + self._static_ports, high)
        for _ in range(_TRIES):
            number = self._rng.randint(start, high)
            if number not in self._used_ports and number not in taken:
                return number
        for number in chain(range(start, high + 1), range(low, start)):
            if number not in self._used_ports and number not in taken:
                return number
        raise StatusError(500, "InternalError", "Internal error occurred: range of ports is full")


def _twin(port: Obj, ports: Sequence[Obj]) -> int:
    """The node port of the same port in another protocol (DNS over UDP and TCP); 0 for none."""
    nodes = {(p.get("protocol"), p.get("nodePort")) for p in ports}
    for other in ports:
        node = int(other.get("nodePort") or 0)
        same = other.get("port") == port.get("port")
        if node and same and (port.get("protocol"), node) not in nodes:
            return node
    return 0


def _refused(obj: Obj, *faults: FieldError) -> StatusError:
    return invalid_object("", "Service", name_of(obj), faults)


def _ips(service: Obj) -> set[int]:
    spec = service.get("spec") or {}
    texts: Sequence[str] = spec.get("clusterIPs") or [spec.get("clusterIP") or NONE]
    found = set()
    for text in texts:
        try:
            found.add(int(ipaddress.IPv4Address(text)))
        except ValueError:
            continue
    return found


def _ports(service: Obj) -> set[int]:
    spec = service.get("spec") or {}
    found = {p["nodePort"] for p in spec.get("ports") or () if p.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        found.add(spec["healthCheckNodePort"])
    return found
