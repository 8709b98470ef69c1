"""Services on real pods: addresses, names, policies, and how they follow their endpoints."""

import contextlib
import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dnslib import DNSRecord

from petset.node.network import namespace
from tests.e2e import faults
from tests.e2e.conftest import Cluster, eventually, make_cluster
from tests.e2e.node_box import needs_machine

pytestmark = needs_machine

DNS = "10.96.0.10"
SAY = ["nc", "-ll", "-p", "8080", "-e", "hostname"]
Answer = tuple[int, list[str]]
"""A reply's code and what its answers say, in order of text."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes; on each a pod that tells its name at port 8080, and one that asks."""
    made = make_cluster(tmp_path_factory.mktemp("services"), 2)
    try:
        nodes = [n["metadata"]["name"] for n in made.json("get", "nodes")["items"]]
        listens = {"readinessProbe": {"tcpSocket": {"port": 8080}}}
        for name, node in zip(("say-0", "say-1"), sorted(nodes), strict=True):
            own = {"nodeName": node, "hostname": name, "subdomain": "names"}
            apply(made, pod(name, "say", SAY, **own, container=listens))
        apply(made, pod("ask", "ask", ["sleep", "100000"], nodeName=sorted(nodes)[0]))
        made.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s")
        yield made
    finally:
        made.petset("down", "--name", made.name, "--delete-data")


def apply(cluster: Cluster, *objects: Any) -> None:
    cluster.kubectl("apply", "-f", "-", stdin="\n".join(json.dumps(o) for o in objects))


