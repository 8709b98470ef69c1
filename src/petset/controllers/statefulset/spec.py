"""The spec of a StatefulSet with its defaults, as the other parts read it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from petset.api import meta
from petset.api.meta import MutableObj, Obj

RESOURCE = "statefulsets.apps"
API_VERSION = "apps/v1"
KIND = "StatefulSet"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a set asks for.

    Attributes:
        start: the first ordinal.
        ordered: OrderedReady (False: Parallel).
        rolling_update: the struct `spec.updateStrategy.rollingUpdate`, None when absent.
        max_unavailable: number, or text with `%`.
    """

    obj: Obj
    name: str
    namespace: str
    replicas: int
    start: int
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

    @property
    def ordinals(self) -> range:
        """The ordinals that shall exist."""
        return range(self.start, self.start + self.replicas)

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
    return Spec(
        obj=obj,
        name=meta.name_of(obj),
        namespace=meta.namespace_of(obj),
        replicas=_number(spec.get("replicas"), 1),
        start=_number((spec.get("ordinals") or {}).get("start"), 0),
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
    )


def _number(value: Any, default: int) -> int:
    return default if value is None else int(value)
