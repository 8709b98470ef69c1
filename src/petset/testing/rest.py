"""What has to hold in a world that has settled.

Status counters, revisions, owner references, claims and volumes, budgets and endpoints tell the
truth; nothing is half gone; the runtime and the API agree.
"""

from collections.abc import Callable, Iterable, Iterator

from petset.api import meta, selectors
from petset.api.meta import Obj
from petset.controllers.statefulset import identity, storage
from petset.controllers.statefulset.spec import Spec, read
from petset.reconcile import podtemplate
from petset.testing import names, truth
from petset.testing.past import is_healthy
from petset.testing.world import World

SETS, CLAIMS, VOLUMES = "statefulsets.apps", "persistentvolumeclaims", "persistentvolumes"
REVISIONS, BUDGETS = "controllerrevisions.apps", "poddisruptionbudgets.policy"
REPLICASETS = "replicasets.apps"
ENDPOINTS, SLICES = "endpoints", "endpointslices.discovery.k8s.io"
SERVICE_LABEL = "kubernetes.io/service-name"
ONE_NUMBER = "two revisions have one number"
CLUSTER = ("events", "leases.coordination.k8s.io")

Check = Callable[["World"], Iterable[str]]


def faults(world: World) -> list[str]:
    """Everything that is not as it should be in a settled world."""
    return [text for check in CHECKS for text in check(world)]


def unfinished(world: World, found: Obj) -> str:
    """What is missing until a set is as its spec wants it; "" when nothing is."""
    spec, update = read(found), (found.get("status") or {}).get("updateRevision") or ""
    if (found.get("status") or {}).get("observedGeneration") != found["metadata"]["generation"]:
        return f"{spec.name} was not looked at"
    pods = {identity.ordinal_of(p): p for p in pods_of(world, found)}
    if extra := pods.keys() - set(spec.ordinals):
        return f"{spec.name}-{min(extra)} is too many"
    for index, ordinal in enumerate(spec.ordinals):
        pod = pods.get(ordinal)
        if pod is None or not is_healthy(pod):
            return f"{spec.name}-{ordinal} is {'missing' if pod is None else 'not Ready'}"
        stale = identity.revision_of(pod) != identity.short(update)
        rolls = spec.strategy == "RollingUpdate" and not spec.options.paused
        if stale and rolls and index >= spec.partition:
            return f"{spec.name}-{ordinal} has an old revision"
    return ""


def pods_of(world: World, owner: Obj) -> list[Obj]:
    """The pods that an object controls."""
    return [
        pod
        for pod in world.objects("pods", meta.namespace_of(owner))
        if (meta.controller_of(pod) or {}).get("uid") == meta.uid_of(owner)
    ]


