"""The rules in a real kernel: a node's namespace with two pods, and connections between them."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from petset.node.network import namespace
from petset.proxy import conntrack
from petset.proxy.nftables import Pieces, pieces, present, successor, update, whole
from petset.proxy.rules import PortRule, datagram_places, port_rules
from tests.unit.proxy.test_rules import endpoint, service, slice_of

DEVICES = ("all", "default")
TOOLS = all(shutil.which(tool) for tool in ("ip", "nft"))

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0 or not TOOLS, reason="needs root, ip and nft"),
]

SERVE = """
import socket, sys
server = socket.create_server((sys.argv[1], 8080))
print("up", flush=True)
while True:
    peer, address = server.accept()
    peer.sendall(f"{sys.argv[1]} {address[0]}".encode())
    peer.close()
"""

SERVE_UDP = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 5353))
print("up", flush=True)
while True:
    data, address = server.recvfrom(100)
    server.sendto(sys.argv[1].encode(), address)
"""

HOLD = """
import socket, sys
server = socket.create_server((sys.argv[1], 8080))
print("up", flush=True)
held = []
while True:
    held.append(server.accept()[0])
    held[-1].sendall(b"x")
"""

TALK = """
import socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
print("open" if peer.recv(1) == b"x" else "closed", flush=True)
sys.stdin.readline()
try:
    peer.sendall(b"x")
    print("answered" if peer.recv(1) else "closed", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
except TimeoutError:
    print("nothing", flush=True)
"""

ASK_UDP = """
import socket, sys
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(10)
asker.bind(("", 4000))
asker.connect((sys.argv[1], 53))
for line in sys.stdin:
    try:
        asker.send(b"x")
        print(asker.recv(100).decode(), flush=True)
    except ConnectionRefusedError:
        print("refused", flush=True)
    except TimeoutError:
        print("nobody", flush=True)
"""

ASK = """
import socket, sys
try:
    peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
    print(peer.recv(100).decode())
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("nobody")
"""


def run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout.strip()


class Net:
    """A node's namespace and two pods behind it, each with a server that tells who asked."""

    def __init__(self) -> None:
        tag = uuid.uuid4().hex[:6]
        self.node, self.pods = f"ps{tag}", (f"ps{tag}a", f"ps{tag}b")
        self.servers: list[subprocess.Popen[str]] = []

    def up(self) -> None:
        run("ip", "netns", "add", self.node)
        run("ip", "-n", self.node, "link", "set", "lo", "up")
        run("ip", "-n", self.node, "link", "add", "up0", "type", "bridge")
        run("ip", "-n", self.node, "addr", "add", "10.9.9.1/24", "dev", "up0")
        run("ip", "-n", self.node, "link", "set", "up0", "up")
        run("ip", "-n", self.node, "route", "add", "default", "via", "10.9.9.254")
        for name, value in (("ip_forward", 1), *((f"conf.{c}.send_redirects", 0) for c in DEVICES)):
            self.at(self.node, "sysctl", "-qw", f"net.ipv4.{name}={value}")
        for i, pod in enumerate(self.pods):
            run("ip", "netns", "add", pod)
            run("ip", "-n", pod, "link", "set", "lo", "up")
            run("ip", "-n", self.node, "link", "add", f"v{i}", "type", "veth", "peer", "eth0",
                "netns", pod)  # fmt: skip
            run("ip", "-n", self.node, "addr", "add", f"10.9.{i}.1/24", "dev", f"v{i}")
            run("ip", "-n", self.node, "link", "set", f"v{i}", "up")
            run("ip", "-n", pod, "addr", "add", f"10.9.{i}.2/24", "dev", "eth0")
            run("ip", "-n", pod, "link", "set", "eth0", "up")
            run("ip", "-n", pod, "route", "add", "default", "via", f"10.9.{i}.1")
            self.serve(pod, f"10.9.{i}.2")

    def serve(self, pod: str, address: str, program: str = SERVE) -> None:
        command = ["ip", "netns", "exec", pod, sys.executable, "-c", program, address]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"

    def down(self) -> None:
        for server in self.servers:
            server.kill()
            server.wait()
            assert server.stdout is not None
            server.stdout.close()
        for name in (self.node, *self.pods):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def at(self, netns: str, *command: str, stdin: str = "") -> str:
        return run("ip", "netns", "exec", netns, *command, stdin=stdin)

    def apply(self, text: str) -> None:
        self.at(self.node, "nft", "-f", "-", stdin=text)

    def table(self) -> list[str]:
        return sorted(self.at(self.node, "nft", "list", "table", "ip", "petset").splitlines())

    def listing(self) -> str:
        return self.at(self.node, "nft", "-j", "-t", "list", "table", "ip", "petset")

    def ask(self, netns: str, address: str, port: int = 80, wait_s: float = 10) -> str:
        return self.at(netns, sys.executable, "-c", ASK, address, str(port), str(wait_s))

    def conntrack(self) -> socket.socket:
        return namespace.within(Path("/run/netns", self.node), conntrack.connect)


