"""IP addresses and networks in objects: what is wrong with them, and what is only unusual."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from petset.api.check import Faults, ip, number_of, parse_ip
from petset.api.errors import invalid

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_MULTICAST = (IPv4Network("224.0.0.0/24"), IPv6Network("ff02::/16"))
"""Link-local multicast."""


def parse_network(value: object) -> tuple[Address, Network] | None:
    """The address and the network of `address/bits`; None for anything else."""
    if not isinstance(value, str):
        return None
    text, slash, bits = value.partition("/")
    address = parse_ip(text)
    if address is None or not slash or not (bits.isascii() and bits.isdigit()):
        return None
    if number_of(bits) > address.max_prefixlen:
        return None
    kind = IPv4Network if address.version == 4 else IPv6Network
    return address, kind(f"{text}/{number_of(bits)}", strict=False)


def cidr(path: str, value: object) -> Faults:
    """A text must be a network."""
    if parse_network(value) is None:
        words = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        yield invalid(path, value, words)


def of_family(path: str, value: object, version: int) -> Faults:
    """A text must be an IP address of version 4 or 6."""
    address = parse_ip(value)
    if address is None or (address.version != version and not _is_mapped(address, version)):
        yield invalid(path, value, f"must be a valid IPv{version} address")


def _is_mapped(address: Address, version: int) -> bool:
    return version == 4 and isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def non_special(path: str, value: object) -> Faults:
    """An address that is not special: not unspecified, loopback or link-local (multicast)."""
    address = parse_ip(value)
    if address is None:
        yield invalid(path, value, "must be a valid IP address")
        return
    if address.is_unspecified:
        yield invalid(path, value, f"may not be unspecified ({value})")
    if address.is_loopback:
        yield invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        words = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        yield invalid(path, value, words)
    if any(address in network for network in _MULTICAST):
        words = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        yield invalid(path, value, words)


def endpoint(path: str, value: object) -> Faults:
    """The address of an endpoint: well formed, and reachable from elsewhere."""
    yield from ip(path, value)
    yield from non_special(path, value)


def ip_warnings(path: str, value: object) -> Iterator[str]:
    """An address that is valid, but not in the form that everybody writes."""
    address = parse_ip(value)
    if not isinstance(address, IPv6Address):
        return
    if address.ipv4_mapped is not None:
        yield (
            f'{path}: non-standard IP address "{value}" will be considered invalid in a future '
            f'Kubernetes release: use "{address.ipv4_mapped}"'
        )
    elif str(address) != value:
        yield (
            f'{path}: IPv6 address "{value}" should be in RFC 5952 canonical format ("{address}")'
        )


def cidr_warnings(path: str, value: object) -> Iterator[str]:
    """A network that is valid, but not in the form that everybody writes."""
    found = parse_network(value)
    if found is None:
        return
    address, network = found
    found_any = False
    if address != network.network_address:
        single = f"{address}/{address.max_prefixlen}"
        yield (
            f'{path}: CIDR value "{value}" is ambiguous in this context (should be "{network}" '
            f'or "{single}"?)'
        )
        found_any = True
    bits = str(value).partition("/")[2]
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    if mapped or bits != str(number_of(bits)):
        yield (
            f'{path}: non-standard CIDR value "{value}" will be considered invalid in a future '
            f'Kubernetes release: use "{network}"'
        )
        found_any = True
    if not found_any and address.version == 6 and str(network) != value:
        yield (
            f'{path}: IPv6 CIDR value "{value}" should be in RFC 5952 canonical format '
            f'("{network}")'
        )
