"""New volumes for claims that no existing volume fits. Pure.

The directory is made first, then the volume, then the binding: a crash in between leaves an empty
directory of the same name, which the next try takes.
"""

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.volumebinder import binding, match
from petset.reconcile.actions import Action, Create, Emit, External, Patch, Reported

DIRECTORY = "petset.dev/directory"
LOCAL = "petset.dev/local"
OURS = (DIRECTORY, LOCAL)
NO_PROVISIONER = "kubernetes.io/no-provisioner"
CREATE_DIRECTORY = "create-directory"
DELETE_DIRECTORY = "delete-directory"
HOSTNAME_LABEL = "kubernetes.io/hostname"


def provision(claim: Obj, class_: Obj | None, volumes_root: str, node: str) -> list[Action]:
    """Make a volume for `claim`, or tell why not.

    Args:
        class_: the class that the claim names, None when there is none of that name.
        node: the value of the hostname label of the node chosen for the claim, "" for none.
    """
    if class_ is None:
        message = f'storageclass.storage.k8s.io "{match.class_of(claim)}" not found'
        return [_failed(claim, message)]
    provisioner = class_.get("provisioner") or ""
    if provisioner == NO_PROVISIONER:
        return [_failed(claim, f"no volume plugin matched name: {provisioner}")]
    if provisioner not in OURS:
        return _external(claim, provisioner)
    if why := _refusal(claim, provisioner, volumes_root, node):
        return [
            _failed(claim, f'failed to provision volume with StorageClass "{_name(class_)}": {why}')
        ]
    return _make(claim, class_, f"{volumes_root.rstrip('/')}/{volume_name(claim)}", node)


def is_ours(class_: Obj | None) -> bool:
    """Whether volumes of the class are made here."""
    return (class_ or {}).get("provisioner") in OURS


def volume_name(claim: Obj) -> str:
    """The name of the volume made for a claim."""
    return f"pvc-{meta.uid_of(claim)}"


def directory_of(volume: Obj) -> str:
    """The directory of a volume that this controller made, "" for any other volume."""
    if meta.annotations_of(volume).get(binding.PROVISIONED_BY) not in OURS:
        return ""
    spec = match.spec_of(volume)
    return ((spec.get("hostPath") or spec.get("local") or {}).get("path")) or ""


def _make(claim: Obj, class_: Obj, path: str, node: str) -> list[Action]:
    volume = _volume(claim, class_, path, node)
    failed = _failed(claim, f'failed to provision volume with StorageClass "{_name(class_)}": ')
    name = meta.name_of(volume)
    bound = Patch(binding.VOLUMES, "", name, {"status": {"phase": "Bound"}}, subresource="status")
    return [
        Reported(External(CREATE_DIRECTORY, path), failure=failed),
        Reported(
            Create(binding.VOLUMES, volume),
            success=binding.emit(
                claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}"
            ),
            failure=failed,
            quiet=("AlreadyExists",),
        ),
        bound,
        *binding.bind_claim(claim, volume),
    ]


def _volume(claim: Obj, class_: Obj, path: str, node: str) -> MutableObj:
    policy = class_.get("reclaimPolicy") or "Delete"
    finalizers = [binding.VOLUME_PROTECTION]
    if policy == "Delete":
        finalizers.append(binding.CONTROLLER_FINALIZER)
    spec: MutableObj = {
        "capacity": {"storage": str(match.request_of(claim))},
        "accessModes": list(match.spec_of(claim).get("accessModes") or ()),
        "persistentVolumeReclaimPolicy": policy,
        "storageClassName": _name(class_),
        "volumeMode": match.mode_of(claim),
        "claimRef": binding.reference_to_claim(claim),
    }
    if options := class_.get("mountOptions"):
        spec["mountOptions"] = list(options)
    if class_.get("provisioner") == LOCAL:
        spec |= {"local": {"path": path}, "nodeAffinity": _only_on(node)}
    else:
        spec["hostPath"] = {"path": path, "type": "Directory"}  # made before; never made anew
    annotations = {
        binding.PROVISIONED_BY: class_.get("provisioner"),
        binding.BOUND_BY_CONTROLLER: "yes",
    }
    metadata = {
        "name": volume_name(claim),
        "annotations": annotations,
        "finalizers": finalizers,
    }
    return {"kind": "PersistentVolume", "apiVersion": "v1", "metadata": metadata, "spec": spec}


def _only_on(node: str) -> MutableObj:
    term = {"key": HOSTNAME_LABEL, "operator": "In", "values": [node]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}


def _refusal(claim: Obj, provisioner: str, volumes_root: str, node: str) -> str:
    spec = match.spec_of(claim)
    if not volumes_root:
        return "this cluster has no directory for volumes"
    if match.mode_of(claim) == "Block":
        return f"{provisioner} does not support block volume provisioning"
    if spec.get("selector"):
        return "claim Selector is not supported"
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        return f"{provisioner} does not support data sources"
    if match.attributes_of(claim):
        return f"{provisioner} does not support volume attributes classes"
    if provisioner == LOCAL and not node:
        return "volumes of a node need a class with volumeBindingMode WaitForFirstConsumer"
    return ""


def _external(claim: Obj, provisioner: str) -> list[Action]:
    """Somebody else provisions: tell them by annotation, and wait."""
    wanted = {
        binding.STORAGE_PROVISIONER: provisioner,
        binding.BETA_STORAGE_PROVISIONER: provisioner,
    }
    message = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' "
        "or manually by the system administrator. If volume creation is delayed, please verify "
        "that the provisioner is running and correctly registered."
    )
    actions: list[Action] = []
    present = meta.annotations_of(claim)
    if missing := {k: v for k, v in wanted.items() if present.get(k) != v}:
        patch = {"metadata": {"annotations": missing}}
        namespace, name = meta.namespace_of(claim), meta.name_of(claim)
        actions.append(Patch(binding.CLAIMS, namespace, name, patch, uid=meta.uid_of(claim)))
    return [*actions, binding.emit(claim, "ExternalProvisioning", message)]


def _failed(claim: Obj, message: str) -> Emit:
    return binding.emit(claim, "ProvisioningFailed", message, warning=True)


def _name(class_: Obj) -> str:
    return meta.name_of(class_)
