"""Judges what Deployments and ReplicaSets ask for, by what they could know.

- Sizes of a Deployment's sets never grow beyond replicas + maxSurge in all, and with Recreate no
  set grows while a pod of another one is there.
- A roll-out never takes available pods away so that fewer than replicas - maxUnavailable are left.
- A ReplicaSet makes pods only up to its size, and removes only those beyond it. Those that it was
  told to have made count, whatever its cache shows.
"""

from collections.abc import Callable, Sequence
from itertools import dropwhile

import orjson

from petset.api import meta
from petset.api.meta import Obj
from petset.base.http import Response
from petset.controllers.deployment import annotations
from petset.controllers.deployment.spec import Spec, read
from petset.controllers.replicaset.plan import is_active
from petset.reconcile import podtemplate
from petset.testing.past import Past, pod_key
from petset.testing.wire import Asked

DEPLOYMENTS, SETS = "deployments.apps", "replicasets.apps"

States = list[Obj | None]


class Rollouts:
    """Tells `fault` of each request that goes against the rules.

    Args:
        past: what was true, and since when the controllers may not know.
    """

    def __init__(self, past: Past, fault: Callable[[str], None]) -> None:
        self._past = past
        self._fault = fault
        self._taken: set[str] = set()
        self._known: set[str] = set()

    def heard(self, asked: Asked, answer: Response) -> None:
        """Remember the pods of which the ReplicaSet controller knows that it has made them."""
        if (asked.who, asked.method) == ("replicaset", "POST") and answer.status == 201:
            assert isinstance(answer.body, bytes)
            self._known.add(meta.uid_of(orjson.loads(answer.body)))

    def judge(self, asked: Asked) -> None:
        """Look at a request as it reaches the server."""
        if asked.who not in ("deployment", "replicaset"):
            return
        parts = asked.path.split("/")
        body = orjson.loads(asked.body) if asked.body else {}
        match asked.who, asked.method:
            case "deployment", "POST" if parts[-1] == "replicasets":
                owner = meta.controller_of(body) or {}
                self._sized(parts[-2], owner, (meta.name_of(body), _size(body)))
            case "deployment", "PATCH" if parts[-2] == "replicasets":
                size = (body.get("spec") or {}).get("replicas")
                found = self._past.now(f"{SETS}/{parts[-3]}/{parts[-1]}")
                if size is not None and found is not None:
                    self._sized(parts[-3], meta.controller_of(found) or {}, (parts[-1], size))
            case "replicaset", "POST" if parts[-1] == "pods":
                self._made(parts[-2], meta.controller_of(body) or {})
            case "replicaset", "DELETE" if parts[-2] == "pods":
                self._removed(parts[-3], parts[-1])

    # -- Deployments ------------------------------------------------------------------------------

    def _sized(self, namespace: str, owner: Obj, change: tuple[str, int]) -> None:
        """A set of a deployment is to have another size."""
        since = self._past.since(DEPLOYMENTS, SETS, "pods")
        key = f"{DEPLOYMENTS}/{namespace}/{owner.get('name')}"
        specs = [read(state) for state in self._past.states(key, since) if state is not None]
        if not specs:
            self._fault(f"{namespace}/{change[0]} is sized for a deployment that is gone")
            return
        sets = self._sets(namespace, str(owner.get("uid")), since)
        before = _size(self._past.now(f"{SETS}/{namespace}/{change[0]}"))
        if change[1] > before:
            self._grown(specs, sets, change, since)
        elif change[1] < before and not _scaling(specs, sets):
            self._shrunk(specs, sets, change, before)

    def _sets(self, namespace: str, uid: str, since: float) -> dict[str, States]:
        """The states of a deployment's sets, by name."""
        found: dict[str, States] = {}
        for key in self._past.named(f"{SETS}/{namespace}/"):
            states = list(self._past.states(key, since))
            if any(_is_of(state, uid) for state in states):
                found[key.rpartition("/")[2]] = states
        return found

    def _grown(
        self, specs: Sequence[Spec], sets: dict[str, States], change: tuple[str, int], since: float
    ) -> None:
        name, size = change
        others = {n: states for n, states in sets.items() if n != name}
        total = size + sum(min(map(_size, states)) for states in others.values())
        allowed = max(spec.size_max for spec in specs)
        where = f"{specs[-1].namespace}/{name}"
        if total > allowed:
            self._fault(f"{where} grows to {size}: {total} pods in all, {allowed} are allowed")
        if any(spec.rolling for spec in specs):
            return
        for states in others.values():
            if any(state is None for state in states):
                continue
            for pod in self._pods(specs[-1].namespace, meta.uid_of(states[-1] or {}), since):
                if all(p is not None and not podtemplate.is_finished(p) for p in pod):
                    there = meta.name_of(pod[-1] or {})
                    self._fault(f"{where} grows although {there} is there, with Recreate")
                    return

    def _shrunk(
        self, specs: Sequence[Spec], sets: dict[str, States], change: tuple[str, int], before: int
    ) -> None:
        name, size = change
        if not all(spec.rolling for spec in specs):
            return
        floor = min(spec.min_available for spec in specs)
        others = sum(
            min(max(map(_size, states)), max(map(_available, states)))
            for other, states in sets.items()
            if other != name
        )
        had = [_available(state) for state in sets.get(name, ())]  # any of these may have been seen
        left = [min(size, count) + others for count in had]
        kept = [min(before, count) + others for count in had]
        if had and all(new < min(old, floor) for new, old in zip(left, kept, strict=True)):
            where = f"{specs[-1].namespace}/{name}"
            told = f"{max(left)} available pods are left, {floor} are to be"
            self._fault(f"{where} shrinks from {before} to {size}: {told}")

    # -- ReplicaSets ------------------------------------------------------------------------------

    def _made(self, namespace: str, owner: Obj) -> None:
        since = self._past.since(SETS, "pods")
        states = list(self._past.states(f"{SETS}/{namespace}/{owner.get('name')}", since))
        size = max(0 if s is None or meta.is_deleting(s) else _size(s) for s in states)
        pods = self._pods(namespace, str(owner.get("uid")), since)
        present = sum(map(self._is_surely_there, pods))
        if present >= size:
            name = f"{namespace}/{owner.get('name')}"
            self._fault(f"{name} makes a pod, has {present} and wants {size}")

    def _is_surely_there(self, states: States) -> bool:
        """Whether a pod is there at whatever moment the controller may take for the present."""
        if any(state is not None and meta.uid_of(state) in self._known for state in states):
            states = list(dropwhile(lambda state: state is None, states))
        return all(state is not None and is_active(state) for state in states)

    def _removed(self, namespace: str, name: str) -> None:
        since = self._past.since(SETS, "pods")
        pod = self._past.now(pod_key(namespace, name)) or {}
        owner = meta.controller_of(pod) or {}
        self._taken.add(meta.uid_of(pod))
        states = list(self._past.states(f"{SETS}/{namespace}/{owner.get('name')}", since))
        size = min(map(_size, states))
        left = sum(
            any(p is not None and is_active(p) and meta.uid_of(p) not in self._taken for p in pod)
            for pod in self._pods(namespace, str(owner.get("uid")), since)
        )
        if pod and left < size:
            self._fault(f"{namespace}/{name} is removed, {left} are left of {size}")

    def _pods(self, namespace: str, uid: str, since: float) -> list[States]:
        """The states of pods that a set controls."""
        every = (
            list(self._past.states(key, since)) for key in self._past.named(pod_key(namespace, ""))
        )
        return [states for states in every if any(_is_of(state, uid) for state in states)]


def _scaling(specs: Sequence[Spec], sets: dict[str, States]) -> bool:
    """Whether the number of replicas has changed, which goes before the roll-out."""
    wanted = {spec.replicas for spec in specs}
    marks = {
        annotations.number(meta.annotations_of(state), annotations.DESIRED)
        for states in sets.values()
        for state in states
        if state is not None and _size(state)
    }
    return len(wanted | (marks - {None})) > 1 or any(spec.paused for spec in specs)


def _is_of(obj: Obj | None, uid: str) -> bool:
    return obj is not None and (meta.controller_of(obj) or {}).get("uid") == uid


def _size(found: Obj | None) -> int:
    return 0 if found is None else int(found["spec"].get("replicas", 1))


def _available(found: Obj | None) -> int:
    return int(((found or {}).get("status") or {}).get("availableReplicas") or 0)
