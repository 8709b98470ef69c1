"""Gives pods addresses out of the node's pod CIDR.

Invariant: an address given back is the last one to be given out again, so that a peer that still
talks to a gone pod does not reach another one soon.
"""

import ipaddress
from pathlib import Path


class AddressesUsedUpError(Exception):
    """Every address of the pod CIDR is in use."""


class Addresses:
    """Addresses of one node. `file` keeps where the search goes on after a restart."""

    def __init__(self, cidr: str, file: Path) -> None:
        network = ipaddress.IPv4Network(cidr)
        self._base = int(network.network_address)
        self._size = network.num_addresses
        self._file = file
        self._used: dict[int, str] = {}
        self._next = self._load()

    def _load(self) -> int:
        try:
            return int(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return 2

    def hold(self, address: str, owner: str) -> None:
        """Note that `address` is in use already (an adopted pod)."""
        self._used[int(ipaddress.IPv4Address(address)) - self._base] = owner

    def take(self, owner: str) -> str:
        """An address that is free. Raises AddressesUsedUpError."""
        usable = self._size - 3  # network, gateway and broadcast stay out
        for step in range(usable):
            offset = 2 + (self._next - 2 + step) % usable
            if offset not in self._used:
                self._used[offset] = owner
                self._next = offset + 1
                self._file.write_text(str(self._next))
                return str(ipaddress.IPv4Address(self._base + offset))
        raise AddressesUsedUpError(f"no free address among {usable}")

    def give_back(self, owner: str) -> None:
        """Free what `owner` holds."""
        for offset in [o for o, who in self._used.items() if who == owner]:
            del self._used[offset]
