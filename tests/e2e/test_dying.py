"""Commands and agents that end between any two of their steps: nothing is lost, nothing is left."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from petset.cli import paths, process
from petset.node import kernel
from petset.node.runtime import cgroup, record
from tests.e2e.cli_box import Box, Done, box
from tests.e2e.conftest import eventually, is_ready

HOOK = Path(__file__).parent / "dying"
KILL, TERM = int(signal.SIGKILL), int(signal.SIGTERM)

UP = (
    r"flock .*",
    r"open .*/\.cluster\.json\.",
    r"rename .*/\.cluster\.json\.",
    r"rename .*/ranges/",
    r"rename .*/\.cluster\.petset-",
    r"posix_spawn .*'server'",
    r"rename .*/\.server\.pid\.",
    r"rename .*/\.ca\.crt\.",
    r"Popen .*nft",
    r"rename .*/\.kubeconfig\.",
)
"""Where `petset up` is between two things that belong together."""


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Box]:
    with box(tmp_path) as made:
        yield made


@contextlib.contextmanager
def doom(cluster: Box, who: str, at: str, by: int, armed: str = "") -> Iterator[None]:
    """What is started meanwhile and has the word `who` in its command line ends at that step."""
    steps(cluster).unlink(missing_ok=True)
    fate = {"who": who, "at": at, "by": by, "armed": armed, "log": str(steps(cluster))}
    path = os.pathsep.join([str(HOOK), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    more = {"PYTHONPATH": path, "DIES": orjson.dumps(fate).decode()}
    cluster.env.update(more)
    try:
        yield
    finally:
        for key in more:
            del cluster.env[key]


def steps(cluster: Box) -> Path:
    return cluster.directory / "steps"


def taken(cluster: Box) -> int:
    """How many steps were taken by who was to die."""
    return len(steps(cluster).read_text().splitlines())


def dies(cluster: Box, command: str, *words: str, at: str, by: int = KILL) -> tuple[Done, int]:
    """Run a command that ends at that step; how it ended, and its pid."""
    with doom(cluster, command.split()[-1], at, by):
        begun = cluster.start(command, *words)
    out, err = begun.communicate(timeout=60)
    return Done(begun.returncode, out, err), begun.pid


def half_written(cluster: Box, pid: int) -> list[str]:
    """What process `pid` was about to write, in every place where commands write."""
    places = (paths.home() / "ranges", paths.home() / "clusters" / cluster.name, cluster.directory)
    return [str(p) for place in places for p in place.rglob(f".*petset-{pid}")]


def is_gone(cluster: Box) -> None:
    cluster.assert_gone()
    assert not cluster.where.state.exists()


@pytest.mark.parametrize("at", UP)
def test_up_killed_leaves_nothing_that_down_does_not_find(one: Box, at: str) -> None:
    killed, pid = dies(one, "up", at=at)
    assert killed.code == -KILL, killed
    with one.start("down", "--delete-data") as down:
        down.communicate(timeout=60)  # refused where there is nothing yet
    is_gone(one)
    assert not half_written(one, pid)


@pytest.mark.parametrize("at", UP[::3])
def test_up_interrupted_leaves_nothing(one: Box, at: str) -> None:
    ended, pid = dies(one, "up", at=at, by=TERM)
    if "kubeconfig" in at:  # too late
        assert ended.code == 0, ended
        one.run("down", "--delete-data")
    else:
        assert ended.code == 130, ended
    is_gone(one)
    assert not half_written(one, pid)


def test_up_killed_anywhere_can_be_run_again(one: Box) -> None:
    """At every so many steps, until one is reached that is not taken any more."""
    number, again = 4, True
    while again:
        dies(one, "up", "--nodes", "2", at=str(number))
        again = taken(one) >= number
        number += 13
    one.run("up", "--nodes", "2")
    assert one.run("status").out.count("Ready, agent running") == 2
    one.run("down", "--delete-data")
    is_gone(one)


def nodes(cluster: Box) -> list[str]:
    listed: Any = cluster.json("nodes")
    return sorted(node["metadata"]["name"] for node in listed["items"])


def test_nodes_that_an_interrupted_up_added_are_gone(one: Box) -> None:
    one.run("up")
    before = one.pids()
    ended, _ = dies(one, "up", "--nodes", "2", at=r"socket\.connect", by=TERM)  # when all is Ready
    assert ended.code == 130, ended
    assert one.pids() == before
    assert nodes(one) == ["node-1"]
    left = [*one.where.run.rglob("*node-2*"), *one.where.state.rglob("*node-2*")]
    assert [p for p in left if p.parent != one.where.logs] == []
    assert not [trace for trace in one.traces() if "node-2" in trace]


def test_foreground_interrupted_as_it_begins_stops_the_cluster(one: Box) -> None:
    ended, _ = dies(one, "up", "--foreground", at=r"rename .*/\.kubeconfig\.", by=TERM)
    assert ended.code == 0, ended
    assert "is stopped" in ended.out
    one.assert_gone()


def test_node_that_does_not_start_is_not_added(one: Box) -> None:
    one.run("up")
    with doom(one, "agent", "libc", KILL):
        one.run("node add", ok=False)
    assert set(one.pids()) == {"server", "agent-node-1"}
    assert not one.where.node_run("node-2").exists()
    one.run("up")
    assert nodes(one) == ["node-1"]


@pytest.mark.parametrize(
    "at",
    [
        r"os\.kill ",  # a server that goes on to end
        r"remove .*'cgroup'",  # the node's run directory is half removed
        r"remove .*/cluster\.json'",
        r"remove .*'cluster'",  # all but the last note of it
    ],
)
def test_down_killed_anywhere_can_be_repeated(one: Box, at: str, tmp_path: Path) -> None:
    """By its name alone, also where the data lies in another place."""
    place = tmp_path / "data"
    one.run("up", "--data-dir", str(place))
    killed, pid = dies(one, "down", "--delete-data", at=at)
    assert killed.code == -KILL, (killed, steps(one).read_text())
    one.run("down", "--delete-data")
    one.assert_gone()
    assert not place.exists()
    assert not half_written(one, pid)


@pytest.mark.parametrize("at", [r"remove .*'agent\.lock'", "rename"])
def test_node_removal_killed_anywhere_can_be_repeated(one: Box, at: str) -> None:
    one.run("up", "--nodes", "2")
    killed, _ = dies(one, "node remove", "node-2", at=at)
    assert killed.code == -KILL, (killed, steps(one).read_text())
    one.run("node remove", "node-2")
    assert not [p for p in one.where.state.rglob("*node-2*") if p.parent != one.where.logs]
    one.run("node add", "node-2")
    assert one.run("status").out.count("Ready, agent running") == 2


@pytest.mark.parametrize("at", ["posix_spawn", r"rename .*\.pid"])
def test_adding_a_node_that_was_killed_is_finished_by_the_next_try(one: Box, at: str) -> None:
    one.run("up")
    killed, _ = dies(one, "node add", at=at)
    assert killed.code == -KILL, (killed, steps(one).read_text())
    one.run("node add")
    assert set(one.pids()) == {"server", "agent-node-1", "agent-node-2"}
    assert one.run("status").out.count("Ready, agent running") == 2


def test_agent_killed_while_it_tries_a_container_leaves_no_trial(one: Box) -> None:
    with doom(one, "agent", r"Popen .*'run'", KILL):
        one.run("up", ok=False)
    one.run("up")
    node = one.where.node_run("node-1")
    assert not list(node.glob("probe*"))
    one.run("down", "--delete-data")
    is_gone(one)


POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-0}
spec:
  terminationGracePeriodSeconds: 5
  initContainers: [{name: prepare, image: busybox, command: ["true"]}]
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "echo begin >> /data/log; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    ports: [{containerPort: 80, hostPort: 8080}]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo post >> /data/log"]}}
      preStop: {exec: {command: [sh, -c, "echo pre >> /data/log"]}}
    volumeMounts: [{name: data, mountPath: /data}, {name: memory, mountPath: /memory}]
  volumes: [{name: data, hostPath: {path: DATA}}, {name: memory, emptyDir: {medium: Memory}}]
"""


