"""What happened to workloads, one line for each change that a user could see.

Names that are drawn (hashes of revisions and templates, the ends of pods' names, uids) are replaced
by numbers in order of appearance, so that a trace tells of behaviour only. Heartbeats, leases and
nodes are left out, and so are the fields of pods that only their node cares for.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from petset.api import meta
from petset.api.meta import Obj
from petset.store.types import Event

PAUSE_S = 1.0
"""A shorter pause between two changes is not told."""

AGAIN = " (again)"
"""Behind an event that was there before; a warning that comes again and again is told once."""

TEXT_MAX = 160
"""So much is told of the message of an event."""

_SET_COUNTS = {
    "observedGeneration": "observed",
    "replicas": "replicas",
    "readyReplicas": "ready",
    "availableReplicas": "available",
    "unavailableReplicas": "unavailable",
    "currentReplicas": "current",
    "updatedReplicas": "updated",
    "fullyLabeledReplicas": "labeled",
    "currentRevision": "currentRevision",
    "updateRevision": "updateRevision",
    "collisionCount": "collisions",
}
_TOLD_OF = ("StatefulSet", "Deployment", "ReplicaSet", "Pod", "PersistentVolumeClaim")
_NOISE = ("Scheduled", "Provisioning", "WaitForFirstConsumer", "TaintManagerEviction")
_DEPLOYMENT = "deployment.kubernetes.io/"
_UNBORN = re.compile(r'pods "([\w.@-]+)-[a-z0-9]{5}"')
"""The name that a pod was to get."""

Facts = dict[str, Any]


class Trace:
    """The lines of one story.

    Args:
        now: seconds of the world's clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.lines: list[str] = []
        self._now = now
        self._last: float = now()
        self._said = ""
        self._names: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    def step(self, text: str) -> None:
        """Something that a user does, or that breaks."""
        self.lines.append(f"> {text}")
        self._said = ""
        self._last = self._now()

    def hear(self, events: Sequence[Event]) -> None:
        """Note the changes of the store that count."""
        for event in events:
            for line in map(self.plain, self._lines(event)):
                if line.startswith(("Normal", "Warning")):
                    if line.removesuffix(AGAIN) == self._said and not line.startswith("Normal"):
                        continue
                    self._said = line.removesuffix(AGAIN)
                self._pause()
                self.lines.append(f"  {line}")

    def plain(self, text: str) -> str:
        """The text with drawn names replaced; longer ones first, as one may begin another."""
        for drawn in sorted(self._names, key=len, reverse=True):
            text = text.replace(drawn, self._names[drawn])
        return _UNBORN.sub(r'pods "\1-?"', text)

    def _pause(self) -> None:
        now = self._now()
        if now - self._last >= PAUSE_S:
            self.lines.append(f"  ... {now - self._last:.0f} s")
        self._last = now

    def _lines(self, event: Event) -> Iterator[str]:
        resource, _, name = event.key.split("/", 2)
        tell = TELLERS.get(resource)
        if tell is None:
            return
        new: Obj = orjson.loads(event.value)
        old: Obj | None = None if event.previous is None else orjson.loads(event.previous)
        if resource == "events":
            yield from _event(new, old)
            return
        if old is None:
            self._learn(new, name)
        what, facts = tell
        before, after = {} if old is None else facts(old), facts(new)
        if event.deleted:
            yield f"{what} {name} gone"
            return
        changed = [f"{k}={v}" for k, v in after.items() if v != before.get(k)]
        changed += [f"{k}=none" for k in before if k not in after]
        if old is None:
            yield " ".join([f"{what} {name} made", *changed])
        elif changed:
            yield " ".join([f"{what} {name}:", *changed])

    def _learn(self, obj: Obj, name: str) -> None:
        """Give a number to what ends in something drawn."""
        controller = meta.controller_of(obj) or {}
        parent = controller.get("name") or ""
        if obj.get("kind") == "PersistentVolumeClaim" or not name.startswith(f"{parent}-"):
            return
        if obj.get("kind") == "Pod" and controller.get("kind") != "ReplicaSet":
            return
        shown = self._names.get(parent, parent)
        self._numbers[parent] = number = self._numbers.get(parent, 0) + 1
        self._names[name] = f"{shown}.{number}" if obj.get("kind") == "Pod" else f"{shown}@{number}"
        for label in ("pod-template-hash", "controller.kubernetes.io/hash"):
            if drawn := meta.labels_of(obj).get(label):
                self._names.setdefault(drawn, f"@{number}")


