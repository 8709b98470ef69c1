"""What the fault tests share: killing, watching, looking for what was left behind."""

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from petset.base.ids import Ids
from petset.cli import paths, process, state
from petset.node import kernel
from petset.node.images import local
from petset.node.network import host, namespace
from petset.node.runtime import cgroup
from tests.e2e.conftest import Cluster, eventually, make_cluster

POLITE = "trap 'exit 0' TERM; echo up $(cat /proc/uptime) >>/data/log; sleep 9999 & wait"
"""A member's program: it notes its start in its volume and ends when asked to."""


def member_set(
    name: str = "db",
    replicas: int = 3,
    *,
    script: str = POLITE,
    policy: str = "OrderedReady",
    grace_s: int = 5,
    **container: Any,
) -> str:
    """A StatefulSet of busybox members with a volume each, as JSON."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": grace_s,
            "containers": [
                {
                    "name": "c",
                    "image": "busybox",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    **container,
                }
            ],
        },
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    spec = {
        "serviceName": name,
        "replicas": replicas,
        "podManagementPolicy": policy,
        "selector": {"matchLabels": {"app": name}},
        "template": template,
        "volumeClaimTemplates": [claim],
    }
    return json.dumps(
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": spec}
    )


def pod_json(name: str, script: str, *, grace_s: int = 2, **spec: Any) -> str:
    """A pod of one busybox container `c` running a shell script, as JSON."""
    container = {
        "name": "c",
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        **spec.pop("container", {}),
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": grace_s,
                "containers": [container],
                **spec,
            },
        }
    )


def module_cluster(factory: pytest.TempPathFactory, nodes: int) -> Iterator[Cluster]:
    """A cluster for the tests of one module; for a fixture to yield from."""
    made = make_cluster(factory.mktemp("cluster"), nodes)
    try:
        yield made
    finally:
        made.petset("down", "--name", made.name, "--delete-data")


# -- killing ------------------------------------------------------------------------------------


def kill_process(cluster: Cluster, name: str) -> None:
    """SIGKILL `server` or `agent-NODE`; it is gone when this returns. Fine if it is not there."""
    found = process.read(cluster.where.pid_file(name))
    if found is not None:
        process.send([found], signal.SIGKILL)
        assert not process.wait_gone([found], 10)


def agents(cluster: Cluster) -> list[str]:
    """Names of the agents' pid files, without suffix."""
    return sorted(p.stem for p in cluster.where.run.glob("agent-*.pid"))


def up(cluster: Cluster) -> None:
    """`petset up`: start what is missing."""
    config = str(cluster.config)
    cluster.petset("up", "--name", cluster.name, "--kubeconfig", config)


def power_cut(cluster: Cluster) -> None:
    """What a power cut does to one cluster: kill all, unmount all, lose /run, network, cgroups."""
    for name in ["server", *agents(cluster)]:
        kill_process(cluster, name)

    def dead() -> bool:
        """Again and again: what the agents had begun may start a container just now."""
        cgroup.kill(f"/petset/{cluster.name}")
        doomed = [int(line.split()[0]) for line in processes(cluster)]
        found = [process.Process(pid, kernel.start_ticks(pid)) for pid in doomed]
        process.send(found, signal.SIGKILL)
        return not found and not cgroup_processes(cluster)

    eventually(dead, "all of the cluster dead")
    for root in (cluster.where.run, cluster.where.state):
        for point in kernel.mounts_below(root):
            kernel.unmount(point)
    shutil.rmtree(cluster.where.run)
    known = state.load(cluster.where)
    assert known is not None
    host.remove(host.ClusterNetwork(cluster.name, known.index))
    eventually(lambda: cgroup.remove(f"/petset/{cluster.name}"), "control groups gone")
    # The kernel's boot id is new after a boot; here the old one is made unlike it instead.
    for noted in cluster.where.state.glob("nodes/*/pods/*/volumes.json"):
        noted.write_text(noted.read_text().replace(kernel.boot_id(), "an-earlier-boot"))


def cgroup_processes(cluster: Cluster) -> list[str]:
    """Pids in any of the cluster's control groups."""
    found: list[str] = []
    for top in cgroup.directories(f"/petset/{cluster.name}"):
        for folder, _, _ in os.walk(top):
            with contextlib.suppress(OSError):  # it was removed just now
                found += Path(folder, "cgroup.procs").read_text().split()
    return found


def container_status(pod: Any, name: str = "c") -> Any:
    """The status of a container; of one that its node has told nothing of yet, an empty one."""
    told = pod.get("status", {}).get("containerStatuses") or ()
    unknown = {"name": name, "state": {}, "restartCount": 0}
    return next((s for s in told if s["name"] == name), unknown)


