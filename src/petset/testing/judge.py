"""Judges each request of the controllers when it is made, by what they could know.

- StatefulSets: pods are made in order, each when all lower ones are Ready; taken down from the top,
  one at a time; a Ready pod is rolled only for another template, at or above the partition, within
  the budget, not while paused, not with OnDelete.
- Claims are deleted by the garbage collector only, and only where a retention policy says so.
- Volumes are deleted only when their claim is gone; a claim never gets another volume, and a volume
  in use never another claim.
- Pods are forced away only from nodes that are gone or out of service, and evicted from tainted
  ones; the garbage collector takes only those whose set is gone or does not ask for order.
- Evictions leave as many healthy pods as the budget wants.
- Deployments and ReplicaSets: see `rollouts`. Services: see `names`.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import orjson

from petset.api import meta
from petset.api.apps.v1 import setoptions
from petset.api.meta import Obj
from petset.base.http import Response
from petset.controllers.nodelife import taints
from petset.controllers.statefulset import identity, storage
from petset.controllers.statefulset.spec import Spec, read
from petset.reconcile import podtemplate
from petset.store.types import Event
from petset.testing.breakable import BreakableWorld
from petset.testing.namejudge import NameJudge
from petset.testing.names import Names
from petset.testing.past import Past, is_healthy, pod_key
from petset.testing.rollouts import Rollouts
from petset.testing.wire import Asked

SETS, BUDGETS = "statefulsets.apps", "poddisruptionbudgets.policy"
CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"

DEFAULT_TOLERATIONS = tuple(
    {
        "key": f"node.kubernetes.io/{what}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for what in ("not-ready", "unreachable")
)
"""What admission gives to pods."""

_BINDINGS = {CLAIMS: ("spec", "volumeName"), VOLUMES: ("spec", "claimRef", "uid")}
"""What a claim or volume is bound to."""


class Judge:
    """Notes in `faults` what goes against the rules.

    Attributes:
        names: judges DNS and Service rules of the nodes that it is told of.
    """

    def __init__(self, world: BreakableWorld, faults: list[str]) -> None:
        self._world = world
        self._past = Past(world)
        self._faults = faults
        self._evictions: set[str] = set()
        self._own: set[str] = set()
        self._ended: set[str] = set()
        self.names = NameJudge(world, self._past, self._fault)
        rollouts = Rollouts(self._past, self._fault)
        world.asked.append(rollouts.judge)
        world.heard.append(rollouts.heard)
        world.asked.append(Names(self._past, self._fault).judge)
        world.asked.append(self._on_asked)
        world.heard.append(self._on_heard)
        world.listeners.append(self._on_events)

    def _fault(self, text: str) -> None:
        self._faults.append(f"{asyncio.get_running_loop().time():.3f} {text}")

    def _on_asked(self, asked: Asked) -> None:
        parts = asked.path.split("/")
        rule = self._rule(asked, parts)
        if rule is not None:
            rule(asked, parts)

    def _on_heard(self, asked: Asked, answer: Response) -> None:
        """Remember the pods of which the StatefulSet controller knows that it has ended them."""
        if (asked.who, asked.method) == ("statefulset", "DELETE") and answer.status == 200:
            options = orjson.loads(asked.body) if asked.body else {}
            self._ended.add((options.get("preconditions") or {}).get("uid") or "")

    def _on_events(self, events: Sequence[Event]) -> None:
        """Claims and volumes are bound once and for all."""
        for event in events:
            path = _BINDINGS.get(event.key.partition("/")[0])
            if path is None or event.previous is None:
                continue
            before, after = (_at(orjson.loads(v), path) for v in (event.previous, event.value))
            if before and after and before != after:
                self._fault(f"{event.key} was bound to {before} and is bound to {after}")

    def _rule(
        self, asked: Asked, parts: Sequence[str]
    ) -> Callable[[Asked, Sequence[str]], None] | None:
        if asked.method == "POST" and asked.who == "statefulset" and parts[-1] == "pods":
            return self._made
        if asked.method != "DELETE" or asked.who in ("kubernetes-admin", "scheduler"):
            return None
        if parts[-2] == "pods":
            return {
                "statefulset": self._taken_down,
                "nodelife": self._forced,
                "garbage": self._collected,
            }.get(asked.who)
        return {CLAIMS: self._claim_deleted, VOLUMES: self._volume_deleted}.get(parts[-2])

    # -- StatefulSets: making ---------------------------------------------------------------------

    def _made(self, asked: Asked, parts: Sequence[str]) -> None:
        pod = orjson.loads(asked.body)
        owner = meta.controller_of(pod) or {}
        namespace, name = parts[-2], meta.name_of(pod)
        key = f"{SETS}/{namespace}/{owner.get('name')}"
        since = self._past.since("pods", SETS)
        reasons = [
            self._not_to_be_made(found, name, since) if found is not None else "its set is gone"
            for found in self._past.states(key, since)
        ]
        if all(reasons):
            self._fault(f"{namespace}/{name} was made although {reasons[-1]}")

    def _not_to_be_made(self, found: Obj, name: str, since: float) -> str:
        """Why a pod is not to be made for a set as it was; "" when it is."""
        spec, ordinal = read(found), identity.parse(name)[1]
        if meta.is_deleting(found):
            return "its set is being deleted"
        if ordinal not in spec.ordinals:
            return "the set does not want its ordinal"
        if not spec.ordered:
            return ""
        for lower in (o for o in spec.ordinals if o < ordinal):
            other = identity.pod_name(spec.name, lower)
            states = list(self._not_ended(pod_key(spec.namespace, other), since))
            uid = meta.uid_of(found)
            if not any(self._is_well(spec, s, uid) or _orphan(s) for s in states):
                return f"{other} is not Ready"
        return ""

    # -- StatefulSets: taking down ----------------------------------------------------------------

    def _taken_down(self, asked: Asked, parts: Sequence[str]) -> None:
        namespace, name = parts[-3], parts[-1]
        options = orjson.loads(asked.body) if asked.body else {}
        if options.get("gracePeriodSeconds") is not None:
            self._fault(f"{namespace}/{name} is denied its own grace period")
        uid = (options.get("preconditions") or {}).get("uid") or ""
        since = self._past.since("pods", SETS)
        states = [
            state
            for state in self._past.states(pod_key(namespace, name), since)
            if state is not None and meta.uid_of(state) == uid
        ]
        self._own.add(uid)
        if not uid or any(map(podtemplate.is_finished, states)) or not states:
            return
        key = f"{SETS}/{namespace}/{(meta.controller_of(states[-1]) or {}).get('name')}"
        reasons = [
            self._not_to_go(found, states, since) if found is not None else "its set is gone"
            for found in self._past.states(key, since)
        ]
        if all(reasons):
            self._fault(f"{namespace}/{name} is taken down although {reasons[-1]}")

    def _not_to_go(self, found: Obj, states: Sequence[Obj], since: float) -> str:
        """Why a pod is not to be taken down for a set as it was; "" when it is."""
        spec, name = read(found), meta.name_of(states[-1])
        ordinal = identity.parse(name)[1]
        if meta.is_deleting(found):
            if setoptions.FINALIZER not in (found["metadata"].get("finalizers") or ()):
                return "the set is being deleted, which is the garbage collector's"
            return self._something_above(spec, ordinal, since, beyond=False)
        if ordinal in spec.ordinals:
            return self._not_to_be_rolled(spec, ordinal, states, since)
        if not spec.ordered:
            return ""
        for other in spec.ordinals:
            key = pod_key(spec.namespace, identity.pod_name(spec.name, other))
            if not any(self._is_well(spec, s) for s in self._not_ended(key, since)):
                return f"{identity.pod_name(spec.name, other)} is not Ready"
        return self._something_above(spec, ordinal, since, beyond=True)

    def _something_above(self, spec: Spec, ordinal: int, since: float, *, beyond: bool) -> str:
        """Whether a higher pod is there all the time (`beyond`: one out of range)."""
        for key in self._past.named(pod_key(spec.namespace, f"{spec.name}-")):
            parent, above = identity.parse(key.rpartition("/")[2])
            if parent != spec.name or above <= ordinal or (beyond and above in spec.ordinals):
                continue
            uid = meta.uid_of(spec.obj)
            states = list(self._past.states(key, since))
            if all(
                s is not None and (meta.controller_of(s) or {}).get("uid") == uid for s in states
            ):
                return f"{spec.name}-{above} is there"
        return ""

    def _not_to_be_rolled(
        self, spec: Spec, ordinal: int, states: Sequence[Obj], since: float
    ) -> str:
        if spec.strategy != "RollingUpdate":
            return "the set is rolled by hand"
        if spec.options.paused:
            return "the set is paused"
        if _same_template(spec, states[-1]) and storage.has_storage(spec, states[-1], ordinal):
            return "it has the wanted template"
        if not all(map(is_healthy, states)) or not self._has_been_available(
            spec, states[-1], since
        ):
            return ""
        index = list(spec.ordinals).index(ordinal)
        if index < spec.partition:
            return "it is Ready and below the partition"
        if first := self._rolls_before(spec, index, since):
            return f"{first} is to be rolled first"
        down = 0
        for other in (o for o in spec.ordinals if o != ordinal):
            well = self._was_well(spec, other, since)
            if spec.ordered and not well:
                return f"{identity.pod_name(spec.name, other)} is not Ready"
            down += not (well and self._is_kept(spec, other))
        budget = _budget(spec)
        return f"{down} others are down, the budget is {budget}" if down >= budget else ""

    def _rolls_before(self, spec: Spec, index: int, since: float) -> str:
        """A pod above that is well and has an old template all the time: "" for none."""
        if not spec.ordered or spec.options.primary is not None:
            return ""
        for ordinal in list(spec.ordinals)[max(index, spec.partition - 1) + 1 :]:
            name = identity.pod_name(spec.name, ordinal)
            states = self._past.states(pod_key(spec.namespace, name), since)
            if all(is_healthy(s) and not _same_template(spec, s or {}) for s in states):
                return name
        return ""

    def _not_ended(self, key: str, since: float) -> Iterator[Obj | None]:
        """The states of a pod, but for one that the controller knows that it has ended itself."""
        for state in self._past.states(key, since):
            if state is None or meta.uid_of(state) not in self._ended:
                yield state

    def _was_well(self, spec: Spec, ordinal: int, since: float) -> bool:
        key = pod_key(spec.namespace, identity.pod_name(spec.name, ordinal))
        return any(self._is_well(spec, state) for state in self._past.states(key, since))

    def _is_well(self, spec: Spec, pod: Obj | None, uid: str = "") -> bool:
        """Whether it is healthy, and Ready for long enough; of the set `uid` if one is given."""
        now = self._world.clock.now() + abs(self._world.clock.offset_s)
        return is_healthy(pod, uid) and podtemplate.is_available(pod or {}, spec.min_ready_s, now)

    def _has_been_available(self, spec: Spec, pod: Obj, since: float) -> bool:
        """Whether the pod was Ready for long enough all the time, whatever the clock said."""
        clock, loop = self._world.clock, asyncio.get_running_loop()
        then = clock.now() - abs(clock.offset_s) - (loop.time() - since)
        return not spec.min_ready_s or podtemplate.is_available(pod, spec.min_ready_s, then)

    def _is_kept(self, spec: Spec, ordinal: int) -> bool:
        """Whether the controller has not taken that pod down itself just before."""
        key = pod_key(spec.namespace, identity.pod_name(spec.name, ordinal))
        pod = self._past.now(key)
        return pod is None or not (meta.is_deleting(pod) and meta.uid_of(pod) in self._own)

    # -- others -----------------------------------------------------------------------------------

    def _claim_deleted(self, asked: Asked, parts: Sequence[str]) -> None:
        namespace, name = parts[-3], parts[-1]
        if asked.who == "namespace":
            return
        if asked.who != "garbage":
            self._fault(f"the claim {namespace}/{name} is deleted by {asked.who}")
            return
        for key in self._past.named(f"{SETS}/{namespace}/"):
            if f"-{key.rpartition('/')[2]}-" not in name:
                continue
            for state in self._past.ever(key):
                policy = state["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
                if "Delete" in policy.values():
                    return
        self._fault(f"the claim {namespace}/{name} is deleted, which no policy wants")

    def _volume_deleted(self, asked: Asked, parts: Sequence[str]) -> None:
        volume = self._world.get(VOLUMES, parts[-1])
        claim = (volume or {}).get("spec", {}).get("claimRef") or {}
        found = self._world.get(CLAIMS, claim.get("name", ""), claim.get("namespace", ""))
        if found is not None and meta.uid_of(found) == claim.get("uid"):
            self._fault(f"the volume {parts[-1]} is deleted while {meta.key_of(found)} has it")

    def _forced(self, asked: Asked, parts: Sequence[str]) -> None:
        options = orjson.loads(asked.body) if asked.body else {}
        forced = options.get("gracePeriodSeconds") == 0
        why = _is_lost if forced else _is_tainted
        since = self._past.since("pods", "nodes")
        for pod in self._past.states(pod_key(parts[-3], parts[-1]), since):
            node = ((pod or {}).get("spec") or {}).get("nodeName")
            if not node or pod is None or podtemplate.is_finished(pod):
                return
            if any(map(why, self._past.states(f"nodes//{node}", since))):
                return
        words = "is forced away" if forced else "is evicted"
        self._fault(f"{parts[-3]}/{parts[-1]} {words} although its node is there")

    def _collected(self, asked: Asked, parts: Sequence[str]) -> None:
        """The garbage collector takes pods of sets that are gone, or go without order."""
        pod = self._past.now(pod_key(parts[-3], parts[-1]))
        owner = meta.controller_of(pod or {}) or {}
        if owner.get("kind") != "StatefulSet":
            return
        key = f"{SETS}/{parts[-3]}/{owner.get('name')}"
        for found in self._past.states(key, self._past.since("pods", SETS)):
            if found is None or meta.uid_of(found) != owner.get("uid"):
                return
            held = setoptions.FINALIZER in (found["metadata"].get("finalizers") or ())
            if meta.is_deleting(found) and not held:
                return
        self._fault(f"{parts[-3]}/{parts[-1]} is collected although its set is there")

    def evicted(self, pod: Obj) -> None:
        """An eviction of `pod`, as it was before, was granted."""
        self._evictions.add(meta.uid_of(pod))
        now = self._past.now(f"pods/{meta.key_of(pod)}")
        mark = {} if now is None else meta.condition_of(now, "DisruptionTarget") or {}
        if now is not None and mark.get("reason") != "EvictionByEvictionAPI":
            return  # somebody else deleted it while the request was under way
        if not is_healthy(pod):
            return
        since = self._past.since("pods", BUDGETS, SETS)
        for budget in self._world.objects(BUDGETS, meta.namespace_of(pod)):
            labels = budget["spec"]["selector"]["matchLabels"].items()
            if labels <= meta.labels_of(pod).items():
                self._weigh(budget, dict(labels), since)

    def _weigh(self, budget: Obj, labels: dict[str, str], since: float) -> None:
        healthy = expected = 0
        for key in self._past.named(pod_key(meta.namespace_of(budget), "")):
            states = [s for s in self._past.states(key, since) if _has(s, labels)]
            healthy += any(
                is_healthy(s) and meta.uid_of(s or {}) not in self._evictions for s in states
            )
            expected += all(s is not None for s in states) and bool(states)
        key = f"{BUDGETS}/{meta.key_of(budget)}"
        specs = [b["spec"] for b in self._past.states(key, since) if b is not None]
        wanted = min(_least(spec, expected, self._smallest(labels, since)) for spec in specs)
        if healthy < wanted:
            self._fault(f"an eviction left {healthy} healthy pods where {wanted} are wanted")

    def _smallest(self, labels: dict[str, str], since: float) -> int:
        """The lowest number of replicas that any set of those pods wanted."""
        found = [
            state["spec"].get("replicas", 1) if state is not None else 0
            for key in self._past.named(f"{SETS}/")
            for state in self._past.states(key, since)
            if state is None or state["spec"]["selector"]["matchLabels"] == labels
        ]
        return min(found, default=0)


def _budget(spec: Spec) -> int:
    """How many pods may be down: a percentage is rounded down, at least one."""
    value = str(spec.max_unavailable)
    number = spec.replicas * int(value[:-1]) // 100 if value.endswith("%") else int(value)
    return max(1, number)


def _at(obj: Obj, path: Sequence[str]) -> object:
    for name in path:
        obj = obj.get(name) or {}
    return obj


def _least(spec: Obj, expected: int, scale: int) -> int:
    """How many healthy pods a budget wants."""
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if most is not None:
        number = -(-scale * int(most[:-1]) // 100) if isinstance(most, str) else most
        return int(max(0, scale - number))
    if isinstance(least, str):
        return -(-scale * int(least[:-1]) // 100)
    return int(least if least is not None else 1)


def _has(pod: Obj | None, labels: dict[str, str]) -> bool:
    return pod is not None and labels.items() <= meta.labels_of(pod).items()


def _orphan(pod: Obj | None) -> bool:
    """A pod that a set may adopt: its readiness counts as soon as it has."""
    return pod is not None and meta.controller_of(pod) is None and is_healthy(pod)


def _is_lost(node: Obj | None) -> bool:
    return node is None or any(t.get("key") == taints.OUT_OF_SERVICE for t in taints.of(node))


def _is_tainted(node: Obj | None) -> bool:
    return node is None or any(t.get("effect") == taints.NO_EXECUTE for t in taints.of(node))


def _same_template(spec: Spec, pod: Obj) -> bool:
    """Whether the pod is what the template says, in what stories draw."""
    template = spec.obj["spec"]["template"]
    return _drawn(template) == _drawn(pod)


def _drawn(template: Obj) -> list[object]:
    """Containers' images and resources, the grace period, where it may run and for how long."""
    spec = template["spec"]
    inside = [(str(c.get("image")), c.get("resources")) for c in spec.get("containers") or ()]
    tolerations = [t for t in spec.get("tolerations") or () if t not in DEFAULT_TOLERATIONS]
    fields = ("terminationGracePeriodSeconds", "topologySpreadConstraints")
    return [*inside, *map(spec.get, fields), tolerations]
