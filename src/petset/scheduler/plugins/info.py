"""From API objects to the values that plugins see: requests, ports, terms, claims."""

from collections.abc import Hashable, Iterable
from functools import lru_cache

import orjson

from petset.api import meta
from petset.api.meta import Obj
from petset.api.podrequests import add, amounts, requests_of
from petset.api.selectors import NOTHING
from petset.scheduler.plugins.labels import joined
from petset.scheduler.plugins.types import HOSTNAME, Amounts, NodeInfo, PodInfo, Port, Term, Terms

SMALL = {"cpu": 100, "memory": 200 * 1024 * 1024}
"""What scoring counts for a container without requests (upstream's figures)."""

TEMPLATES_MAX = 1024
"""Sums of requests remembered: pods of one template have the same."""

HARD = "requiredDuringSchedulingIgnoredDuringExecution"
SOFT = "preferredDuringSchedulingIgnoredDuringExecution"


def pod_info(pod: Obj) -> PodInfo:
    """All that plugins ask of `pod`."""
    spec = pod.get("spec") or {}
    owner = meta.controller_of(pod)
    requests, usage = _taken(_asked(spec))
    return PodInfo(
        pod=pod,
        uid=meta.uid_of(pod),
        namespace=meta.namespace_of(pod),
        name=meta.name_of(pod),
        labels=meta.labels_of(pod),
        requests=requests,
        usage=usage,
        ports=_ports(spec),
        terms=_terms(pod),
        claims=claims_of(pod),
        owner_uid=(owner or {}).get("uid") or "",
    )


def _asked(spec: Obj) -> bytes:
    """All of a spec that `requests_of` looks at, as JSON."""
    told = {
        "containers": [{"resources": c.get("resources")} for c in spec.get("containers") or ()],
        "resources": spec.get("resources"),
        "overhead": spec.get("overhead"),
    }
    if inits := spec.get("initContainers"):
        fields = ("resources", "restartPolicy")
        told["initContainers"] = [{f: c.get(f) for f in fields} for c in inits]
    return orjson.dumps(told)


@lru_cache(maxsize=TEMPLATES_MAX)
def _taken(asked: bytes) -> tuple[Amounts, Amounts]:
    """Requests and usage of a pod; shared by all who ask for the same."""
    spec = orjson.loads(asked)
    return requests_of(spec), requests_of(spec, least=SMALL)


def shape_of(pod: PodInfo) -> Hashable:
    """All of a pod that decides how it fits one node by itself: equal for pods of one template."""
    spec = pod.spec
    told = (
        spec.get("nodeName"),
        spec.get("nodeSelector"),
        (spec.get("affinity") or {}).get("nodeAffinity"),
        spec.get("tolerations"),
    )
    # Amounts are kept out of the JSON: thousandths and sums can need more than 64 bits.
    asked = (tuple(pod.requests.items()), tuple(pod.usage.items()))
    return orjson.dumps(told), asked, pod.ports


def _ports(spec: Obj) -> tuple[Port, ...]:
    containers = [*(spec.get("containers") or ())]
    containers += [c for c in spec.get("initContainers") or () if c.get("restartPolicy")]
    return tuple(
        (p.get("hostIP") or "0.0.0.0", p.get("protocol") or "TCP", p["hostPort"])  # noqa: S104
        for c in containers
        for p in c.get("ports") or ()
        if p.get("hostPort")
    )


def claims_of(pod: Obj) -> tuple[str, ...]:
    """Keys of the claims that a pod uses, those of its ephemeral volumes included."""
    namespace, name = meta.namespace_of(pod), meta.name_of(pod)
    keys = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if source := volume.get("persistentVolumeClaim"):
            keys.append(f"{namespace}/{source.get('claimName', '')}")
        elif volume.get("ephemeral"):
            keys.append(f"{namespace}/{name}-{volume.get('name', '')}")
    return tuple(dict.fromkeys(keys))


def _terms(pod: Obj) -> Terms:
    affinity = (pod.get("spec") or {}).get("affinity") or {}
    near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    return Terms(
        affinity=tuple(_term(t, pod) for t in near.get(HARD) or ()),
        anti_affinity=tuple(_term(t, pod) for t in far.get(HARD) or ()),
        preferred=tuple(_weighted(near.get(SOFT) or (), pod)),
        anti_preferred=tuple(_weighted(far.get(SOFT) or (), pod)),
    )


def _weighted(terms: Iterable[Obj], pod: Obj) -> Iterable[Term]:
    return (_term(t.get("podAffinityTerm") or {}, pod, t.get("weight", 0)) for t in terms)


def _term(raw: Obj, pod: Obj, weight: int = 0) -> Term:
    labels = meta.labels_of(pod)
    names, selector = raw.get("namespaces") or (), raw.get("namespaceSelector")
    if not names and selector is None:
        names = (meta.namespace_of(pod),)
    return Term(
        topology_key=raw.get("topologyKey", ""),
        selector=joined(
            raw.get("labelSelector"),
            labels,
            raw.get("matchLabelKeys") or (),
            raw.get("mismatchLabelKeys") or (),
        ),
        namespaces=frozenset(names),
        namespace_selector=NOTHING if selector is None else joined(selector, {}),
        weight=weight,
    )


def node_info(node: Obj, pods: Iterable[PodInfo]) -> NodeInfo:
    """`node` with the pods that are on it."""
    status = node.get("status") or {}
    empty = NodeInfo(
        node=node,
        name=meta.name_of(node),
        labels=meta.labels_of(node),
        allocatable=amounts(status.get("allocatable") or status.get("capacity")),
        pods=(),
        requested={},
        usage={},
        taints=(node.get("spec") or {}).get("taints") or (),
        host=meta.labels_of(node).get(HOSTNAME),
    )
    return with_pods(empty, pods)


def with_pods(node: NodeInfo, more: Iterable[PodInfo]) -> NodeInfo:
    """The node with `more` pods on it."""
    added = tuple(more)
    return _with(node, (*node.pods, *added), added, 1)


def without_pod(node: NodeInfo, uid: str) -> NodeInfo:
    """The node without one of its pods."""
    gone = tuple(pod for pod in node.pods if pod.uid == uid)
    return _with(node, tuple(pod for pod in node.pods if pod.uid != uid), gone, -1)


def _with(
    node: NodeInfo, pods: tuple[PodInfo, ...], changed: Iterable[PodInfo], sign: int
) -> NodeInfo:
    requested, usage, owned = dict(node.requested), dict(node.usage), dict(node.owned)
    for pod in changed:
        add(requested, pod.requests, sign)
        add(usage, pod.usage, sign)
        if pod.owner_uid and not meta.is_deleting(pod.pod):
            owned[pod.owner_uid] = owned.get(pod.owner_uid, 0) + sign
    return (
        NodeInfo(  # in full: `replace` takes several times as long, and this is done for each pod
            node=node.node,
            name=node.name,
            labels=node.labels,
            allocatable=node.allocatable,
            pods=pods,
            requested=requested,
            usage=usage,
            picky=tuple(pod for pod in pods if pod.terms),
            owned={uid: count for uid, count in owned.items() if count > 0},
            taints=node.taints,
            host=node.host,
        )
    )
