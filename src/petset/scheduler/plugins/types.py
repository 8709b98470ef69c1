"""What plugins see: pods, nodes and the cluster as frozen values, and the shape of a plugin.

A filter's `prepare(pod, world)` looks at the cluster once and answers a `Check` that is asked of
each node, a `Refusal` when no node can do, or None when the filter has nothing to say about the
pod. A score's `score(pod, world, nodes)` answers 0..100 for each node, or None where all are alike.
"""

import itertools
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from petset.api.meta import Obj
from petset.api.selectors import NOTHING, LabelSelector

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
SPREAD_KEYS = (HOSTNAME, ZONE)
"""The labels over which the pods of a controller are spread if they do not say."""

NOTES_MAX = 64
"""Notes that a node has at most."""

KINDS_MAX = 256
"""Kinds of pods of which equally good nodes are remembered at most."""

MET_MAX = 256
"""Groups of terms of which the places of the pods that they mean are kept at most."""

CHANGES_MAX = 1024
"""Changes of nodes after which such places are counted anew."""

V = TypeVar("V")

Pair = tuple[str, str]
"""A topology key, and a value that nodes have of it."""

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
        taints: spec.taints.
        host: its hostname label.
        notes: what was found out about this very value, by subject (see `recall`).
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
    taints: Sequence[Obj] = ()
    host: str | None = None
    notes: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def recall(self, subject: Hashable, look: Callable[["NodeInfo"], V]) -> V:
        """What `look` finds of the node; it is asked once for each subject.

        Notes only save work: forgetting them changes no answer. A changed node is another value.
        """
        known: V | None = self.notes.get(subject)
        if known is None:
            if len(self.notes) >= NOTES_MAX:
                self.notes.clear()
            known = self.notes[subject] = look(self)
        return known


Means = Callable[[PodInfo], bool]
"""Whether a pod is meant."""


class Stated:
    """The affinity terms of the pods on nodes: by kind and term, in which places it is stated."""

    def __init__(self) -> None:
        self.affinity: dict[Term, Counter[Pair]] = {}
        self.anti_affinity: dict[Term, Counter[Pair]] = {}
        self.preferred: dict[Term, Counter[Pair]] = {}
        self.anti_preferred: dict[Term, Counter[Pair]] = {}

    def change(self, old: NodeInfo | None, new: NodeInfo | None) -> None:
        """A node came, changed or went."""
        if old is not None and old.picky:
            self._count(old, _missing(old.picky, old, new), -1)
        if new is not None and new.picky:
            self._count(new, _missing(new.picky, new, old), 1)

    def _count(self, info: NodeInfo, pods: Iterable[PodInfo], sign: int) -> None:
        for pod in pods:
            terms = pod.terms
            for stated, kind in (
                (terms.affinity, self.affinity),
                (terms.anti_affinity, self.anti_affinity),
                (terms.preferred, self.preferred),
                (terms.anti_preferred, self.anti_preferred),
            ):
                for term in stated:
                    _tally(kind.setdefault(term, Counter()), (term,), info, sign)
                    if not kind[term]:
                        del kind[term]