class Asker:
    """A client that goes on with what it has open whenever it is told to."""

    def __init__(self, netns: str, program: str, *words: str) -> None:
        command = ["ip", "netns", "exec", netns, sys.executable, "-c", program, *words]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()

    def ask(self) -> str:
        assert self._child.stdin is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.communicate()


@pytest.fixture
def net() -> Iterator[Net]:
    made = Net()
    try:
        made.up()
        yield made
    finally:
        made.down()


def wanted(*addresses: str, **spec: Any) -> list[PortRule]:
    return placed(dict.fromkeys(addresses, "n1"), **spec)


def placed(nodes: Mapping[str, str], ingress: Sequence[str] = (), **spec: Any) -> list[PortRule]:
    """Rules for endpoints on these nodes, for node n1."""
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    endpoints = slice_of(*(endpoint(address, node) for address, node in nodes.items()))
    one = service(ports=ports, **spec)
    one["status"] = {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}}
    return port_rules([one], {"default/web": [endpoints]}, "n1")


def udp(*addresses: str) -> list[PortRule]:
    endpoints = slice_of(*map(endpoint, addresses))
    endpoints["ports"] = [{"name": "http", "port": 5353, "protocol": "UDP"}]
    one = service(ports=[{"name": "http", "port": 53, "protocol": "UDP"}])
    return port_rules([one], {"default/web": [endpoints]}, "n1")


def test_connections_reach_endpoints(net: Net) -> None:
    one, other = net.pods
    net.apply(whole(pieces(wanted("10.9.1.2"))))
    assert net.ask(one, "10.96.0.20") == "10.9.1.2 10.9.0.2"
    assert net.ask(other, "10.96.0.20") == "10.9.1.2 10.9.1.1"  # hairpin, masqueraded
    assert net.ask(net.node, "10.96.0.20").startswith("10.9.1.2 ")
    assert net.ask(one, "10.9.0.1", 30080) == "10.9.1.2 10.9.1.1"
    assert net.ask(net.node, "10.9.0.1", 30080).startswith("10.9.1.2 ")


def test_a_service_without_endpoints_refuses_at_once(net: Net) -> None:
    net.apply(whole(pieces(wanted())))
    assert net.ask(net.pods[0], "10.96.0.20") == "refused"
    assert net.ask(net.node, "10.96.0.20") == "refused"
    assert net.ask(net.pods[0], "10.9.0.1", 30080) == "refused"


def test_open_connections_to_a_pod_that_is_gone_are_reset(net: Net) -> None:
    net.apply(whole(pieces(wanted("10.9.1.2"))))
    one, other = net.pods
    net.servers[1].kill()
    net.servers[1].wait()
    net.serve(other, "10.9.1.2", HOLD)
    places = ("10.9.1.2", "8080"), ("10.96.0.20", "80")
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Asker(one, TALK, *place)) for place in places]
        assert [talk.read() for talk in talks] == ["open", "open"]
        run("ip", "-n", net.node, "route", "add", "unreachable", "10.9.0.0/16")
        run("ip", "-n", net.node, "link", "del", "v1")
        assert [talk.ask() for talk in talks] == ["reset", "reset"]


def test_clients_stick_to_their_endpoint_also_over_a_change(net: Net) -> None:
    before = pieces(wanted("10.9.0.2", "10.9.1.2", sessionAffinity="ClientIP"))
    net.apply(whole(before))
    first = net.ask(net.node, "10.96.0.20").split()[0]
    after = pieces(wanted("10.9.0.2", "10.9.1.2", "10.9.1.3", sessionAffinity="ClientIP"))
    net.apply(update(before, after))
    assert {net.ask(net.node, "10.96.0.20").split()[0] for _ in range(8)} == {first}


def test_clients_stick_to_their_endpoint_over_a_restart_of_the_agent(net: Net) -> None:
    net.apply(whole(pieces(wanted("10.9.0.2", "10.9.1.2", sessionAffinity="ClientIP"))))
    first = net.ask(net.node, "10.96.0.20").split()[0]
    found = present(net.listing())
    assert found is not None
    after = pieces(wanted("10.9.0.2", "10.9.1.2", "10.9.1.3", sessionAffinity="ClientIP"))
    net.apply(successor(found, after))
    assert {net.ask(net.node, "10.96.0.20").split()[0] for _ in range(8)} == {first}


def test_a_table_of_another_make_is_not_kept(net: Net) -> None:
    net.apply(whole(pieces(wanted("10.9.0.2"))))
    assert present(net.listing()) is not None
    net.apply("add chain ip petset older { type filter hook input priority 5; }")
    assert present(net.listing()) is None