FATES = (
    ("Popen .*conmon", "Popen .*'delete'"),
    ("libc.mount .*overlay", "rmdir .*/pods/"),
)
"""Where agents end: while a pod starts, and while it ends."""


def found_pods(cluster: Box) -> list[Any]:
    listed: Any = cluster.json("pods")
    return list(listed["items"])


def agent(cluster: Box) -> list[process.Process]:
    return [found for name, found in cluster.pids().items() if name.startswith("agent")]


def doomed_agent(cluster: Box, at: str, armed: Path) -> None:
    """Have another agent, which ends at that step from when the file `armed` exists."""
    process.stop(agent(cluster))
    with doom(cluster, "agent", at, KILL, str(armed)):
        cluster.run("up")


def left_on_node(cluster: Box) -> list[str]:
    """What is there of pods and containers, on a node that has none."""
    run, kept = cluster.where.node_run("node-1"), cluster.where.node_state("node-1")
    found = [str(p) for d in ("c", "p", "s", "state") for p in (run / d).glob("*")]
    found += [str(p) for p in (kept / "pods").iterdir()]
    groups = cgroup.directories(f"/petset/{cluster.name}/node-1")
    found += [str(p) for group in groups for p in group.iterdir() if p.is_dir()]
    mounts = kernel.mounts_below(run) + kernel.mounts_below(kept)
    return found + [p for p in mounts if not p.endswith("/node-1/net")]


def living(cluster: Box) -> list[str]:
    pods = cluster.where.node_state("node-1") / "pods"
    kept = [each for pod in pods.iterdir() for each in record.load(pod)]
    return [each.run.name for each in kept if each.is_alive()]


def test_agent_killed_anywhere_while_a_pod_starts_and_ends(one: Box, tmp_path: Path) -> None:
    data, armed = tmp_path / "data", tmp_path / "armed"
    data.mkdir()
    (tmp_path / "pod.yaml").write_text(POD.replace("DATA", str(data)))
    one.run("up")
    for in_start, in_end in FATES:
        doomed_agent(one, in_start, armed)
        armed.touch()
        one.run("apply", "-f", str(tmp_path / "pod.yaml"))
        ready = lambda: any(is_ready(p) for p in found_pods(one))  # noqa: E731 (asked twice)
        eventually(lambda r=ready: not agent(one) or r(), "started, or dead")  # type: ignore[misc]
        armed.unlink()
        assert not agent(one), in_start
        doomed_agent(one, in_end, armed)
        eventually(ready, "Ready", 90)
        assert living(one) == ["main"]
        armed.touch()
        one.run("delete", "pod", "web-0", "--wait=false")
        eventually(lambda: not agent(one) or not found_pods(one), "ended, or dead")
        armed.unlink()
        assert not agent(one), in_end
        one.run("up")
        eventually(lambda: not found_pods(one), "gone", 90)
        eventually(lambda: not left_on_node(one), f"nothing is left: {left_on_node(one)}", 10)
    assert (data / "log").read_text().split()[-1] == "pre"
    one.run("down", "--delete-data")
    is_gone(one)