class Met:
    """Where the pods are that terms mean: counted once, then brought up to date when asked for."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Term, ...], tuple[int, Counter[Pair]]] = {}
        self._changes: deque[tuple[NodeInfo | None, NodeInfo | None]] = deque(maxlen=CHANGES_MAX)
        self._number = 0

    def change(self, old: NodeInfo | None, new: NodeInfo | None) -> None:
        """A node came, changed or went."""
        if self._kept:
            self._number += 1
            self._changes.append((old, new))

    def places(
        self, terms: tuple[Term, ...], nodes: Iterable[NodeInfo], means: Means
    ) -> Counter[Pair]:
        """The places of the pods on `nodes` that all of the `terms` mean.

        `means` tells that of a pod; it may look at nothing else.
        """
        number, found = self._kept.pop(terms, (-1, Counter()))
        behind = self._number - number
        if number < 0 or behind > len(self._changes):
            found = places_of(terms, nodes, means)
        else:
            for old, new in itertools.islice(reversed(self._changes), behind):
                for info, other, sign in ((old, new, -1), (new, old, 1)):
                    if info is not None:
                        for pod in _missing(info.pods, info, other):
                            if means(pod):
                                _tally(found, terms, info, sign)
        self._kept[terms] = (self._number, found)
        if len(self._kept) > MET_MAX:
            del self._kept[next(iter(self._kept))]
        return found


def places_of(terms: Sequence[Term], nodes: Iterable[NodeInfo], means: Means) -> Counter[Pair]:
    """The places of the pods on `nodes` that are meant, by the topology keys of `terms`."""
    found: Counter[Pair] = Counter()
    for info in nodes:
        for pod in info.pods:
            if means(pod):
                _tally(found, terms, info, 1)
    return found


def _tally(places: Counter[Pair], terms: Iterable[Term], info: NodeInfo, by: int) -> None:
    for term in terms:
        value = info.labels.get(term.topology_key)
        if value is not None:
            pair = (term.topology_key, value)
            places[pair] += by
            if not places[pair]:
                del places[pair]


def _missing(pods: Sequence[PodInfo], here: NodeInfo, there: NodeInfo | None) -> Sequence[PodInfo]:
    """Those of the pods `here` that are not `there`, another state of the node; all of them where
    its labels differ."""
    if there is None or here.labels != there.labels:
        return pods
    others = set(map(id, there.pods))
    return [pod for pod in pods if id(pod) not in others]


class Nodes(Sequence[NodeInfo]):
    """Nodes in name order, and what would else be looked for over all of them.

    Attributes:
        picky: by name, the nodes with pods that have affinity terms of their own.
        stated: those terms.
        labelled: how many nodes have each label of `SPREAD_KEYS`.
    """

    def __init__(self, infos: Iterable[NodeInfo] = ()) -> None:
        self.picky: dict[str, NodeInfo] = {}
        self.stated = Stated()
        self.labelled: Counter[str] = Counter()
        self._infos: list[NodeInfo] = []
        self._names: list[str] = []
        self._owned: dict[tuple[str, str], Counter[str]] = {}
        self._met = Met()
        for info in infos:
            self.put(info)

    @overload
    def __getitem__(self, index: int) -> NodeInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NodeInfo]: ...
    def __getitem__(self, index: int | slice) -> NodeInfo | Sequence[NodeInfo]:
        return self._infos[index]

    def __len__(self) -> int:
        return len(self._infos)

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter(self._infos)

    def get(self, name: str) -> NodeInfo | None:
        """The node of that name."""
        at = bisect_left(self._names, name)
        found = at < len(self._names) and self._names[at] == name
        return self._infos[at] if found else None

    def put(self, info: NodeInfo) -> None:
        """Add a node, or replace the one of that name."""
        at = bisect_left(self._names, info.name)
        if at < len(self._names) and self._names[at] == info.name:
            self._count(self._infos[at], -1)
            self._changed(self._infos[at], info)
            self._infos[at] = info
        else:
            self._names.insert(at, info.name)
            self._infos.insert(at, info)
            self._changed(None, info)
        self._count(info, 1)
        if info.picky:
            self.picky[info.name] = info
        else:
            self.picky.pop(info.name, None)

    def remove(self, name: str) -> None:
        """Take a node out."""
        at = bisect_left(self._names, name)
        if at < len(self._names) and self._names[at] == name:
            self._count(self._infos[at], -1)
            self._changed(self._infos[at], None)
            del self._names[at], self._infos[at]
            self.picky.pop(name, None)

    def owned(self, uid: str, key: str) -> Mapping[str, int]:
        """How many pods of a controller there are by the value of a label of `SPREAD_KEYS`."""
        return self._owned.get((uid, key), {})

    def places(self, terms: tuple[Term, ...], means: Means) -> Mapping[Pair, int]:
        """How many pods that all of the `terms` mean are in each place (see `Met`)."""
        return self._met.places(terms, self._infos, means)

    def _changed(self, old: NodeInfo | None, new: NodeInfo | None) -> None:
        self.stated.change(old, new)
        self._met.change(old, new)

    def _count(self, info: NodeInfo, sign: int) -> None:
        for key in SPREAD_KEYS:
            value = info.labels.get(key)
            if value is None:
                continue
            self.labelled[key] += sign
            for uid, count in info.owned.items():
                places = self._owned.setdefault((uid, key), Counter())
                places[value] += sign * count
                if not places[value]:
                    del places[value]
                    if not places:
                        del self._owned[uid, key]


class Volumes:
    """PersistentVolumes by name, and by the claim that each is kept for."""

    def __init__(self, volumes: Mapping[str, Obj] | None = None) -> None:
        self._volumes: dict[str, Obj] = {}
        self._kept: dict[str, dict[str, Obj]] = {}
        for name, volume in (volumes or {}).items():
            self.put(name, volume)

    def get(self, name: str) -> Obj | None:
        """The volume of that name."""
        return self._volumes.get(name)

    def put(self, name: str, volume: Obj | None) -> None:
        """A volume came, changed or went."""
        old = self._volumes.pop(name, None)
        if old is not None:
            kept = self._kept[holder_of(old)]
            del kept[name]
            if not kept:
                del self._kept[holder_of(old)]
        if volume is not None:
            self._volumes[name] = volume
            self._kept.setdefault(holder_of(volume), {})[name] = volume

    def kept_for(self, key: str) -> Mapping[str, Obj]:
        """Those that are kept for a claim, by name; key "": for none."""
        return self._kept.get(key, {})


def holder_of(volume: Obj) -> str:
    """The key of the claim that a volume is kept for, "" for none."""
    reference = (volume.get("spec") or {}).get("claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


class Equals:
    """Nodes that were as good as the one that a pod went to, by the kind of the pod."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, list[NodeInfo]] = {}

    def keep(self, kind: Hashable, nodes: list[NodeInfo]) -> None:
        """Keep `nodes` for the next pods of the kind."""
        self._kinds.pop(kind, None)
        if nodes:
            self._kinds[kind] = nodes
        if len(self._kinds) > KINDS_MAX:
            del self._kinds[next(iter(self._kinds))]

    def left(self, kind: Hashable) -> list[NodeInfo]:
        """Those that are left; what is used is to be taken out."""
        return self._kinds.get(kind) or []


