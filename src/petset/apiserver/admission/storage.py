"""What the server adds to claims and volumes, and when a claim may grow."""

from petset.api.errors import forbidden
from petset.api.meta import MutableObj, Obj, annotations_of, format_time, name_of, parse_time
from petset.api.quantity import Quantity
from petset.api.quantity import parse as parse_quantity
from petset.apiserver.admission.attributes import UPDATE, Attributes

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
IS_DEFAULT_BETA = "storageclass.beta.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
PHASE_TIME = "lastPhaseTransitionTime"
PROTECTION = {CLAIMS: "kubernetes.io/pvc-protection", VOLUMES: "kubernetes.io/pv-protection"}


def default_class(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Give a claim that names no class the default one; of several, the newest."""
    del old
    if not (attrs.creates and attrs.id == CLAIMS):
        return
    spec = obj.setdefault("spec", {})
    if spec.get("storageClassName") is not None or CLASS_ANNOTATION in annotations_of(obj):
        return
    found = [c for c in attrs.view.list(CLASSES) if is_default(c)]
    if found:
        spec["storageClassName"] = name_of(max(found, key=_age_key))


def is_default(storage_class: Obj) -> bool:
    """Whether a StorageClass is marked as the default."""
    marks = annotations_of(storage_class)
    return marks.get(IS_DEFAULT) == "true" or marks.get(IS_DEFAULT_BETA) == "true"


def _age_key(storage_class: Obj) -> tuple[float, str]:
    return (
        parse_time(storage_class["metadata"].get("creationTimestamp")) or 0.0,
        name_of(storage_class),
    )


def protect(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Keep claims and volumes from vanishing while they are in use."""
    del old
    finalizer = PROTECTION.get(attrs.id)
    if not attrs.creates or finalizer is None:
        return
    meta = obj["metadata"]
    have = list(meta.get("finalizers") or ())
    if finalizer not in have:
        meta["finalizers"] = [*have, finalizer]


def note_phase(volume: MutableObj, old: Obj, now: float) -> None:
    """Say in a volume's status when its phase changed, unless whoever changed it said so."""
    before, status = old.get("status") or {}, volume.get("status") or {}
    told = status.get(PHASE_TIME)
    if status.get("phase") != before.get("phase") and told in (None, before.get(PHASE_TIME)):
        volume["status"] = {**status, PHASE_TIME: format_time(now)}


def resize(attrs: Attributes, obj: Obj, old: Obj | None) -> None:
    """A claim grows only if it is bound and its class allows it."""
    if attrs.id != CLAIMS or attrs.operation != UPDATE or attrs.subresource or old is None:
        return
    before, after = _request(old), _request(obj)
    if before is None or after is None or after <= before:
        return
    name = name_of(obj)
    if (old.get("status") or {}).get("phase") != "Bound":
        raise forbidden(CLAIMS, name, "Only bound persistent volume claims can be expanded")
    class_name = (old.get("spec") or {}).get("storageClassName") or ""
    found = attrs.view.get(CLASSES, "", class_name) if class_name else None
    if found is None or not found.get("allowVolumeExpansion"):
        why = (
            "only dynamically provisioned pvc can be resized and the storageclass that provisions "
            "the pvc must support resize"
        )
        raise forbidden(CLAIMS, name, why)


def _request(claim: Obj) -> Quantity | None:
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
    value = requests.get("storage")
    return None if value is None else parse_quantity(value)
