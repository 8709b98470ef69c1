"""The agent's own record of a pod: its object as last seen, when it came, how it was judged.

Kept beside the runtime's records, so that the next agent knows what to do with what it finds, with
or without the API.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from petset.api.meta import Obj, version_of
from petset.node import status
from petset.node.seen import Verdict

FILE = "pod.json"


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A pod that this node has taken. `start_time` in seconds since the epoch."""

    pod: Obj
    start_time: float
    verdict: Verdict | None = None


def lasting(pod: Obj) -> tuple[object, object]:
    """What of a pod's object a later agent must know."""
    metadata = dict(pod.get("metadata") or {})
    for key in ("resourceVersion", "managedFields"):
        metadata.pop(key, None)
    return metadata, pod.get("spec")


def is_newer(new: Obj, old: Obj) -> bool:
    """Whether `new` is the later state of a pod.

    Versions of this server are numbers; where they are not, the last one told wins.
    """
    left, right = version_of(new), version_of(old)
    if left.isdigit() and right.isdigit():
        return int(left) > int(right)
    return True


def end_of(pod: Obj) -> Verdict | None:
    """The end that the API tells of a pod, maybe by another hand than its node's; None: it goes on.

    Such a phase is final (kubelet ends what still runs of the pod).
    """
    told = pod.get("status") or {}
    if told.get("phase") not in status.ENDED:
        return None
    return Verdict(told.get("reason") or "", told.get("message") or "")


def save(pod_dir: Path, record: PodRecord) -> None:
    """Write the record; readers see the old or the new one."""
    pod_dir.mkdir(parents=True, exist_ok=True)
    verdict = record.verdict
    raw = {
        "pod": record.pod,
        "start_time": record.start_time,
        "verdict": [verdict.reason, verdict.message] if verdict else None,
    }
    fresh = pod_dir / f"{FILE}.new"
    fresh.write_text(json.dumps(raw))
    fresh.replace(pod_dir / FILE)


def load(pod_dir: Path) -> PodRecord | None:
    """The record; None when there is none, or a broken one (power cut)."""
    try:
        raw = json.loads((pod_dir / FILE).read_bytes())
        verdict = Verdict(*raw["verdict"]) if raw["verdict"] else None
        return PodRecord(raw["pod"], float(raw["start_time"]), verdict)
    except (FileNotFoundError, ValueError, KeyError):
        return None