def _statuses(world: World) -> Iterator[str]:
    for found in world.objects(SETS):
        spec, status, pods = read(found), found.get("status") or {}, pods_of(world, found)
        ready = [p for p in pods if podtemplate.is_running_and_ready(p)]
        now = world.clock.now()
        truth = {
            "observedGeneration": found["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": sum(
                podtemplate.is_available(p, spec.min_ready_s, now) for p in ready
            ),
            "updatedReplicas": _counted(pods, status.get("updateRevision")),
        }
        current = _counted(pods, status.get("currentRevision"))
        if status.get("currentRevision") != status.get("updateRevision"):
            truth["currentReplicas"] = current
        for field, value in truth.items():
            if (status.get(field) or 0) != value:
                yield f"{spec.name}: status.{field} is {status.get(field)}, truly {value}"
        yield from _completed(spec, status, pods)


def _completed(spec: Spec, status: Obj, pods: list[Obj]) -> Iterator[str]:
    updated = _counted(pods, status.get("updateRevision"))
    whole = updated == len(pods) == spec.replicas and all(map(is_healthy, pods))
    if whole and status.get("currentRevision") != status.get("updateRevision"):
        yield f"{spec.name}: every pod is new, but status.currentRevision is the old one"


def _counted(pods: Iterable[Obj], revision: object) -> int:
    short = identity.short(str(revision or ""))
    return sum(identity.revision_of(p) == short and not meta.is_deleting(p) for p in pods)


def _histories(world: World) -> Iterator[str]:
    for found in world.objects(SETS):
        spec, status = read(found), found.get("status") or {}
        used = {identity.revision_of(p) for p in pods_of(world, found)}
        live = {status.get("currentRevision"), status.get("updateRevision")}
        own = [
            r
            for r in world.objects(REVISIONS, spec.namespace)
            if (meta.controller_of(r) or {}).get("uid") == meta.uid_of(found)
        ]
        idle = [r for r in own if meta.name_of(r) not in live and identity.label_of(r) not in used]
        kept = 1 if spec.options.rollback else 0
        if len(idle) > spec.history_limit + kept:
            yield f"{spec.name}: {len(idle)} old revisions are kept, {spec.history_limit} allowed"
        numbers = [r["revision"] for r in own]
        if len(set(numbers)) != len(numbers):
            yield f"{spec.name}: {ONE_NUMBER}: {sorted(numbers)}"
        newest = max(own, key=lambda r: r["revision"], default=None)
        if newest is not None and meta.name_of(newest) != status.get("updateRevision"):
            yield f"{spec.name}: the newest revision is not the update revision"


def _owners(world: World) -> Iterator[str]:
    every = [_object(world, item.key) for item in world.store.list("").items if _counts(item.key)]
    uids = {meta.uid_of(obj) for obj in every}
    for obj in every:
        if meta.is_deleting(obj):  # it goes already, held by a finalizer such as a claim's pod
            continue
        for owner in meta.owners_of(obj):
            if owner.get("uid") not in uids:
                yield f"{obj.get('kind')} {meta.key_of(obj)} has a lost owner {owner.get('name')}"


def _half_gone(world: World) -> Iterator[str]:
    mounted = {
        (meta.namespace_of(pod), volume["persistentVolumeClaim"]["claimName"])
        for pod in world.objects("pods")
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    held = {c["spec"].get("volumeName") for c in world.objects(CLAIMS)}
    for item in world.store.list("").items:
        obj = _object(world, item.key) if _counts(item.key) else {}
        place = (meta.namespace_of(obj), meta.name_of(obj))
        protected = place in mounted if obj.get("kind") == "PersistentVolumeClaim" else False
        protected |= obj.get("kind") == "PersistentVolume" and place[1] in held
        if meta.is_deleting(obj) and not protected:
            yield f"{item.key} is half gone"


def _claims(world: World) -> Iterator[str]:
    volumes = {meta.name_of(v): v for v in world.objects(VOLUMES)}
    for claim in world.objects(CLAIMS):
        name = claim["spec"].get("volumeName")
        if not name:
            continue
        volume = volumes.get(name)
        holder = ((volume or {}).get("spec") or {}).get("claimRef") or {}
        if holder.get("uid") != meta.uid_of(claim):
            yield f"{meta.key_of(claim)} is bound to {name}, which belongs to {holder.get('name')}"
    for found in world.objects(SETS):
        yield from _policy(world, found)


def _policy(world: World, found: Obj) -> Iterator[str]:
    spec, claims = read(found), {meta.name_of(c): c for c in world.objects(CLAIMS, "default")}
    for pod in pods_of(world, found):
        ordinal = identity.ordinal_of(pod)
        for name in storage.claim_names(spec, ordinal):
            claim = claims.get(name)
            if claim is None and storage.has_storage(spec, pod, ordinal):
                yield f"{meta.name_of(pod)} runs without its claim {name}"
            elif claim is not None and ordinal in spec.ordinals and not meta.is_deleting(claim):
                wanted = storage.owners_wanted(spec, claim, pod, condemned=False)
                if storage.owners_differ(claim, wanted) and is_healthy(pod):
                    yield f"the claim {name} has not the owners that the policy wants"


def _budgets(world: World) -> Iterator[str]:
    for budget in world.objects(BUDGETS):
        matches = selectors.from_object(budget["spec"]["selector"]).matches
        pods = [p for p in world.objects("pods", "default") if matches(meta.labels_of(p))]
        healthy, status = sum(map(is_healthy, pods)), budget.get("status") or {}
        if status.get("currentHealthy") != healthy or status.get("disruptedPods"):
            yield f"budget {meta.name_of(budget)}: {status}, truly {healthy} healthy"


def _endpoints(world: World) -> Iterator[str]:
    for service in world.objects("services", "default"):
        if not truth.selector_of(service):
            continue
        name = meta.name_of(service)
        members = [m for m in truth.from_pods(service, world.objects("pods", "default")) if m.ready]
        ready = sorted(m.address for m in members)
        # the older form leaves out who has none of the ports
        ported = [m for m in members if m.ports or not service["spec"].get("ports")]
        sliced = sorted(
            address
            for s in world.objects(SLICES, "default")
            if meta.labels_of(s).get(SERVICE_LABEL) == name
            for endpoint in s.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
            for address in endpoint["addresses"]
        )
        legacy = sorted(
            address["ip"]
            for subset in (world.get(ENDPOINTS, name) or {}).get("subsets") or ()
            for address in subset.get("addresses") or ()
        )
        if ready != sliced or sorted(m.address for m in ported) != legacy:
            yield f"service {name}: pods {ready}, slices {sliced}, Endpoints {legacy}"


def _running(world: World) -> Iterator[str]:
    pods = {meta.uid_of(p): p for p in world.objects("pods")}
    for (node, uid), happening in world.runtime.live.items():
        pod = pods.get(uid)
        if pod is None or pod["spec"].get("nodeName") != node:
            yield f"{happening.pod} runs on {node}, and the API does not know"
    live = {uid for _, uid in world.runtime.live}
    for uid, pod in pods.items():
        if is_healthy(pod) and uid not in live:
            yield f"{meta.key_of(pod)} is Ready, and nothing of it runs"


def _nodes(world: World) -> Iterator[str]:
    for node in world.objects("nodes"):
        if not meta.is_condition_true(node, "Ready") or node["spec"].get("taints"):
            yield f"{meta.name_of(node)} is not Ready or has taints: {node['spec'].get('taints')}"


def _replicas(world: World) -> Iterator[str]:
    for found in world.objects("deployments.apps"):
        status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
        fields = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
        counts = [status.get(field) or 0 for field in fields]
        if counts != [wanted] * 4:
            yield f"deployment {meta.name_of(found)}: {counts}, wanted {wanted}"
        own = [r for r in world.objects(REPLICASETS) if _belongs(r, found)]
        sizes = sorted(r["spec"].get("replicas", 1) for r in own)
        if sum(sizes) != wanted or sum(map(bool, sizes)) > 1:
            yield f"deployment {meta.name_of(found)}: its sets have the sizes {sizes}"
        if len(own) > 1 + found["spec"].get("revisionHistoryLimit", 10):
            yield f"deployment {meta.name_of(found)}: {len(own)} sets are kept"
    for found in world.objects(REPLICASETS):
        pods = [p for p in pods_of(world, found) if not podtemplate.is_finished(p)]  # those stay
        if len(pods) != found["spec"].get("replicas", 1):
            yield f"{meta.name_of(found)}: {len(pods)} pods"


def _belongs(obj: Obj, owner: Obj) -> bool:
    return (meta.controller_of(obj) or {}).get("uid") == meta.uid_of(owner)


def _counts(key: str) -> bool:
    return key.partition("/")[0] not in CLUSTER


def _object(world: World, key: str) -> Obj:
    resource, namespace, name = key.split("/", 2)
    return world.get(resource, name, namespace) or {}


CHECKS: tuple[Check, ...] = (
    _statuses,
    _histories,
    _owners,
    _half_gone,
    _claims,
    _budgets,
    _endpoints,
    names.faults,
    _running,
    _nodes,
    _replicas,
)
