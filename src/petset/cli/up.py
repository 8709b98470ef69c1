"""`petset up`: from nothing to a ready API and ready nodes, or to a clear refusal."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from petset.cli import checks, down, paths, process, state
from petset.cli.failure import Failure

_READY_S = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for; `port` 0 means: the one it had, else 6443 if free, else any."""

    name: str = "default"
    nodes: int = 1
    data_dir: Path | None = None
    kubeconfig: Path | None = None
    port: int = 0


def run(wanted: Wanted, *, foreground: bool) -> None:
    """Start what is missing, wait until it is ready, tell how to go on."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"  {text} ({time.monotonic() - began:.2f} s)", flush=True)

    state.check_name(wanted.name)
    checks.machine()
    with state.lock(wanted.name):
        where, cluster = start(wanted, say)
    _farewell(where, cluster)
    if foreground:
        from petset.cli import foreground as stay

        stay.run(where, cluster)


def start(
    wanted: Wanted, say: Callable[[str], None] = lambda text: None
) -> tuple[paths.Paths, state.Cluster]:
    """Start what is missing of a cluster. Call with the cluster's lock held."""
    where = state.find(wanted.name, wanted.data_dir)
    fresh = not where.state.exists()
    idle = process.read(where.pid_file("server")) is None
    try:
        cluster = _describe(where, wanted)
        server = start_server(where, cluster, at_once=False)
        agents = {n: start_agent(where, cluster, n, at_once=False) for n in cluster.nodes}
        # What follows happens while the processes load their code.
        _certificates(where, cluster)
        _host_network(cluster)
        if server is not None:
            server.go()
            expect_ready(server, "the API server")
            say(f"API ready at {cluster.url}")
        _await_agents(agents, say)
        _write_kubeconfig(where, cluster, wanted)
        if server is None and not any(agents.values()):
            say("already running")
    except BaseException:
        if idle:  # nothing half started stays behind
            down.stop(where, wanted.name)
            if fresh:
                shutil.rmtree(where.state, ignore_errors=True)
        raise
    return where, cluster


def _await_agents(agents: Mapping[str, process.Started | None], say: Callable[[str], None]) -> None:
    started = {node: agent for node, agent in agents.items() if agent is not None}
    for agent in started.values():
        agent.go()
    for node, agent in started.items():
        expect_ready(agent, f"node {node}")
        say(f"node {node} ready")


def _describe(where: paths.Paths, wanted: Wanted) -> state.Cluster:
    """The cluster as it shall be, written to its file."""
    with state.lock("clusters"):
        cluster = state.load(where)
        if cluster is None:
            port = wanted.port or state.free_port(6443)
            cluster = state.Cluster(wanted.name, state.free_index(), port)
        elif cluster.name != wanted.name:
            raise Failure(
                f"{where.state} belongs to cluster {cluster.name!r}",
                f"give --name {cluster.name}, or another --data-dir",
            )
        elif not _has_run(where):
            _check_addresses(cluster)
        if wanted.port and wanted.port != cluster.port:
            _move(where, cluster, wanted.port)
        while len(cluster.nodes) < wanted.nodes:
            number = cluster.free_number()
            cluster.nodes[f"node-{number}"] = number
        state.save(where, cluster)
    return cluster


def _move(where: paths.Paths, cluster: state.Cluster, port: int) -> None:
    if process.read(where.pid_file("server")):
        raise Failure(
            f"cluster {cluster.name} already runs on port {cluster.port}",
            "stop it first to move it to another port",
        )
    cluster.port = port


def _has_run(where: paths.Paths) -> bool:
    return (where.run / "cluster").is_file()


def _check_addresses(cluster: state.Cluster) -> None:
    """Refuse to start where somebody took the cluster's addresses while it was stopped.

    Certificates name the addresses, so the cluster cannot take others.
    """
    if cluster.index not in state.free_indexes():
        raise Failure(
            f"the addresses of cluster {cluster.name} (172.29.{cluster.index}.0/24, "
            f"{cluster.pod_cidr}) are in use on this machine",
            "stop the cluster or the network that uses them (see: ip route)",
        )


def _certificates(where: paths.Paths, cluster: state.Cluster) -> None:
    files = [where.pki / f"{n}.key" for n in ("ca", "apiserver", "admin", "apiserver-kubelet")]
    files += [where.pki / f"node-{n}.key" for n in cluster.nodes]
    if all(f.exists() for f in files):
        return
    from petset.cli import pki

    service = ["kubernetes", "default", "svc", "cluster", "local"]
    names = ["localhost", *(".".join(service[:n]) for n in (1, 2, 3, 5))]
    addresses = list(dict.fromkeys(["127.0.0.1", cluster.listen, cluster.host_ip, "10.96.0.1"]))
    pki.ensure_cluster(where.pki, names=names, addresses=addresses)
    for node, number in cluster.nodes.items():
        pki.ensure_node(where.pki, node, cluster.node_ip(number))


def _host_network(cluster: state.Cluster) -> None:
    from petset.node.network import host

    lan = host.ClusterNetwork(cluster.name, cluster.index)
    host.make(lan)
    for number in cluster.nodes.values():
        host.add_node(lan, number)


def start_server(
    where: paths.Paths, cluster: state.Cluster, *, at_once: bool = True
) -> process.Started | None:
    """Start the server unless it runs; `at_once` False leaves the word `go` to the caller."""
    if process.read(where.pid_file("server")):
        return None
    _refuse_taken_port(cluster)
    return _start(where, "server", [], at_once)


def start_agent(
    where: paths.Paths, cluster: state.Cluster, node: str, *, at_once: bool = True
) -> process.Started | None:
    """Start the agent of `node` unless it runs; `at_once` False leaves `go` to the caller."""
    if process.read(where.pid_file(f"agent-{node}")):
        return None
    if at_once:
        _host_network(cluster)
    return _start(where, "agent", ["--node", node], at_once)


def _start(where: paths.Paths, kind: str, more: list[str], at_once: bool) -> process.Started:
    name = "-".join([kind, *more[1:]])
    started = process.start(
        f"petset.cli.{kind}",
        ["--state", str(where.state), "--run", str(where.run), *more],
        pid_file=where.pid_file(name),
        log=where.logs / f"{name}.log",
    )
    if at_once:
        started.go()
    return started


def _refuse_taken_port(cluster: state.Cluster) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((cluster.listen, cluster.port))
        except OSError as error:
            raise Failure(
                f"port {cluster.port} on {cluster.listen} cannot be had: {error.strerror}",
                f"free it, or give another one: petset up --name {cluster.name} --port PORT",
            ) from error


def expect_ready(started: process.Started, what: str) -> None:
    """Wait for a process to say that it is ready; a Failure says what it said instead."""
    word = started.wait_ready(_READY_S)
    if word == "ok":
        return
    process.stop([started.process])
    if word:
        raise Failure(word)
    why = process.tail(started.log) or "it wrote no log"
    raise Failure(f"{what} did not start:\n{why}", f"its log is {started.log}")


def _write_kubeconfig(where: paths.Paths, cluster: state.Cluster, wanted: Wanted) -> None:
    from petset.cli import kubeconfig

    kubeconfig.write(where, cluster, wanted.kubeconfig)


def _farewell(where: paths.Paths, cluster: state.Cluster) -> None:
    name = "" if cluster.name == "default" else f" --name {cluster.name}"
    print(f"Cluster {cluster.name} is ready: {len(cluster.nodes)} node(s), kubeconfig merged.")
    print(f"  kubectl get nodes        (or: petset get nodes{name})")
    print(f"  petset down{name}        stops it and keeps the data in {where.state}")