@dataclass(frozen=True, slots=True)
class World:
    """The cluster as the scheduler sees it at one moment.

    Attributes:
        nodes: every node.
        start: the place in `nodes` from which they are looked at.
        equals: what is left of earlier looks.
        claims: PersistentVolumeClaims by `namespace/name`.
        volumes: every PersistentVolume.
        classes: StorageClasses by name.
        namespaces: labels of each namespace.
        claim_users: uids of the live pods on nodes that use a claim.
        reserved: volumes promised to a claim that do not say so yet: volume name -> claim key.
    """

    nodes: Nodes
    claims: Mapping[str, Obj] = field(default_factory=dict)
    volumes: Volumes = field(default_factory=Volumes)
    classes: Mapping[str, Obj] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    claim_users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    reserved: Mapping[str, str] = field(default_factory=dict)
    start: int = 0
    equals: Equals = field(default_factory=Equals)


@dataclass(frozen=True, slots=True)
class Refusal:
    """No node can take the pod, whatever the node: the reason in upstream's words."""

    message: str


Check = Callable[[NodeInfo], Sequence[str]]
"""Why a node cannot take the pod, in upstream's words; empty when it can."""

Prepare = Callable[[PodInfo, World], "Check | Refusal | None"]
Scores = Sequence[float]
"""One for each of the nodes asked about, in their order."""

Score = Callable[[PodInfo, World, Sequence[NodeInfo]], "Scores | None"]


def scaled(raw: Scores, *, reverse: bool = False) -> Scores:
    """`raw` brought to 0..100 by its highest value; `reverse` makes the lowest the best."""
    top = max(raw, default=0.0)
    if top <= 0:
        return [100.0 if reverse else 0.0] * len(raw)
    if reverse:
        return [100.0 - 100.0 * value / top for value in raw]
    return [100.0 * value / top for value in raw]