def record_of(cluster: Cluster, pod: Any, name: str = "c") -> Any:
    """The newest record that the node keeps of a container."""
    folder = cluster.where.node_state(pod["spec"]["nodeName"]) / "pods" / pod["metadata"]["uid"]
    found = [json.loads(f.read_bytes()) for f in (folder / "containers").glob(f"{name}.*.json")]
    return max(found, key=lambda r: r["run"]["attempt"])


def identity(pods: dict[str, Any]) -> dict[str, tuple[str, str, int, str]]:
    """What must not change of pods that only lost their keepers."""
    told = {}
    for name, pod in pods.items():
        status = container_status(pod)
        told[name] = (
            pod["metadata"]["uid"],
            status["containerID"],
            status["restartCount"],
            pod["status"]["podIP"],
        )
    return told


# -- watching -----------------------------------------------------------------------------------


class Watched:
    """What the observer saw, once it has ended."""

    doubled: list[str]
    samples: int
    seen: dict[str, list[str]]


@contextlib.contextmanager
def observed(cluster: Cluster) -> Iterator[Watched]:
    """Have every pod watched meanwhile; afterwards none may have run twice at once."""
    top = next(h for h in cgroup.hierarchies() if h.name in ("pids", "cgroup"))
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        child = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("observer.py")),
                str(cluster.where.state),
                str(top / "petset" / cluster.name),
                output.name,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        watched = Watched()
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"looking\n"
            yield watched
        finally:
            child.communicate()
        told = json.loads(Path(output.name).read_bytes())
    watched.doubled, watched.samples, watched.seen = (
        told["doubled"],
        told["samples"],
        told["seen"],
    )
    assert not watched.doubled, watched.doubled[:5]
    assert watched.samples > 10


# -- what is left behind ------------------------------------------------------------------------


def traces(cluster: Cluster) -> dict[str, list[str]]:
    """All that pods leave on the machine; every list is empty when no pod is left."""
    where = cluster.where
    found: dict[str, list[str]] = {"processes": processes(cluster), "mounts": [], "files": []}
    pins = {str(where.node_run(node) / "net") for node in node_names(cluster)}
    for root in (where.run, *(where.node_state(node) for node in node_names(cluster))):
        found["mounts"] += [m for m in kernel.mounts_below(root) if m not in pins]
    for node in node_names(cluster):
        run, state = where.node_run(node), where.node_state(node)
        for folder in (run / "c", run / "p", run / "s", run / "state", state / "pods"):
            found["files"] += [str(p) for p in folder.glob("*")]
        found["files"] += [str(p) for p in (state / "logs").glob("*")]
    found["cgroups"] = [
        str(p)
        for node in node_names(cluster)
        for top in cgroup.directories(f"/petset/{cluster.name}/{node}")
        for p in top.glob("*/")
    ]
    found["links"] = [link for node in node_names(cluster) for link in pod_links(cluster, node)]
    found["fences"] = [str(file) for file in where.volumes.glob(".*.petset-use")]
    return {kind: what for kind, what in found.items() if what}


def node_names(cluster: Cluster) -> list[str]:
    return sorted(p.name for p in (cluster.where.state / "nodes").iterdir())


def processes(cluster: Cluster) -> list[str]:
    """conmon and OCI runtime processes that serve this cluster's containers."""
    found = []
    marks = (str(cluster.where.run / "n").encode(), str(cluster.where.state / "nodes").encode())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if any(mark in line for mark in marks) and b"petset.cli" not in line:
            found.append(f"{entry.name} {line.replace(bytes(1), b' ').decode()}")
    return found


def pod_links(cluster: Cluster, node: str) -> list[str]:
    """Names of the node's links to pods."""

    def body() -> list[str]:
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
        return [n for line in lines if (n := line.partition(":")[0].strip()).startswith("pod")]

    pin = cluster.where.node_run(node) / "net"
    return namespace.within(pin, body) if namespace.is_pinned(pin) else []


def expect_no_traces(cluster: Cluster, limit_s: float = 20.0) -> None:
    """Nothing of any pod is left on the machine."""
    left: dict[str, list[str]] = {}

    def clean() -> bool:
        left.clear()
        left.update(traces(cluster))
        return not left

    try:
        eventually(clean, "no trace of any pod", limit_s)
    except AssertionError:
        raise AssertionError(f"left behind: {json.dumps(left, indent=1)}") from None


