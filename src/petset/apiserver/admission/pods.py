"""What the server adds to Pods: service account, priority, tolerations; what it refuses by name."""

from collections.abc import Iterator

from petset.api.errors import StatusError, forbidden, not_implemented
from petset.api.meta import MutableObj, Obj, annotations_of, labels_of, name_of
from petset.apiserver.admission.attributes import Attributes, refused
from petset.apiserver.view import View

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
MIRROR = "kubernetes.io/config.mirror"
TOLERATION_S = 300
PLACES = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
ACCOUNTS = "serviceaccounts"
PRIORITY_CLASSES = "priorityclasses.scheduling.k8s.io"


def service_account(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Name the service account, and take over its pull secrets. A pod of no account is refused.

    `default` may be missing: its controller makes it for every namespace, and whoever creates a pod
    at once would have to wait for that. Token volumes are refused by name until there are tokens.
    """
    del old
    if not _new_pod(attrs):
        return
    spec = obj.setdefault("spec", {})
    for volume in _projected(obj):
        if any("serviceAccountToken" in source for source in volume):
            raise not_implemented("projected serviceAccountToken volumes")
    if MIRROR in annotations_of(obj):
        return
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = attrs.view.get(ACCOUNTS, attrs.namespace, name)
    if account is None and name != "default":
        where = f"{attrs.namespace}/{name}"
        why = f'error looking up service account {where}: serviceaccount "{name}" not found'
        raise refused(obj, why)
    secrets = (account or {}).get("imagePullSecrets")
    if secrets and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{"name": one.get("name") or ""} for one in secrets]


def _projected(obj: Obj) -> Iterator[list[Obj]]:
    for volume in (obj.get("spec") or {}).get("volumes") or ():
        yield (volume.get("projected") or {}).get("sources") or []


def place(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Give a pod that comes with its node the node's zone and region."""
    del old
    node = (obj.get("spec") or {}).get("nodeName")
    if not (_new_pod(attrs) and node):
        return
    if found := place_labels(attrs.view, node):
        meta = obj["metadata"]
        meta["labels"] = {**(meta.get("labels") or {}), **found}


def place_labels(view: View, node: str) -> dict[str, str]:
    """The labels that a pod takes over from its node. None are a node that is not there."""
    labels = labels_of(view.get("nodes", "", node) or {})
    return {key: labels[key] for key in PLACES if key in labels}


def priority(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Turn a priority class into a number, and say which preemption policy goes with it."""
    del old
    if not _new_pod(attrs):
        return
    spec = obj.setdefault("spec", {})
    name = spec.get("priorityClassName") or ""
    found = _priority_class(attrs, name)
    if name and found is None:
        raise refused(obj, f"no PriorityClass with name {name} was found")
    if found is not None:
        spec["priorityClassName"] = name_of(found)
    value = int((found or {}).get("value") or 0)
    policy = (found or {}).get("preemptionPolicy") or "PreemptLowerPriority"
    if spec.get("priority") not in (None, value):
        raise _fixed(obj, f"the integer value of priority ({spec['priority']})", f"{value}")
    if spec.get("preemptionPolicy") not in (None, policy):
        raise _fixed(
            obj, f"the string value of PreemptionPolicy ({spec['preemptionPolicy']})", policy
        )
    spec["priority"], spec["preemptionPolicy"] = value, policy


def _fixed(obj: Obj, what: str, computed: str) -> StatusError:
    why = (
        f"{what} must not be provided in pod spec; priority admission controller computed "
        f"{computed} from the given PriorityClass name"
    )
    return refused(obj, why)


def _priority_class(attrs: Attributes, name: str) -> Obj | None:
    if name:
        return attrs.view.get(PRIORITY_CLASSES, "", name)
    default: Obj | None = None
    for candidate in attrs.view.list(PRIORITY_CLASSES):
        if candidate.get("globalDefault") and (
            default is None or candidate.get("value", 0) < default.get("value", 0)
        ):
            default = candidate
    return default


def one_default_class(attrs: Attributes, obj: Obj, old: Obj | None) -> None:
    """At most one PriorityClass is the default for pods that name none."""
    del old
    if attrs.id != PRIORITY_CLASSES or not obj.get("globalDefault"):
        return
    for other in attrs.view.list(PRIORITY_CLASSES):
        if other.get("globalDefault") and name_of(other) != name_of(obj):
            why = (
                f"PriorityClass {name_of(other)} is already marked as default. Only one default "
                "can exist"
            )
            raise forbidden(PRIORITY_CLASSES, name_of(obj), why)


def tolerations(attrs: Attributes, obj: MutableObj, old: Obj | None) -> None:
    """Let a pod stay five minutes on a node that is lost, unless it says otherwise."""
    del old
    if not _new_pod(attrs):
        return
    spec = obj.setdefault("spec", {})
    have = list(spec.get("tolerations") or ())
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_S}
        for key in (NOT_READY, UNREACHABLE)
        if not any(_covers(toleration, key) for toleration in have)
    ]
    if added:
        spec["tolerations"] = have + added


def _covers(toleration: Obj, key: str) -> bool:
    return toleration.get("key") in (None, "", key) and toleration.get("effect") in (
        None,
        "",
        "NoExecute",
    )


def _new_pod(attrs: Attributes) -> bool:
    return attrs.creates and attrs.id == "pods"