def pod(name: str, app: str, command: list[str], **spec: Any) -> Any:
    container = {"name": "c", "image": "busybox", "command": command}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def service(name: str, **spec: Any) -> Any:
    ports = [{"name": "say", "port": 80, "targetPort": 8080}]
    body = {"ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def of(cluster: Cluster, name: str) -> Any:
    return cluster.json("get", "service", name)["spec"]


def netns(cluster: Cluster, name: str) -> Path:
    uid = cluster.json("get", "pod", name)["metadata"]["uid"]
    (found,) = cluster.where.run.glob(f"n/*/p/{uid}/net")
    return found


def node_of(cluster: Cluster, name: str) -> tuple[str, Path]:
    """Address and namespace of the node that a pod is on."""
    status = cluster.json("get", "pod", name)["status"]
    return status["hostIP"], netns(cluster, name).parents[2] / "net"


def call(where: Path | None, address: str, port: int = 80) -> str:
    """Who answers; "refused" when nobody does, "no way" when no rule leads there (yet)."""

    def ask() -> str:
        with contextlib.closing(socket.socket()) as client:
            client.settimeout(3)
            try:
                client.connect((address, port))
            except ConnectionRefusedError:
                return "refused"
            except OSError:
                return "no way"
            client.settimeout(10)
            client.shutdown(socket.SHUT_WR)
            return client.recv(100).decode().strip()

    return ask() if where is None else namespace.within(where, ask)


def dns(where: Path, name: str, kind: str = "A") -> Answer:
    """What the cluster's name server says to a pod."""

    def ask() -> Answer:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
            client.settimeout(10)
            client.connect((DNS, 53))
            client.send(DNSRecord.question(name, kind).pack())
            reply = DNSRecord.parse(client.recv(4096))
            return reply.header.rcode, sorted(str(r.rdata) for r in reply.rr)

    return namespace.within(where, ask)


def told(ask: Callable[[], str], count: int = 2) -> set[str]:
    """All who answer, asked until `count` different ones did."""
    seen: set[str] = set()

    def more() -> bool:
        seen.add(ask())
        return len(seen) >= count

    eventually(more, f"{count} different answers: {seen}")
    return seen


BOTH = {"say-0", "say-1"}
FULL = "default.svc.cluster.local"


def test_a_cluster_ip_is_reached_by_pods_nodes_and_its_own_endpoints(cluster: Cluster) -> None:
    apply(cluster, service("plain", selector={"app": "say"}))
    address = of(cluster, "plain")["clusterIP"]
    _, node = node_of(cluster, "ask")
    for where in (netns(cluster, "ask"), node, netns(cluster, "say-0")):
        eventually(lambda w=where: call(w, address) in BOTH, "the rules are there")  # type: ignore[misc]
        assert told(partial(call, where, address)) == BOTH
    table = cluster.kubectl("get", "endpoints", "plain")
    assert re.search(r"plain +10\.\S+:8080,10\.\S+:8080 ", table)


def test_clients_stick_where_the_service_says_so(cluster: Cluster) -> None:
    apply(cluster, service("sticky", selector={"app": "say"}, sessionAffinity="ClientIP"))
    address, ask = of(cluster, "sticky")["clusterIP"], netns(cluster, "ask")
    eventually(lambda: call(ask, address) in BOTH, "the rules are there")
    found = {call(ask, address) for _ in range(12)}
    assert len(found) == 1
    for agent in faults.agents(cluster):
        faults.kill_process(cluster, agent)
    faults.up(cluster)
    assert {call(ask, address) for _ in range(12)} == found, "also by a new agent's rules"


def test_node_ports_are_reached_from_the_host_and_at_every_address_of_the_node(
    cluster: Cluster,
) -> None:
    apply(cluster, service("outer", type="NodePort", selector={"app": "say"}))
    port = of(cluster, "outer")["ports"][0]["nodePort"]
    address, node = node_of(cluster, "ask")
    eventually(lambda: call(None, address, port) in BOTH, "the rules are there")
    assert told(lambda: call(None, address, port)) == BOTH
    assert told(lambda: call(node, "127.0.0.1", port)) == BOTH
    assert told(lambda: call(netns(cluster, "ask"), address, port)) == BOTH


def test_local_policies_keep_to_the_node(cluster: Cluster) -> None:
    spec = {"selector": {"app": "say"}, "type": "NodePort"}
    local = {"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"}
    apply(cluster, service("near", **spec, **local))
    body = of(cluster, "near")
    port = body["ports"][0]["nodePort"]
    ask = netns(cluster, "ask")
    for name in sorted(BOTH):
        address, _ = node_of(cluster, name)
        eventually(lambda a=address: call(None, a, port) in BOTH, "the rules are there")  # type: ignore[misc]
        assert {call(None, address, port) for _ in range(6)} == {name}
    eventually(lambda: call(ask, body["clusterIP"]) in BOTH, "the rules are there")
    assert {call(ask, body["clusterIP"]) for _ in range(6)} == {"say-0"}, "the pod's own node"
    own, other = (node_of(cluster, name)[0] for name in ("ask", "say-1"))
    assert told(lambda: call(ask, own, port)) == BOTH, "from the node itself it may go anywhere"
    assert {call(ask, other, port) for _ in range(6)} == {"say-1"}, "at another node it stays there"


def test_outside_addresses_lead_in_and_nothing_listens_without_endpoints(cluster: Cluster) -> None:
    apply(cluster, service("far", selector={"app": "say"}, externalIPs=["192.0.2.7"]))
    apply(cluster, service("empty", selector={"app": "nobody"}))
    ask = netns(cluster, "ask")
    eventually(lambda: call(ask, "192.0.2.7") in BOTH, "the rules are there")
    empty = of(cluster, "empty")["clusterIP"]
    eventually(lambda: call(ask, empty) == "refused", "the rules are there")


def test_a_load_balancer_waits_for_somebody_who_provides_one(cluster: Cluster) -> None:
    apply(cluster, service("balanced", type="LoadBalancer", selector={"app": "say"}))
    assert re.search(r"balanced +LoadBalancer +\S+ +<pending> +80:3\d{4}/TCP", cluster.kubectl(
        "get", "service", "balanced"))  # fmt: skip
    given = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.8", "ipMode": "VIP"}]}}}
    words = ("service", "balanced", "--subresource=status", "--type=merge", "-p", json.dumps(given))
    cluster.kubectl("patch", *words)
    ask = netns(cluster, "ask")
    eventually(lambda: call(ask, "192.0.2.8") in BOTH, "the rules are there")


def test_balancers_learn_which_nodes_have_endpoints(cluster: Cluster) -> None:
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    apply(cluster, service("asked", selector={"statefulset.kubernetes.io/none": "x"}, **spec))
    port = of(cluster, "asked")["healthCheckNodePort"]
    addresses = {name: node_of(cluster, name)[0] for name in BOTH}

    def answers() -> dict[str, tuple[int, int]]:
        """Status and number of endpoints by the pod that is on the node."""
        return {name: health(address, port) for name, address in addresses.items()}

    eventually(lambda: answers() == dict.fromkeys(BOTH, (503, 0)), "nobody has any")
    cluster.kubectl("label", "pod", "say-1", "statefulset.kubernetes.io/none=x")
    wanted = {"say-0": (503, 0), "say-1": (200, 1)}
    eventually(lambda: answers() == wanted, "the node of say-1 has one")


def health(address: str, port: int) -> tuple[int, int]:
    """What a node says to a balancer: status and number of endpoints; zeros without an answer."""
    asker = http.client.HTTPConnection(address, port, timeout=10)
    try:
        asker.request("GET", "/healthz")
        answer = asker.getresponse()
        return answer.status, int(json.loads(answer.read())["localEndpoints"])
    except OSError:
        return 0, 0
    finally:
        asker.close()


def test_pods_have_names_of_their_own_below_a_headless_service(cluster: Cluster) -> None:
    apply(cluster, service("names", clusterIP="None", selector={"app": "say"}))
    ask = netns(cluster, "ask")
    ips = {n: cluster.json("get", "pod", n)["status"]["podIP"] for n in BOTH}
    every = (0, sorted(ips.values()))
    eventually(lambda: dns(ask, f"names.{FULL}") == every, "the names are known")
    for name, ip in ips.items():
        assert dns(ask, f"{name}.names.{FULL}") == (0, [ip])
        assert dns(ask, f"{name}.names.{FULL}", "AAAA") == (0, [])
        backwards = ".".join(reversed(ip.split(".")))
        assert f"{name}.names.{FULL}." in dns(ask, f"{backwards}.in-addr.arpa", "PTR")[1]
    code, srv = dns(ask, f"_say._tcp.names.{FULL}", "SRV")
    assert (code, [s.split()[2:] for s in srv]) == (
        0,
        [["8080", f"{name}.names.{FULL}."] for name in sorted(BOTH)],
    )


def test_search_lists_of_pods_find_short_names(cluster: Cluster) -> None:
    apply(cluster, service("names", clusterIP="None", selector={"app": "say"}))
    ip = cluster.json("get", "pod", "say-1")["status"]["podIP"]
    for name in (f"say-1.names.{FULL}", "say-1.names", "say-1.names.default.svc"):
        eventually(lambda n=name: f"({ip})" in pinged(cluster, n), f"{name} is {ip}")  # type: ignore[misc]
    lines = cluster.kubectl("exec", "ask", "--", "cat", "/etc/resolv.conf").splitlines()
    assert f"nameserver {DNS}" in lines
    assert "options ndots:5" in lines


def pinged(cluster: Cluster, name: str) -> str:
    """What `ping` says, which asks the C library of the pod's image for the name."""
    return cluster.kubectl("exec", "ask", "--", "ping", "-c1", "-W1", name, check=False)


def test_endpoints_written_by_hand_are_mirrored_and_have_names(cluster: Cluster) -> None:
    target = cluster.json("get", "pod", "say-1")["status"]["podIP"]
    subset = {
        "addresses": [{"ip": target, "hostname": "first"}],
        "ports": [{"name": "say", "port": 8080}],
    }
    metadata = {"name": "hand", "labels": {"app": "hand"}}
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [subset]}
    apply(cluster, service("hand", clusterIP="None"), endpoints)
    plain = {**endpoints, "metadata": {"name": "handip"}}
    apply(cluster, service("handip"), plain)
    ask = netns(cluster, "ask")
    eventually(lambda: dns(ask, f"first.hand.{FULL}") == (0, [target]), "mirrored")
    address = of(cluster, "handip")["clusterIP"]
    eventually(lambda: call(ask, address) == "say-1", "the rules are there")
    (slice_,) = cluster.json("get", "endpointslices", "-l", "kubernetes.io/service-name=hand")[
        "items"
    ]
    label = slice_["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
    assert label == "endpointslicemirroring-controller.k8s.io"


def test_answers_follow_readiness_and_a_denied_name_is_there_once_its_member_is(
    cluster: Cluster,
) -> None:
    probe = {
        "exec": {"command": ["test", "-f", "/up"]},
        "periodSeconds": 1,
        "timeoutSeconds": 20,
        "failureThreshold": 1,
    }
    spec = {"hostname": "late", "subdomain": "turns", "container": {"readinessProbe": probe}}
    selector = {"app": "turns"}
    apply(
        cluster,
        service("turns", clusterIP="None", selector=selector),
        service("early", clusterIP="None", selector=selector, publishNotReadyAddresses=True),
        pod("late", "turns", ["sleep", "100000"], **spec),
    )
    ask, name = netns(cluster, "ask"), f"late.turns.{FULL}"
    eventually(lambda: dns(ask, f"early.{FULL}")[1], "published before it is ready")
    ip = cluster.json("get", "pod", "late")["status"]["podIP"]
    assert dns(ask, name) == (3, [])
    assert dns(ask, f"turns.{FULL}") == (3, [])
    for script, answer in (("touch /up", (0, [ip])), ("rm /up", (3, [])), ("touch /up", (0, [ip]))):
        cluster.kubectl("exec", "late", "--", "sh", "-c", script)
        eventually(lambda a=answer: dns(ask, name) == a, f"{script}: {answer}")  # type: ignore[misc]
        assert dns(ask, f"turns.{FULL}") == answer
        assert dns(ask, f"early.{FULL}") == (0, [ip])
    cluster.kubectl("delete", "pod", "late", "--wait=false")
    eventually(lambda: dns(ask, name) == (3, []), "the name goes with the pod")


def test_another_name_is_an_alias(cluster: Cluster) -> None:
    other = f"names.{FULL}"
    apply(cluster, service("names", clusterIP="None", selector={"app": "say"}))
    apply(cluster, service("alias", type="ExternalName", externalName=other, ports=[]))
    ask = netns(cluster, "ask")
    eventually(lambda: dns(ask, f"alias.{FULL}")[1][2:], "the alias is known")
    assert f"{other}." in dns(ask, f"alias.{FULL}")[1]
    assert dns(ask, f"alias.{FULL}", "CNAME") == (0, [f"{other}."])


def test_pods_reach_the_api_by_its_service(cluster: Cluster) -> None:
    ask = netns(cluster, "ask")
    code, (address,) = dns(ask, f"kubernetes.{FULL}")
    assert (code, address) == (0, "10.96.0.1")
    trust = ssl.create_default_context(cafile=cluster.where.pki / "ca.crt")

    def version() -> bytes:
        plain = socket.create_connection((address, 443), timeout=10)
        with trust.wrap_socket(plain, server_hostname="kubernetes.default.svc") as client:
            client.send(b"GET /version HTTP/1.1\r\nhost: kubernetes\r\n\r\n")
            return client.recv(100)

    assert namespace.within(ask, version).startswith(b"HTTP/1.1 200 ")


def test_datagrams_go_to_the_new_endpoint_when_the_old_one_is_gone(cluster: Cluster) -> None:
    for name in ("udp-a", "udp-b"):
        apply(cluster, pod(name, name, ["sleep", "100000"]))
    cluster.kubectl("wait", "pod/udp-a", "pod/udp-b", "--for=condition=Ready", "--timeout=60s")
    ports = [{"name": "u", "port": 53, "targetPort": 5353, "protocol": "UDP"}]
    apply(cluster, service("udp", selector={"app": "udp-a"}, ports=ports))
    address, ask = of(cluster, "udp")["clusterIP"], netns(cluster, "ask")
    with (
        echoing(netns(cluster, "udp-a"), b"a"),
        echoing(netns(cluster, "udp-b"), b"b"),
        contextlib.closing(namespace.make_socket(ask, socket.AF_INET, socket.SOCK_DGRAM)) as asker,
    ):
        asker.settimeout(1)
        asker.connect((address, 53))
        eventually(lambda: say(asker) == b"a", "the first endpoint answers")
        apply(cluster, service("udp", selector={"app": "udp-b"}, ports=ports))
        eventually(lambda: say(asker) == b"b", "the same sender reaches the second one")


@contextlib.contextmanager
def echoing(where: Path, word: bytes) -> Iterator[None]:
    """A server of datagrams in a pod's network."""
    server = namespace.make_socket(where, socket.AF_INET, socket.SOCK_DGRAM)
    server.setblocking(True)
    server.settimeout(0.1)
    server.bind(("0.0.0.0", 5353))
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            with contextlib.suppress(TimeoutError):
                _, peer = server.recvfrom(100)
                server.sendto(word, peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        server.close()


def say(asker: socket.socket) -> bytes:
    try:
        asker.send(b"x")
        return asker.recv(100)
    except (ConnectionRefusedError, TimeoutError):
        return b""
