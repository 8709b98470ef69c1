"""Volumes of other storage systems, most of them deprecated: defaults and validation.

Pods and PersistentVolumes name these sources alike, and one set of rules holds for both; they
differ only in what a reference to a Secret names. petset serves such objects as Kubernetes does; no
node mounts them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from petset.api import names
from petset.api.check import (
    Faults,
    between,
    child,
    fill,
    items,
    number,
    one_of,
    optional,
    text,
    worded,
)
from petset.api.core.v1.projected import descending
from petset.api.errors import invalid, not_supported, required, too_long
from petset.api.meta import MutableObj, Obj

_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.[A-Za-z0-9-.]+:[^,;*&$|\s]+", re.ASCII)
_EUI = re.compile(r"eui.[A-Za-z0-9]{16}")
_NAA = re.compile(r"naa.[A-Za-z0-9]{32}")
_INITIATORS = {"iqn": _IQN, "eui": _EUI, "naa": _NAA}
_MANAGED_DISK = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/"
    "{disk-id}"
)
_BLOB_DISK = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_RESERVED = (".kubernetes.io", ".k8s.io")
_DRIVER_NAME_MAX = 63

POD_SECRET = ("name",)
"""What a pod names of a Secret: it is in the pod's namespace."""
VOLUME_SECRET = ("name", "namespace")
"""What a PersistentVolume, which has no namespace, names of a Secret."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "awsElasticBlockStore": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "azureFile": ("secretName", "shareName"),
    "cephfs": ("monitors",),
    "cinder": ("volumeID",),
    "flexVolume": ("driver",),
    "gcePersistentDisk": ("pdName",),
    "gitRepo": ("repository",),
    "glusterfs": ("endpoints", "path"),
    "iscsi": ("targetPortal", "iqn"),
    "nfs": ("server", "path"),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "rbd": ("monitors", "image"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "storageos": ("volumeName",),
    "vsphereVolume": ("volumePath",),
}
_WITH_SECRET = ("cinder", "storageos")
_SPELLED = {"gcePersistentDisk": "persistentDisk"}
"""Sources whose faults upstream reports under another field name."""


def _default_iscsi(source: MutableObj) -> None:
    fill(source, "iscsiInterface", "default")


def _default_rbd(source: MutableObj) -> None:
    fill(source, "pool", "rbd")
    fill(source, "user", "admin")
    fill(source, "keyring", "/etc/ceph/keyring")


def _default_azure_disk(source: MutableObj) -> None:
    for key, value in (("cachingMode", "ReadWrite"), ("kind", "Shared"), ("fsType", "ext4")):
        if source.get(key) is None:
            source[key] = value
    if source.get("readOnly") is None:
        source["readOnly"] = False


def _default_scale_io(source: MutableObj) -> None:
    fill(source, "storageMode", "ThinProvisioned")
    fill(source, "fsType", "xfs")


DEFAULTS: Mapping[str, Callable[[MutableObj], None]] = {
    "azureDisk": _default_azure_disk,
    "iscsi": _default_iscsi,
    "rbd": _default_rbd,
    "scaleIO": _default_scale_io,
}
"""What is filled in, by kind of source."""


def faults(path: str, kind: str, source: Obj, secret: Sequence[str]) -> Faults:
    """Every fault of a source of one of these kinds; none for a kind that is not among them.

    Args:
        path: of the object that holds the source.
        secret: what a reference to a Secret has to name, `POD_SECRET` or `VOLUME_SECRET`.
    """
    where = f"{path}.{_SPELLED.get(kind, kind)}"
    for key in _REQUIRED.get(kind, ()):
        if not source.get(key):
            yield required(f"{where}.{key}")
    rules = {**_FAULTS, **_VOLUME_FAULTS} if secret == VOLUME_SECRET else _FAULTS
    if kind in rules:
        yield from rules[kind](where, source)
    if kind in _WITH_SECRET:
        yield from secret_faults(f"{where}.secretRef", source.get("secretRef"), secret)


def secret_faults(path: str, reference: Any, names_of: Sequence[str]) -> Faults:
    """A reference to a Secret, if there is one, has all of `names_of`."""
    if isinstance(reference, Mapping):
        for key in names_of:
            if not reference.get(key):
                yield required(f"{path}.{key}")


def driver_name_faults(path: str, value: object) -> Faults:
    """The name of a CSI driver: a DNS subdomain in any case, at most 63 characters."""
    name = text(value)
    if not name:
        yield required(path)
    if len(name) > _DRIVER_NAME_MAX:
        yield too_long(path, _DRIVER_NAME_MAX)
    yield from worded(path, name, names.dns_subdomain(name.lower()))


def _partition(path: str, source: Obj) -> Faults:
    partition = number(source.get("partition"))
    if not 0 <= partition <= 255:
        yield invalid(f"{path}.partition", partition, "must be between 1 and 255, inclusive")


def _azure_disk(path: str, source: Obj) -> Faults:
    modes = ("None", "ReadOnly", "ReadWrite")
    yield from one_of(f"{path}.cachingMode", source.get("cachingMode"), modes)
    kind, uri = source.get("kind"), text(source.get("diskURI"))
    yield from one_of(f"{path}.kind", kind, ("Dedicated", "Managed", "Shared"))
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        yield not_supported(f"{path}.diskURI", uri, [_MANAGED_DISK])
    if kind not in (None, "Managed") and not uri.startswith("https://"):
        yield not_supported(f"{path}.diskURI", uri, [_BLOB_DISK])


def _volume_azure_file(path: str, source: Obj) -> Faults:
    if source.get("secretNamespace") == "":
        yield required(f"{path}.secretNamespace")


def _fc(path: str, source: Obj) -> Faults:
    targets, ids = items(source, "targetWWNs"), items(source, "wwids")
    where = f"{path}.targetWWNs"
    if not targets and not ids:
        yield required(where, "must specify either targetWWNs or wwids, but not both")
    if targets and ids:
        words = "targetWWNs and wwids can not be specified simultaneously"
        yield invalid(where, list(targets), words)
    if targets and source.get("lun") is None:
        yield required(f"{path}.lun", "lun is required if targetWWNs is specified")
    elif targets:
        yield from between(f"{path}.lun", source.get("lun"), 0, 255)


def _flex(path: str, source: Obj) -> Faults:
    for key in child(source, "options"):
        namespace = f".{key.partition('/')[0].lower()}"
        if namespace.endswith(_RESERVED):
            words = "kubernetes.io and k8s.io namespaces are reserved"
            yield invalid(f"{path}.options[{key}]", key, words)


def _flocker(path: str, source: Obj) -> Faults:
    name, uuid = text(source.get("datasetName")), text(source.get("datasetUUID"))
    if not name and not uuid:
        yield required(path, "one of datasetName and datasetUUID is required")
    if name and uuid:
        words = "datasetName and datasetUUID can not be specified simultaneously"
        yield invalid(path, "resource", words)
    if "/" in name:
        yield invalid(f"{path}.datasetName", name, "must not contain '/'")


def _git(path: str, source: Obj) -> Faults:
    yield from descending(f"{path}.directory", text(source.get("directory")))


def _iscsi(path: str, source: Obj) -> Faults:
    yield from _target(path, source, "must be valid format starting with iqn, eui, or naa")


def _volume_iscsi(path: str, source: Obj) -> Faults:
    yield from _target(path, source, "must be valid format")
    yield from secret_faults(f"{path}.secretRef", source.get("secretRef"), POD_SECRET)


def _target(path: str, source: Obj, unknown: str) -> Faults:
    """`unknown` are the words for a name of no known format."""
    if source.get("iqn"):
        yield from _initiator(f"{path}.iqn", text(source["iqn"]), unknown)
    yield from between(f"{path}.lun", source.get("lun"), 0, 255)
    chap = source.get("chapAuthDiscovery") or source.get("chapAuthSession")
    if chap and source.get("secretRef") is None:
        yield required(f"{path}.secretRef")
    if source.get("initiatorName") is not None:
        yield from _initiator(f"{path}.initiatorname", text(source["initiatorName"]), unknown)


def _initiator(path: str, name: str, unknown: str) -> Faults:
    pattern = _INITIATORS.get(name[:3])
    if pattern is None:
        yield invalid(path, name, unknown)
    elif not pattern.fullmatch(name):
        yield invalid(path, name, "must be valid format")


def volume_name_faults(path: str, name: str, source: Obj) -> Faults:
    """An iSCSI initiator makes its name from those of the volume and the portal."""
    portal = text(source.get("targetPortal"))
    if source.get("initiatorName") is not None and len(f"{name}:{portal}") > 64:
        yield invalid(
            path,
            name,
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
            "iscsi.initiatorName is specified.",
        )


def _nfs(path: str, source: Obj) -> Faults:
    directory = text(source.get("path"))
    if not directory.startswith("/"):
        yield invalid(f"{path}.path", directory, "must be an absolute path")


def _quobyte(path: str, source: Obj) -> Faults:
    registry, tenant = text(source.get("registry")), text(source.get("tenant"))
    words = "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        yield required(f"{path}.registry", words)
    elif len(tenant) >= 65:
        limit = "must be a UUID and may not exceed a length of 64 characters"
        yield required(f"{path}.tenant", limit)
    else:
        for pair in registry.split(","):
            if pair.count(":") != 1:
                yield invalid(f"{path}.registry", registry, words)
    if not source.get("volume"):
        yield required(f"{path}.volume")


def _storage_os(path: str, source: Obj) -> Faults:
    yield from optional(f"{path}.volumeName", source.get("volumeName"), names.dns_label)
    namespace = source.get("volumeNamespace")
    yield from optional(f"{path}.volumeNamespace", namespace, names.dns_label)


_FAULTS: Mapping[str, Callable[[str, Any], Faults]] = {
    "awsElasticBlockStore": _partition,
    "azureDisk": _azure_disk,
    "fc": _fc,
    "flexVolume": _flex,
    "flocker": _flocker,
    "gcePersistentDisk": _partition,
    "gitRepo": _git,
    "iscsi": _iscsi,
    "nfs": _nfs,
    "quobyte": _quobyte,
    "storageos": _storage_os,
}

_VOLUME_FAULTS: Mapping[str, Callable[[str, Any], Faults]] = {
    "azureFile": _volume_azure_file,
    "iscsi": _volume_iscsi,
}
"""Rules that are others in PersistentVolumes."""
