"""What a PersistentVolume is made of: defaults and validation, by kind of source.

A volume has one source. Where it names several, the first in the API's order is looked at and the
others are refused. petset mounts `hostPath`, `local` and its own directories; the others are kept
as objects, checked like upstream's.
"""

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from petset.api import names
from petset.api.check import Faults, between, child, fill, items, optional
from petset.api.core.v1.volume import host_path_faults
from petset.api.errors import forbidden_field, invalid, required, too_long
from petset.api.meta import MutableObj, Obj

Check = Callable[[str, Obj], Faults]

NEEDED: Mapping[str, tuple[str, ...]] = {
    "hostPath": (),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "glusterfs": ("endpoints", "path"),
    "flocker": (),
    "nfs": ("server", "path"),
    "rbd": ("monitors", "image"),
    "quobyte": ("registry", "volume"),
    "cephfs": ("monitors",),
    "iscsi": ("targetPortal", "iqn"),
    "cinder": ("volumeID",),
    "fc": (),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "local": ("path",),
    "storageos": ("volumeName",),
    "csi": (),
}
"""Every kind of source, in the order in which they are looked at, and what it cannot do without."""

_SPELLED = {"gcePersistentDisk": "persistentDisk"}
"""Sources whose faults are told at another name, as upstream does."""
_FORBIDDEN_AS = {"cephfs": "cephFS"}
_DRIVER_MAX = 63
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "hostPath": {"type": ""},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "iscsi": {"iscsiInterface": "default"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "kind": "Shared",
        "fsType": "ext4",
        "readOnly": False,
    },
}


def sources_of(spec: Obj) -> Mapping[str, Any]:
    """What the volume is made of, by kind of source."""
    return {kind: spec[kind] for kind in NEEDED if spec.get(kind) is not None}


def default(spec: MutableObj) -> None:
    """Defaults of the sources."""
    for kind, members in _DEFAULTS.items():
        source = spec.get(kind)
        if isinstance(source, dict):
            for key, value in members.items():
                if value == "":
                    source[key] = source.get(key) or ""
                else:
                    fill(source, key, value)


def faults(spec: Obj) -> Faults:
    """Every fault of the source, and that there is one."""
    given = list(sources_of(spec))
    if not given:
        yield required("spec", "must specify a volume type")
        return
    for kind in given[1:]:
        words = "may not specify more than 1 volume type"
        yield forbidden_field(f"spec.{_FORBIDDEN_AS.get(kind, kind)}", words)
    kind = given[0]
    path, source = f"spec.{_SPELLED.get(kind, kind)}", child(spec, kind)
    for key in NEEDED[kind]:
        if not source.get(key):
            yield required(f"{path}.{key}")
    if kind in _CHECKS:
        yield from _CHECKS[kind](path, source)
    policy, host_path = spec.get("persistentVolumeReclaimPolicy"), child(spec, "hostPath")
    if policy == "Recycle" and posixpath.normpath(str(host_path.get("path") or "")) == "/":
        words = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden_field("spec.persistentVolumeReclaimPolicy", words)


def _partition(path: str, source: Obj) -> Faults:
    yield from between(f"{path}.partition", source.get("partition"), 0, 255)


def _flocker(path: str, source: Obj) -> Faults:
    name, uid = source.get("datasetName"), source.get("datasetUUID")
    if not name and not uid:
        yield required(path, "one of datasetName and datasetUUID is required")
    elif name and uid:
        words = "datasetName and datasetUUID can not be specified simultaneously"
        yield invalid(path, "resource", words)
    if "/" in str(name or ""):
        yield invalid(f"{path}.datasetName", name, "must not contain '/'")


def _nfs(path: str, source: Obj) -> Faults:
    directory = str(source.get("path") or "")
    if not directory.startswith("/"):
        yield invalid(f"{path}.path", directory, "must be an absolute path")


def _iscsi(path: str, source: Obj) -> Faults:
    iqn = str(source.get("iqn") or "")
    if iqn and not iqn.startswith(("iqn", "eui", "naa")):
        yield invalid(f"{path}.iqn", iqn, "must be valid format starting with iqn, eui, or naa")
    yield from between(f"{path}.lun", source.get("lun") or 0, 0, 255)
    chap = source.get("chapAuthDiscovery") or source.get("chapAuthSession")
    if chap and source.get("secretRef") is None:
        yield required(f"{path}.secretRef")


def _fibre_channel(path: str, source: Obj) -> Faults:
    wwns, wwids = items(source, "targetWWNs"), items(source, "wwids")
    if not wwns and not wwids:
        words = "must specify either targetWWNs or wwids, but not both"
        yield required(f"{path}.targetWWNs", words)
    if wwns and wwids:
        words = "targetWWNs and wwids can not be specified simultaneously"
        yield invalid(f"{path}.targetWWNs", list(wwns), words)
    if wwns:
        lun = source.get("lun")
        if lun is None:
            yield required(f"{path}.lun", "lun is required if targetWWNs is specified")
        else:
            yield from between(f"{path}.lun", lun, 0, 255)


def _local(path: str, source: Obj) -> Faults:
    directory = str(source.get("path") or "")
    if ".." in directory.split("/"):
        yield invalid(f"{path}.path", directory, "must not contain '..'")


def _storage_os(path: str, source: Obj) -> Faults:
    yield from optional(f"{path}.volumeName", source.get("volumeName"), names.dns_label)
    yield from optional(f"{path}.volumeNamespace", source.get("volumeNamespace"), names.dns_label)
    yield from _named_secret(f"{path}.secretRef", source.get("secretRef"))


def _named_secret(path: str, reference: Any) -> Faults:
    """A reference to a Secret, if there is one, names it and its namespace."""
    if isinstance(reference, Mapping):
        for key in ("name", "namespace"):
            if not reference.get(key):
                yield required(f"{path}.{key}")


def _cinder(path: str, source: Obj) -> Faults:
    yield from _named_secret(f"{path}.secretRef", source.get("secretRef"))


def driver_name(path: str, value: object) -> Faults:
    """The name of a CSI driver."""
    name = str(value or "")
    if not name:
        yield required(path)
    if len(name) > _DRIVER_MAX:
        yield too_long(path, _DRIVER_MAX)
    for message in names.dns_subdomain(name.lower()):
        yield invalid(path, name, message)


_CSI_SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
)


def _csi(path: str, source: Obj) -> Faults:
    yield from driver_name(f"{path}.driver", source.get("driver"))
    if not source.get("volumeHandle"):
        yield required(f"{path}.volumeHandle")
    for key in _CSI_SECRETS:
        reference = source.get(key)
        yield from _named_secret(f"{path}.{key}", reference)
        if isinstance(reference, Mapping):
            yield from optional(f"{path}.{key}.name", reference.get("name"), names.dns_subdomain)
            where = f"{path}.{key}.namespace"
            yield from optional(where, reference.get("namespace"), names.dns_label)


_CHECKS: Mapping[str, Check] = {
    "hostPath": host_path_faults,
    "gcePersistentDisk": _partition,
    "awsElasticBlockStore": _partition,
    "flocker": _flocker,
    "nfs": _nfs,
    "iscsi": _iscsi,
    "cinder": _cinder,
    "fc": _fibre_channel,
    "local": _local,
    "storageos": _storage_os,
    "csi": _csi,
}
