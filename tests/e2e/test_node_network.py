"""A node's own network namespace, for real."""

import errno
import socket
import uuid
from functools import partial
from pathlib import Path

from petset.node.network import namespace, node
from tests.e2e.node_box import cluster_network, needs_machine

pytestmark = needs_machine


def test_addresses_of_pods_that_are_gone_are_refused_at_once() -> None:
    name = "t" + uuid.uuid4().hex[:8]
    run = Path("/run/petset") / name
    with cluster_network(name) as lan:
        run.mkdir(parents=True)
        own = lan.pod_cidr(0)
        other = own.rsplit(".", 2)[0] + ".99.0/24"
        where = node.NodeNetwork(
            run, lan.bridge, lan.port(0), lan.node_address(0), lan.gateway, own
        )
        try:
            node.setup(where)
            node.setup(where)
            for cidr in (own, other):
                assert namespace.within(where.netns, partial(connect, cidr)) == errno.EHOSTUNREACH
            node.set_peer_routes(where.netns, {}, {other: lan.node_address(1)})
            assert namespace.within(where.netns, partial(source_towards, other))
        finally:
            node.teardown(where)
            run.rmdir()


def connect(cidr: str) -> int:
    """The errno of connecting to an address in that network."""
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((cidr.replace(".0/24", ".9"), 80))


def source_towards(cidr: str) -> str:
    """The address that packets to that network would have: there is a way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((cidr.replace(".0/24", ".9"), 80))
        return str(client.getsockname()[0])
