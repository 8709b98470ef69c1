"""What plugins see: pods, nodes and the cluster as frozen values, and the shape of a plugin.

A filter's `prepare(pod, world)` looks at the cluster once and answers a `Check` that is asked of
each node, a `Refusal` when no node can do, or None when the filter has nothing to say about the
pod. A score's `score(pod, world, nodes)` answers 0..100 per feasible node, or None for the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from petset.api.meta import Obj
from petset.api.selectors import NOTHING, LabelSelector

Amounts = Mapping[str, int]
"""Resource name -> amount: cpu in thousandths, everything else in whole units, rounded up."""

Port = tuple[str, str, int]
"""A host port: address ("0.0.0.0" for any), protocol, number."""


@dataclass(frozen=True, slots=True)
class Term:
    """One pod (anti)affinity term, its selector already joined with the keys to match.

    It means pods of the `namespaces` named and of those that `namespace_selector` selects.
    `weight` is 0 for required terms.
    """

    topology_key: str
    selector: LabelSelector
    namespaces: frozenset[str]
    namespace_selector: LabelSelector = NOTHING
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """The pod affinity and anti-affinity terms of a pod, required and preferred."""

    affinity: tuple[Term, ...] = ()
    anti_affinity: tuple[Term, ...] = ()
    preferred: tuple[Term, ...] = ()
    anti_preferred: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.affinity or self.anti_affinity or self.preferred or self.anti_preferred)


@dataclass(frozen=True, slots=True)
class PodInfo:
    """A pod with what plugins ask of it worked out once.

    Attributes:
        requests: what it takes from a node's allocatable.
        usage: cpu and memory as scoring counts them: containers without requests get small ones.
        claims: keys (`namespace/name`) of the claims that it uses.
        owner_uid: uid of its controller, "" when it has none.
    """

    pod: Obj
    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    requests: Amounts
    usage: Amounts
    ports: tuple[Port, ...]
    terms: Terms
    claims: tuple[str, ...]
    owner_uid: str

    @property
    def spec(self) -> Obj:
        """The pod's spec."""
        return self.pod.get("spec") or {}


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node with the pods that are, or are about to be, on it.

    Attributes:
        picky: those of its pods that have affinity terms of their own.
        owned: how many of its pods, those being deleted not counted, a controller has, by its uid.
    """

    node: Obj
    name: str
    labels: Mapping[str, str]
    allocatable: Amounts
    pods: tuple[PodInfo, ...]
    requested: Amounts
    usage: Amounts
    picky: tuple[PodInfo, ...] = ()
    owned: Mapping[str, int] = field(default_factory=dict)

    @property
    def taints(self) -> Sequence[Obj]:
        """spec.taints."""
        return (self.node.get("spec") or {}).get("taints") or ()


@dataclass(frozen=True, slots=True)
class World:
    """The cluster as the scheduler sees it at one moment.

    Attributes:
        nodes: every node, in name order.
        claims: PersistentVolumeClaims by `namespace/name`.
        volumes: PersistentVolumes by name.
        classes: StorageClasses by name.
        namespaces: labels of each namespace.
        claim_users: uids of the live pods on nodes that use a claim.
        reserved: volumes promised to a claim that do not say so yet: volume name -> claim key.
    """

    nodes: tuple[NodeInfo, ...]
    claims: Mapping[str, Obj] = field(default_factory=dict)
    volumes: Mapping[str, Obj] = field(default_factory=dict)
    classes: Mapping[str, Obj] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    claim_users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    reserved: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """No node can take the pod, whatever the node: the reason in upstream's words."""

    message: str


Check = Callable[[NodeInfo], Sequence[str]]
"""Why a node cannot take the pod, in upstream's words; empty when it can."""

Prepare = Callable[[PodInfo, World], "Check | Refusal | None"]
Scores = Mapping[str, float]
Score = Callable[[PodInfo, World, Sequence[NodeInfo]], "Scores | None"]


def scaled(raw: Mapping[str, float], *, reverse: bool = False) -> Scores:
    """`raw` brought to 0..100 by its highest value; `reverse` makes the lowest the best."""
    top = max(raw.values(), default=0.0)
    if top <= 0:
        return dict.fromkeys(raw, 100.0 if reverse else 0.0)
    if reverse:
        return {name: 100.0 - 100.0 * value / top for name, value in raw.items()}
    return {name: 100.0 * value / top for name, value in raw.items()}