def test_every_change_leads_to_the_table_that_was_meant(net: Net) -> None:
    all_ = ["10.0.0.0/8"]
    outside = {"externalIPs": ["192.0.2.7"], "externalTrafficPolicy": "Local"}
    tables = [
        Pieces(),
        pieces(wanted("10.9.1.2")),
        pieces(wanted()),
        pieces(wanted("10.9.1.2", "10.9.0.2", externalTrafficPolicy="Local")),
        pieces(wanted("10.9.1.2", "10.9.0.2", sessionAffinity="ClientIP")),
        pieces(placed({"10.9.1.2": "n2"}, **outside, internalTrafficPolicy="Local"), "10.9.0.0/16"),
        pieces(placed({"10.9.1.2": "n1"}, ["192.0.2.8"], **outside, loadBalancerSourceRanges=all_)),
    ]
    meant = []
    for table in tables:
        net.apply(whole(table))
        meant.append(net.table())
    for i, old in enumerate(tables):
        for k, new in enumerate(tables):
            net.apply(whole(old))
            net.apply(update(old, new))
            assert net.table() == meant[k], (i, k)
            net.apply(whole(old))
            left = present(net.listing())
            assert left is not None
            net.apply(successor(left, new))
            assert net.table() == meant[k], ("by a new agent", i, k)


def test_addresses_outside_the_cluster_lead_in(net: Net) -> None:
    one, other = net.pods
    rules = placed({"10.9.1.2": "n1"}, ["192.0.2.8"], externalIPs=["192.0.2.7"])
    net.apply(whole(pieces(rules)))
    assert net.ask(one, "192.0.2.7") == "10.9.1.2 10.9.1.1"
    assert net.ask(one, "192.0.2.8") == "10.9.1.2 10.9.1.1"
    assert net.ask(net.node, "192.0.2.7").startswith("10.9.1.2 ")
    net.apply(whole(pieces(placed({}, ["192.0.2.8"], externalIPs=["192.0.2.7"]))))
    assert net.ask(other, "192.0.2.7") == "refused"
    assert net.ask(other, "192.0.2.8") == "refused"


def test_a_balancers_address_takes_its_source_ranges_only(net: Net) -> None:
    one, other = net.pods
    ranges = ["10.9.0.0/24", "10.9.0.0/28"]
    rules = placed({"10.9.1.2": "n1"}, ["192.0.2.8"], loadBalancerSourceRanges=ranges)
    net.apply(whole(pieces(rules)))
    assert net.ask(one, "192.0.2.8").startswith("10.9.1.2 ")
    assert net.ask(other, "192.0.2.8", wait_s=0.5) == "nobody"


def test_a_node_port_is_reached_at_every_address_of_the_node(net: Net) -> None:
    net.at(net.node, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    net.apply(whole(pieces(wanted("10.9.1.2"))))
    for address in ("127.0.0.1", "10.9.0.1", "10.9.9.1"):
        assert net.ask(net.node, address, 30080).startswith("10.9.1.2 "), address


def test_the_local_policy_keeps_outsiders_and_their_address_on_the_node(net: Net) -> None:
    pod, outsider = net.pods  # the second one stands for a client outside the cluster
    local = {"externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.7"]}
    inside = "10.9.0.0/24"
    net.apply(whole(pieces(placed({"10.9.0.2": "n1", "10.9.1.2": "n2"}, **local), inside)))
    for address, port in (("10.9.1.1", 30080), ("192.0.2.7", 80)):
        told = {net.ask(outsider, address, port) for _ in range(6)}
        assert told == {"10.9.0.2 10.9.1.2"}, address
    net.apply(whole(pieces(placed({"10.9.1.2": "n2"}, **local), inside)))
    for address, port in (("10.9.1.1", 30080), ("192.0.2.7", 80)):
        assert net.ask(outsider, address, port, wait_s=0.5) == "nobody", address
        assert net.ask(pod, address, port) == "10.9.1.2 10.9.0.2", address
        assert net.ask(net.node, address, port).startswith("10.9.1.2 "), address


def test_the_local_policy_inside_drops_where_only_other_nodes_have_endpoints(net: Net) -> None:
    far = placed({"10.9.1.2": "n2"}, internalTrafficPolicy="Local")
    net.apply(whole(pieces(far)))
    assert net.ask(net.pods[0], "10.96.0.20", wait_s=0.5) == "nobody"
    assert net.ask(net.pods[0], "10.9.0.1", 30080).startswith("10.9.1.2 ")


async def test_a_flow_of_udp_leaves_an_endpoint_that_is_gone(net: Net) -> None:
    forget = conntrack.forget_in(net.conntrack)
    for pod, address in zip(net.pods, ("10.9.0.2", "10.9.1.2"), strict=True):
        net.serve(pod, address, SERVE_UDP)
    with Asker(net.pods[0], ASK_UDP, "10.96.0.20") as asker:
        for rules, heard in (
            (udp("10.9.0.2"), "10.9.0.2"),
            (udp("10.9.1.2"), "10.9.1.2"),
            (udp(), "refused"),
            (udp("10.9.0.2"), "10.9.0.2"),
        ):
            net.apply(whole(pieces(rules)))
            await forget(datagram_places(rules))
            assert asker.ask() == heard
        net.apply(whole(pieces(udp("10.9.1.2"))))
        assert asker.ask() == "10.9.0.2", "the kernel remembers where nothing is forgotten"
        await forget(datagram_places(udp("10.9.0.2")))
        assert asker.ask() == "10.9.0.2", "flows to present endpoints stay"