def _event(new: Obj, old: Obj | None) -> Iterator[str]:
    involved = new.get("involvedObject") or {}
    reason = new.get("reason") or ""
    if involved.get("kind") not in _TOLD_OF or reason.startswith(_NOISE):
        return
    if old is not None and old.get("count") == new.get("count"):
        return
    again = "" if old is None else AGAIN
    message = str(new.get("message")).partition("\n")[0]
    yield f"{new.get('type')} {reason}: {message[:TEXT_MAX]}{again}"


def _pod(pod: Obj) -> Facts:
    status, metadata = pod.get("status") or {}, pod["metadata"]
    found: Facts = {"phase": status.get("phase", "")}
    ready = meta.is_condition_true(pod, "Ready")
    if ready or meta.condition_of(pod, "Ready") is not None:
        found["ready"] = "yes" if ready else "no"
    if "deletionTimestamp" in metadata:
        found["going"] = f"{metadata.get('deletionGracePeriodSeconds', 0)}s"
    revision = meta.labels_of(pod).get("controller-revision-hash")
    found |= {"revision": revision} if revision else {}
    found["owner"] = _owners(pod)
    if target := meta.condition_of(pod, "DisruptionTarget"):
        found["disrupted"] = target.get("reason", "")
    name = meta.labels_of(pod).get("statefulset.kubernetes.io/pod-name")
    if name not in (None, meta.name_of(pod)):
        found["pod-name"] = name
    return found


def _claim(claim: Obj) -> Facts:
    found: Facts = {
        "phase": (claim.get("status") or {}).get("phase", ""),
        "size": claim["spec"]["resources"]["requests"]["storage"],
        "owner": _owners(claim),
    }
    if meta.is_deleting(claim):
        found["going"] = "yes"
    return found


def _revision(revision: Obj) -> Facts:
    found: Facts = {"number": revision.get("revision"), "owner": _owners(revision)}
    return found


def _set(obj: Obj) -> Facts:
    spec, metadata = obj["spec"], obj["metadata"]
    found: Facts = {"replicas": spec.get("replicas")}
    if meta.is_deleting(obj):
        found["going"] = ",".join(metadata.get("finalizers") or ()) or "yes"
    for key, value in meta.annotations_of(obj).items():
        if key.startswith(_DEPLOYMENT):
            found[key.removeprefix(_DEPLOYMENT)] = value
    if obj.get("kind") == "ReplicaSet":
        found["owner"] = _owners(obj)
    status = obj.get("status") or {}
    counts = {_SET_COUNTS[k]: v for k, v in status.items() if k in _SET_COUNTS}
    found |= {f"status.{k}": v for k, v in counts.items()}
    for condition in status.get("conditions") or ():
        found[condition["type"]] = f"{condition['status']}/{condition.get('reason', '')}"
    return found


def _owners(obj: Obj) -> str:
    """Owners by kind and name; what is no controller is told."""
    told = (
        f"{o['kind']}/{o['name']}{'' if o.get('controller') else '(plain)'}"
        for o in meta.owners_of(obj)
    )
    return ",".join(told) or "none"


TELLERS: Mapping[str, tuple[str, Callable[[Obj], Facts]]] = {
    "pods": ("pod", _pod),
    "persistentvolumeclaims": ("claim", _claim),
    "controllerrevisions.apps": ("revision", _revision),
    "statefulsets.apps": ("set", _set),
    "replicasets.apps": ("replicaset", _set),
    "deployments.apps": ("deployment", _set),
    "events": ("event", _set),
}
