"""`petset up`: from nothing to a ready API and ready nodes, or to a clear refusal."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from petset.cli import checks, leftovers, paths, process, state
from petset.cli.failure import Failure

ENDINGS = (signal.SIGINT, signal.SIGTERM)
"""The signals that ask a command to end."""

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
    signal.signal(signal.SIGTERM, _interrupt)  # what was begun is undone, as on Ctrl-C
    with state.lock(f"cluster {wanted.name}"):
        where, cluster = start(wanted, say)
    _farewell(where, cluster, wanted)
    if foreground:
        from petset.cli import foreground as stay

        stay.run(where, cluster)


def _finish() -> None:
    """From here on nothing is undone: who interrupts now still hears that the cluster is there.

    The user's kubeconfig is written after this: an undone cluster is not in it. Signals wait, for
    who stays in the foreground.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def start(
    wanted: Wanted, say: Callable[[str], None] = lambda text: None
) -> tuple[paths.Paths, state.Cluster]:
    """Start what is missing of a cluster. Call with the cluster's lock held."""
    where = state.find(wanted.name, wanted.data_dir)
    if not where.cluster_file.exists():
        _refuse_foreign_directory(where)
    for file in where.run.glob("*.pid"):
        process.drop_waiting(file)
    undo = leftovers.Undo(where, wanted.name)
    try:
        cluster = _describe(where, wanted)
        server = start_server(where, cluster, at_once=False)
        agents = {n: start_agent(where, cluster, n, at_once=False) for n in cluster.nodes}
        # What follows happens while the processes load their code.
        _certificates(where, cluster)
        _host_network(cluster)
        if server is not None:
            server.go()
        _check_kubeconfig(wanted)
        if server is not None:
            expect_ready(server, "the API server")
            say(f"API ready at {cluster.url}")
        _await_agents(agents, say)
        again = _restart_forgotten(where, cluster, [n for n, a in agents.items() if a is None])
        _await_agents(again, say)
        agents.update(again)
        _await_running(where, cluster, server, agents)
        _finish()
        _write_kubeconfig(where, cluster, wanted)
        if server is None and not any(agents.values()):
            say("already running")
    except BaseException as error:
        explained = leftovers.explain(error, where)
        undo.run()
        if explained is None:
            raise
        raise explained from error
    return where, cluster


def _await_agents(agents: Mapping[str, process.Started | None], say: Callable[[str], None]) -> None:
    started = {node: agent for node, agent in agents.items() if agent is not None}
    for agent in started.values():
        agent.go()
    for node, agent in started.items():
        expect_ready(agent, f"node {node}")
        say(f"node {node} ready")


def _restart_forgotten(
    where: paths.Paths, cluster: state.Cluster, nodes: Sequence[str]
) -> Mapping[str, process.Started | None]:
    """Start agents anew whose Node object somebody deleted: a running one does not register again.

    What they run stays, or goes, by what the API has: the next agent takes it over.
    """
    if not nodes:
        return {}
    from petset.cli import ready

    again = ready.forgotten(where, cluster, nodes)
    for node in again:
        if agent := process.read(where.pid_file(f"agent-{node}")):
            process.stop([agent])
    return {node: start_agent(where, cluster, node, at_once=False) for node in again}


def _await_running(
    where: paths.Paths,
    cluster: state.Cluster,
    server: process.Started | None,
    agents: Mapping[str, process.Started | None],
) -> None:
    """Wait for what ran before, too: an `up` that was killed may have begun it just now."""
    nodes = [node for node, agent in agents.items() if agent is None]
    if server is None or nodes:
        from petset.cli import ready

        ready.wait(where, cluster, nodes, _READY_S)


def _describe(where: paths.Paths, wanted: Wanted) -> state.Cluster:
    """The cluster as it shall be, written to its file."""
    with state.lock("clusters"):
        cluster = state.load(where)
        if cluster is None:
            port = wanted.port or state.free_port(6443)
            cluster = state.Cluster(wanted.name, state.free_index(), port)
        elif not _has_run(where):
            _check_addresses(cluster)
        if wanted.port and wanted.port != cluster.port:
            _move(where, cluster, wanted.port)
        while len(cluster.nodes) < wanted.nodes:
            number = cluster.free_number()
            cluster.nodes[f"node-{number}"] = number
        state.save(where, cluster)
    return cluster


