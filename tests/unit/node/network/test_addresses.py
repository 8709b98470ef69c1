"""Addresses of pods, and host-side names."""

from pathlib import Path

import pytest

from petset.node.network import addresses, host, netlink, pod


def test_addresses_are_reused_as_late_as_possible(tmp_path: Path) -> None:
    pool = addresses.Addresses("10.128.3.0/29", tmp_path / "next")
    first = [pool.take(f"u{n}") for n in range(5)]
    assert first == [f"10.128.3.{n}" for n in range(2, 7)]
    with pytest.raises(addresses.AddressesUsedUpError):
        pool.take("x")
    pool.give_back("u3")
    pool.give_back("u0")
    assert pool.take("x") == "10.128.3.2"


def test_the_next_agent_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    first = addresses.Addresses("10.128.3.0/24", tmp_path / "next")
    taken = first.take("a")
    again = addresses.Addresses("10.128.3.0/24", tmp_path / "next")
    assert again.take("b") != taken
    again.hold("10.128.3.4", "c")
    assert again.take("d") == "10.128.3.5"


def test_link_names_fit_the_kernel() -> None:
    assert len(pod.link_name("some-uid")) <= 15
    assert len(host.ClusterNetwork("x", 63).port(243)) <= 15


def test_clusters_and_nodes_have_their_own_addresses() -> None:
    cluster = host.ClusterNetwork("x", 3)
    assert cluster.node_address(2) == "172.29.3.12"
    assert cluster.pod_cidr(2) == "10.131.2.0/24"
    assert cluster.gateway == "172.29.3.1"


def test_attributes_are_padded() -> None:
    assert netlink.attribute(3, b"lo\0") == b"\x07\0\x03\0lo\0\0"
    nested = netlink.nested(18, netlink.attribute(1, b"veth"))
    assert nested[:4] == b"\x0c\0\x12\x80"


def test_netlink_tells_what_the_kernel_refuses() -> None:
    with netlink.Netlink() as kernel:
        assert kernel.index("lo") >= 1
        with pytest.raises(OSError, match="no-such-link"):
            kernel.index("no-such-link")
