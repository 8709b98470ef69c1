"""The Node object that an agent keeps. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from petset.api.meta import MutableObj, Obj, format_time
from petset.node.machine import DISK_LOW_SHARE, MEMORY_LOW_BYTES, Machine

PODS_MAX = 110
BEATS = ("lastHeartbeatTime",)
_HAS = "KubeletHas"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is told of a node beside its machine.

    Attributes:
        port: of the agent's own endpoint; 0 for none.
        problem: why the node is not ready, "" when it is.
    """

    name: str
    address: str
    pod_cidr: str
    runtime: str
    version: str
    port: int = 0
    problem: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=dict)


def labels(facts: NodeFacts, machine: Machine) -> dict[str, str]:
    """The labels that the agent sees to."""
    return {
        "beta.kubernetes.io/arch": machine.info["architecture"],
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.info["architecture"],
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
        **facts.labels,
    }


def capacity(facts: NodeFacts, machine: Machine) -> dict[str, str]:
    """What the node offers."""
    return {
        "cpu": str(machine.cpus),
        "ephemeral-storage": f"{machine.disk // 1024}Ki",
        "memory": f"{machine.memory // 1024}Ki",
        "pods": str(PODS_MAX),
        **facts.capacity,
    }


def make(facts: NodeFacts, machine: Machine, now: float) -> MutableObj:
    """A new Node, status included."""
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": facts.name, "labels": labels(facts, machine)},
        "spec": {"podCIDR": facts.pod_cidr, "podCIDRs": [facts.pod_cidr]},
        "status": status(facts, machine, {}, now),
    }


def status(facts: NodeFacts, machine: Machine, old: Obj, now: float) -> MutableObj:
    """The Node's status; `old` gives the times at which conditions changed."""
    offered = capacity(facts, machine)
    made: MutableObj = {
        "capacity": offered,
        "allocatable": offered,
        "conditions": _conditions(facts, machine, old, now),
        "addresses": [
            {"type": "InternalIP", "address": facts.address},
            {"type": "Hostname", "address": facts.name},
        ],
        "nodeInfo": {
            **machine.info,
            "containerRuntimeVersion": facts.runtime,
            "kubeletVersion": facts.version,
            "kubeProxyVersion": facts.version,
        },
    }
    if facts.port:
        made["daemonEndpoints"] = {"kubeletEndpoint": {"Port": facts.port}}
    return made


def _conditions(facts: NodeFacts, machine: Machine, old: Obj, now: float) -> list[MutableObj]:
    low_memory = machine.memory_free < MEMORY_LOW_BYTES
    low_disk = machine.disk_free < machine.disk * DISK_LOW_SHARE
    rows = [
        ("MemoryPressure", True, "InsufficientMemory", "insufficient memory available")
        if low_memory
        else ("MemoryPressure", False, "SufficientMemory", "sufficient memory available"),
        ("DiskPressure", True, "DiskPressure", "disk pressure")
        if low_disk
        else ("DiskPressure", False, "NoDiskPressure", "no disk pressure"),
        ("PIDPressure", False, "SufficientPID", "sufficient PID available"),
    ]
    made = [(kind, bad, f"KubeletHas{r}", f"kubelet has {words}") for kind, bad, r, words in rows]
    ready = not facts.problem
    words = facts.problem or "kubelet is posting ready status"
    made.append(("Ready", ready, "KubeletReady" if ready else "KubeletNotReady", words))
    known = {c.get("type"): c for c in old.get("conditions") or ()}
    return [_condition(row, known.get(row[0]), now) for row in made] + [
        dict(c) for kind, c in known.items() if kind not in {row[0] for row in made}
    ]


def _condition(row: tuple[str, bool, str, str], old: Obj | None, now: float) -> MutableObj:
    kind, value, reason, message = row
    text = "True" if value else "False"
    same = old is not None and old.get("status") == text
    since = old.get("lastTransitionTime") if old is not None and same else None
    return {
        "type": kind,
        "status": text,
        "lastHeartbeatTime": format_time(now),
        "lastTransitionTime": since or format_time(now),
        "reason": reason,
        "message": message,
    }


def news(old: Obj, new: Obj) -> list[str]:
    """Reasons of the events for the conditions whose status is another one than before."""
    before = {c.get("type"): c.get("status") for c in old.get("conditions") or ()}
    found = []
    for condition in new["conditions"]:
        kind, status_ = condition["type"], condition["status"]
        if before.get(kind) == status_:
            continue
        if kind == "Ready":
            found.append("NodeReady" if status_ == "True" else "NodeNotReady")
        elif condition["reason"].startswith(_HAS):
            found.append("NodeHas" + condition["reason"].removeprefix(_HAS))
    return found


def rebooted(old: Obj, new: Obj) -> str:
    """The id of the machine's new boot, "" when it is the one of before or nothing was known."""
    before = (old.get("nodeInfo") or {}).get("bootID")
    now: str = new["nodeInfo"].get("bootID") or ""
    return now if before and before != now else ""


def without_beats(status_: Obj) -> MutableObj:
    """A status without what changes with every beat, to tell whether it really changed."""
    conditions = [
        {k: v for k, v in c.items() if k not in BEATS} for c in status_.get("conditions") or ()
    ]
    return {**status_, "conditions": conditions}