def _refuse_foreign_directory(where: paths.Paths) -> None:
    """A new cluster gets a directory of its own: what lies there is somebody else's."""
    if not where.state.is_dir():
        return
    found = [p.name for p in where.state.iterdir()]
    if foreign := [n for n in found if n != "lost+found" and not leftovers.is_begun(n)]:
        raise Failure(
            f"{where.state} is no petset cluster and not empty (there is {sorted(foreign)[0]!r})",
            "give an empty or a new directory with --data-dir",
        )


def _move(where: paths.Paths, cluster: state.Cluster, port: int) -> None:
    if process.read(where.pid_file("server")):
        raise Failure(
            f"cluster {cluster.name} already runs on port {cluster.port}",
            "stop it first to move it to another port",
        )
    cluster.port = port


def _has_run(where: paths.Paths) -> bool:
    return (where.run / state.NOTE).is_file()


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
    # A certificate is written after its key: where it is, both are.
    files = [where.pki / f"{n}.crt" for n in ("ca", "apiserver", "admin", "apiserver-kubelet")]
    files += [where.pki / f"node-{n}.crt" for n in cluster.nodes]
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
    try:
        host.make(lan)
        for number in cluster.nodes.values():
            host.add_node(lan, number)
    except OSError as error:
        raise Failure(
            f"the cluster's network cannot be made: {error}",
            "the kernel needs bridge, veth and nf_tables: modprobe -a bridge veth nf_tables",
        ) from error


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
        kind,
        ["--state", str(where.state), "--run", str(where.run), *more],
        pid_file=where.pid_file(name),
        log=where.logs / f"{name}.log",
    )
    if at_once:
        started.go()
    elif kind == "agent":
        started.hold_back()  # it has nothing to talk to before the server answers
    return started


def _refuse_taken_port(cluster: state.Cluster) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((cluster.listen, cluster.port))
        except OSError as error:
            from petset.cli import holder

            wrong = holder.taken(cluster.listen, cluster.port, str(error.strerror))
            raise Failure(wrong, process.OTHER_PORT) from error


def expect_ready(started: process.Started, what: str) -> None:
    """Wait for a process to say that it is ready; a Failure says what it said instead."""
    word = started.wait_ready(_READY_S)
    if word == "ok":
        return
    process.stop([started.process])
    if word:
        wrong, _, todo = word.partition("\t")
        raise Failure(wrong, todo)
    why = process.tail(started.log) or "it wrote no log"
    raise Failure(f"{what} did not start:\n{why}", f"its log is {started.log}")


def _write_kubeconfig(where: paths.Paths, cluster: state.Cluster, wanted: Wanted) -> None:
    from petset.cli import kubeconfig

    kubeconfig.write(where, cluster, wanted.kubeconfig)


def _check_kubeconfig(wanted: Wanted) -> None:
    from petset.cli import kubeconfig

    if wanted.kubeconfig is None:
        kubeconfig.check()


def _farewell(where: paths.Paths, cluster: state.Cluster, wanted: Wanted) -> None:
    from petset.cli import kubeconfig

    name = "" if cluster.name == "default" else f" --name {cluster.name}"
    nodes = "1 node" if len(cluster.nodes) == 1 else f"{len(cluster.nodes)} nodes"
    if wanted.kubeconfig is None:
        file, how = kubeconfig.user_file(), ""
        noted = f"context {kubeconfig.context_name(cluster.name)} in {file}"
    else:
        how = f" --kubeconfig {wanted.kubeconfig}"
        noted = f"kubeconfig {wanted.kubeconfig}"
    print(f"Cluster {cluster.name} is ready: {nodes}, {noted}.")
    print(f"  kubectl{how} get nodes   (or: petset get nodes{name})")
    print(f"  petset down{name}   stops it and keeps its data in {where.state}")
