"""The rules in a real kernel: a node's namespace with two pods, and connections between them."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from petset.proxy.nftables import Pieces, pieces, update, whole
from petset.proxy.rules import PortRule, port_rules
from tests.unit.proxy.test_rules import endpoint, service, slice_of

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

ASK = """
import socket, sys
try:
    peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
    print(peer.recv(100).decode())
except ConnectionRefusedError:
    print("refused")
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
        self.at(self.node, "sysctl", "-qw", "net.ipv4.ip_forward=1")
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

    def serve(self, pod: str, address: str) -> None:
        command = ["ip", "netns", "exec", pod, sys.executable, "-c", SERVE, address]
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

    def ask(self, netns: str, address: str, port: int = 80) -> str:
        return self.at(netns, sys.executable, "-c", ASK, address, str(port))


@pytest.fixture
def net() -> Iterator[Net]:
    made = Net()
    try:
        made.up()
        yield made
    finally:
        made.down()


def wanted(*addresses: str, **spec: Any) -> list[PortRule]:
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    endpoints = slice_of(*map(endpoint, addresses))
    return port_rules([service(ports=ports, **spec)], {"default/web": [endpoints]}, "n1")


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


def test_clients_stick_to_their_endpoint_also_over_a_change(net: Net) -> None:
    before = pieces(wanted("10.9.0.2", "10.9.1.2", sessionAffinity="ClientIP"))
    net.apply(whole(before))
    first = net.ask(net.node, "10.96.0.20").split()[0]
    after = pieces(wanted("10.9.0.2", "10.9.1.2", "10.9.1.3", sessionAffinity="ClientIP"))
    net.apply(update(before, after))
    assert {net.ask(net.node, "10.96.0.20").split()[0] for _ in range(8)} == {first}


def test_every_change_leads_to_the_table_that_was_meant(net: Net) -> None:
    tables = [
        Pieces(),
        pieces(wanted("10.9.1.2")),
        pieces(wanted()),
        pieces(wanted("10.9.1.2", "10.9.0.2", externalTrafficPolicy="Local")),
        pieces(wanted("10.9.1.2", "10.9.0.2", sessionAffinity="ClientIP")),
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