def expect_ready(cluster: Cluster, app: str, names: Sequence[str], limit_s: float = 60.0) -> None:
    """Exactly these pods exist and are Ready."""

    def as_wanted() -> bool:
        return sorted(cluster.pods(app)) == sorted(names) == sorted(cluster.ready(app))

    try:
        eventually(as_wanted, f"{names} Ready", limit_s)
    except AssertionError as error:
        table = cluster.kubectl("get", "pods", "-o", "wide")
        events = cluster.kubectl("get", "events", "--sort-by=.lastTimestamp").splitlines()
        raise AssertionError("\n".join([str(error), table, *events[-25:]])) from None


def delete_all(cluster: Cluster) -> None:
    """Delete every set, pod and claim of the default namespace; nothing is left when it returns."""
    cluster.kubectl("delete", "sts,pod,pvc,svc,cm", "--all", "--wait=false", "--ignore-not-found")
    eventually(lambda: not cluster.json("get", "pods,pvc,pv")["items"], "pods and claims gone", 60)


def seeded(seed: int) -> random.Random:
    """Randomness that a failing run can be repeated with."""
    return Ids(seed).rng


def within(limit_s: float, ask: Callable[[], Any], what: str) -> Any:
    """What `ask` answers as soon as it answers something true."""
    answers: list[Any] = []

    def done() -> bool:
        answers.append(ask())
        return bool(answers[-1])

    eventually(done, what, limit_s)
    return answers[-1]


def roll(cluster: Cluster, name: str) -> None:
    """Begin a rolling update of a set. (`rollout restart` refuses a second one in a second.)"""
    note = {"petset.dev/test-roll": Ids().suffix(12)}
    change = {"spec": {"template": {"metadata": {"annotations": note}}}}
    cluster.kubectl("patch", "sts", name, "-p", json.dumps(change))


def restarts(cluster: Cluster, name: str) -> int:
    """restartCount of container `c` of a pod."""
    count: int = container_status(cluster.json("get", "pod", name))["restartCount"]
    return count


def lives(record: Any) -> bool:
    """Whether the main process of a recorded container lives."""
    return kernel.is_alive(record["pid"], record["ticks"])


def noted(cluster: Cluster, pod: str, count: int) -> list[str]:
    """The lines in a member's volume, as soon as there are `count`: it is Ready before it writes.

    More than that are a failure.
    """

    def lines() -> list[str]:
        found = cluster.kubectl("exec", pod, "--", "cat", "/data/log").strip().splitlines()
        return found if len(found) >= count else []

    found: list[str] = within(30, lines, f"{count} lines of {pod}")
    assert len(found) == count, found
    return found


def reasons(cluster: Cluster, name: str) -> set[str]:
    """The reasons of the events about an object; a node tells them a moment later."""
    listed = cluster.json("get", "events", "--field-selector", f"involvedObject.name={name}")
    return {event["reason"] for event in listed["items"]}


def touch_in(record: Any, path: str) -> None:
    """Make a file inside a container, without asking anybody."""
    Path(f"/proc/{record['pid']}/root{path}").touch()


def runs_of(cluster: Cluster, pod: Any, name: str = "c") -> list[Any]:
    """What the node keeps of a container's runs, oldest first."""
    folder = cluster.where.node_state(pod["spec"]["nodeName"]) / "pods" / pod["metadata"]["uid"]
    found = [json.loads(f.read_bytes()) for f in (folder / "containers").glob(f"{name}.*.json")]
    return sorted((r["run"] for r in found), key=lambda run: int(run["attempt"]))


def processes_in(record: Any) -> list[process.Process]:
    """Every process in the control group of a recorded container."""
    pids: set[int] = set()
    for top in cgroup.directories(record["cgroup"]):
        pids.update(int(pid) for pid in (top / "cgroup.procs").read_text().split())
    return [process.Process(pid, kernel.start_ticks(pid)) for pid in sorted(pids)]


def kept_pods(cluster: Cluster, node: str) -> list[str]:
    """Uids of the pods that a node keeps anything of."""
    return [p.name for p in (cluster.where.node_state(node) / "pods").iterdir()]


def image_archive(file: Path, tag: str) -> None:
    """Write a `docker save` archive of busybox under another name."""
    store = local.Store(paths.images())
    record = store.find("docker.io/library/busybox:latest")
    assert record is not None
    layer = file.with_name("layer.tar")
    with tarfile.open(layer, "w") as opened:
        opened.add(store.layer_path(record.layers[0]), arcname=".")
    diff = hashlib.sha256(layer.read_bytes()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    with tarfile.open(file, "w") as opened:
        opened.add(layer, arcname="layer.tar")
        for name, text in (("config.json", config), ("manifest.json", manifest)):
            raw = json.dumps(text).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            opened.addfile(entry, io.BytesIO(raw))
