"""The spec of a StatefulSet with its defaults, as the other parts read it. Pure."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petset.api import meta
from petset.api.apps.v1 import setoptions
from petset.api.apps.v1.setoptions import Options
from petset.api.meta import MutableObj, Obj

RESOURCE = "statefulsets.apps"
API_VERSION = "apps/v1"
KIND = "StatefulSet"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a set asks for.

    Attributes:
        ordinals: those that shall exist, ascending; reserved ones are left out.
        options: what the set asks for beyond Kubernetes.
        ordered: OrderedReady (False: Parallel).
        rolling_update: the struct `spec.updateStrategy.rollingUpdate`, None when absent.
        max_unavailable: number, or text with `%`.
    """

    obj: Obj
    name: str
    namespace: str
    replicas: int
    ordinals: Sequence[int]
    ordered: bool
    strategy: str
    rolling_update: Mapping[str, Any] | None
    partition: int
    max_unavailable: int | str
    min_ready_s: int
    history_limit: int
    retain_on_delete: bool
    retain_on_scale: bool
    claim_templates: tuple[Obj, ...]
    service_name: str
    match_labels: Mapping[str, str]
    options: Options

    @property
    def reference(self) -> MutableObj:
        """A controller reference to the set."""
        return meta.owner_reference(self.obj, api_version=API_VERSION, kind=KIND)

    @property
    def involved(self) -> MutableObj:
        """The set as events name it."""
        return meta.reference_to({**self.obj, "apiVersion": API_VERSION, "kind": KIND})


def read(obj: Obj) -> Spec:
    """The spec of a set, defaults filled in where the server has not done it."""
    spec = obj.get("spec") or {}
    strategy = spec.get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate")
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    replicas = _number(spec.get("replicas"), 1)
    start = _number((spec.get("ordinals") or {}).get("start"), 0)
    options = setoptions.read(meta.annotations_of(obj))
    return Spec(
        obj=obj,
        name=meta.name_of(obj),
        namespace=meta.namespace_of(obj),
        replicas=replicas,
        ordinals=_ordinals(start, replicas, options.reserved),
        ordered=spec.get("podManagementPolicy") != "Parallel",
        strategy=strategy.get("type") or "RollingUpdate",
        rolling_update=rolling,
        partition=max(0, _number((rolling or {}).get("partition"), 0)),
        max_unavailable=(rolling or {}).get("maxUnavailable") or 1,
        min_ready_s=_number(spec.get("minReadySeconds"), 0),
        history_limit=_number(spec.get("revisionHistoryLimit"), 10),
        retain_on_delete=retention.get("whenDeleted") != "Delete",
        retain_on_scale=retention.get("whenScaled") != "Delete",
        claim_templates=tuple(spec.get("volumeClaimTemplates") or ()),
        service_name=spec.get("serviceName") or "",
        match_labels=(spec.get("selector") or {}).get("matchLabels") or {},
        options=options,
    )


def _ordinals(start: int, count: int, reserved: frozenset[int]) -> Sequence[int]:
    """The lowest `count` ordinals from `start` on that are not reserved."""
    if not reserved:
        return range(start, start + count)
    free = (ordinal for ordinal in itertools.count(start) if ordinal not in reserved)
    return tuple(itertools.islice(free, count))


def _number(value: Any, default: int) -> int:
    return default if value is None else int(value)
