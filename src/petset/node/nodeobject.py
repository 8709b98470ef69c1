"""The Node object that an agent keeps. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from petset.api.meta import MutableObj, Obj, format_time
from petset.node.machine import DISK_LOW_SHARE, MEMORY_LOW_BYTES, Machine

PODS_MAX = 110
BEATS = ("lastHeartbeatTime",)


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
        ("MemoryPressure", low_memory, "SufficientMemory", "sufficient memory available"),
        ("DiskPressure", low_disk, "NoDiskPressure", "no disk pressure"),
        ("PIDPressure", False, "SufficientPID", "sufficient PID available"),
    ]
    made = []
    for kind, bad, good_reason, good_words in rows:
        bad_reason = {"MemoryPressure": "InsufficientMemory", "DiskPressure": "DiskPressure"}
        reason = f"KubeletHas{bad_reason[kind] if bad else good_reason}"
        words = f"kubelet has {'insufficient memory or disk' if bad else good_words}"
        made.append((kind, bad, reason, words))
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


def without_beats(status_: Obj) -> MutableObj:
    """A status without what changes with every beat, to tell whether it really changed."""
    conditions = [
        {k: v for k, v in c.items() if k not in BEATS} for c in status_.get("conditions") or ()
    ]
    return {**status_, "conditions": conditions}
