"""What a PersistentVolume is made of: defaults and validation, by kind of source.

A volume has one source. Where it names several, the first in the API's order is validated and the
others are refused. petset mounts `hostPath`, `local` and its own directories; the others are kept
as objects, validated as upstream does.
"""

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, optional, text
from petset.api.core.v1 import remotevolume
from petset.api.core.v1.projected import no_backsteps
from petset.api.core.v1.volume import default_host_path, host_path_faults
from petset.api.errors import forbidden_field, required
from petset.api.meta import MutableObj, Obj

ORDER = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
)
"""Every kind of source, in the order in which they are looked at."""

_FORBIDDEN_AS = {"cephfs": "cephFS"}
_CSI_SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
)


def sources_of(spec: Obj) -> Mapping[str, Any]:
    """What the volume is made of, by kind of source."""
    return {kind: spec[kind] for kind in ORDER if spec.get(kind) is not None}


def default(spec: MutableObj) -> None:
    """Defaults of the sources."""
    for kind in sources_of(spec):
        if kind in _DEFAULTS and isinstance(spec[kind], dict):
            _DEFAULTS[kind](spec[kind])


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
    source = child(spec, kind)
    if kind in _FAULTS:
        yield from _FAULTS[kind](f"spec.{kind}", source)
    else:
        yield from remotevolume.faults("spec", kind, source, remotevolume.VOLUME_SECRET)
    policy, host_path = spec.get("persistentVolumeReclaimPolicy"), child(spec, "hostPath")
    if policy == "Recycle" and posixpath.normpath(str(host_path.get("path") or "")) == "/":
        words = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden_field("spec.persistentVolumeReclaimPolicy", words)


def _local(path: str, source: Obj) -> Faults:
    if not source.get("path"):
        yield required(f"{path}.path")
    yield from no_backsteps(f"{path}.path", text(source.get("path")))


def _csi(path: str, source: Obj) -> Faults:
    yield from remotevolume.driver_name_faults(f"{path}.driver", source.get("driver"))
    if not source.get("volumeHandle"):
        yield required(f"{path}.volumeHandle")
    for key in _CSI_SECRETS:
        where, reference = f"{path}.{key}", source.get(key)
        yield from remotevolume.secret_faults(where, reference, remotevolume.VOLUME_SECRET)
        if isinstance(reference, Mapping):
            yield from optional(f"{where}.name", reference.get("name"), names.dns_subdomain)
            yield from optional(f"{where}.namespace", reference.get("namespace"), names.dns_label)


_DEFAULTS: Mapping[str, Callable[[MutableObj], None]] = {
    "hostPath": default_host_path,
    **remotevolume.DEFAULTS,
}

_FAULTS: Mapping[str, Callable[[str, Obj], Faults]] = {
    "hostPath": host_path_faults,
    "local": _local,
    "csi": _csi,
}
