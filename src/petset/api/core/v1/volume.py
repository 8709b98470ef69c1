"""Volumes of pods: defaults and validation, one function per kind of source."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from petset.api import names
from petset.api.check import Faults, child, fill, items, needed, one_of
from petset.api.core.v1 import projected, pvc, remotevolume
from petset.api.core.v1.env import default_field_ref
from petset.api.core.v1.resources import canonical, parsed
from petset.api.errors import FieldError, duplicate, forbidden_field, invalid, required
from petset.api.meta import MutableObj, Obj

FILE_MODE = 0o644
TOKEN_S = 3600
HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)


ORDER = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)
"""The kinds of source, in the order in which they are looked at."""


def sources_of(volume: Obj) -> list[str]:
    """The kinds of source that a volume names."""
    return [kind for kind in ORDER if volume.get(kind) is not None]


def default_volume(volume: MutableObj) -> None:
    """A source (emptyDir where none is named) and what belongs into it."""
    given = sources_of(volume)
    if not given:
        volume["emptyDir"] = {}
    for kind in given:
        if kind in _DEFAULTS and isinstance(volume[kind], dict):
            _DEFAULTS[kind](volume[kind])


def _default_files(source: MutableObj) -> None:
    if source.get("defaultMode") is None:
        source["defaultMode"] = FILE_MODE
    for item in items(source, "items"):
        default_field_ref(item)


def _default_empty_dir(source: MutableObj) -> None:
    if source.get("sizeLimit") is not None:
        source["sizeLimit"] = canonical(source["sizeLimit"])


def default_host_path(source: MutableObj) -> None:
    """Defaults of a hostPath: nothing is asked of what is there."""
    if source.get("type") is None:
        source["type"] = ""


def _default_projected(source: MutableObj) -> None:
    if source.get("defaultMode") is None:
        source["defaultMode"] = FILE_MODE
    for part in items(source, "sources"):
        if isinstance(part.get("serviceAccountToken"), dict):
            token = part["serviceAccountToken"]
            if token.get("expirationSeconds") is None:
                token["expirationSeconds"] = TOKEN_S
        if isinstance(part.get("downwardAPI"), dict):
            for item in items(part["downwardAPI"], "items"):
                default_field_ref(item)


def _default_ephemeral(source: MutableObj) -> None:
    template = source.get("volumeClaimTemplate")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        pvc.default_spec(template["spec"])


def _default_image(source: MutableObj) -> None:
    reference = source.get("reference") or ""
    fill(source, "pullPolicy", pull_policy(reference))


def pull_policy(image: str) -> str:
    """The pull policy of an image without one: Always for `latest`, named or implied."""
    name, digest, _ = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    latest = tag == "latest" if colon else bool(name) and not digest
    return "Always" if latest else "IfNotPresent"


_DEFAULTS: Mapping[str, Callable[[MutableObj], None]] = {
    "configMap": _default_files,
    "secret": _default_files,
    "downwardAPI": _default_files,
    "emptyDir": _default_empty_dir,
    "hostPath": default_host_path,
    "projected": _default_projected,
    "ephemeral": _default_ephemeral,
    "image": _default_image,
    **remotevolume.DEFAULTS,
}


def judge(
    path: str, volumes: Sequence[Any], pod_name: str, claims: Sequence[str] = ()
) -> tuple[list[FieldError], dict[str, str]]:
    """Every fault of a pod's volumes, and what containers can mount: name -> kind of source.

    `pod_name` may be "" (templates); `claims` are names that come from elsewhere. Faulty volumes
    are left out, as upstream does: a mount of one is reported as not found.
    """
    found: list[FieldError] = []
    good: dict[str, str] = {}
    for i, volume in enumerate(volumes):
        faults = list(_volume_faults(f"{path}[{i}]", volume, pod_name))
        name = volume.get("name") or ""
        if name in good:
            faults.append(duplicate(f"{path}[{i}].name", name))
        if not faults:
            good[name] = sources_of(volume)[0]
        found += faults
    return found, {**dict.fromkeys(claims, "persistentVolumeClaim"), **good}


def _volume_faults(path: str, volume: Obj, pod_name: str) -> Faults:
    name, given = volume.get("name") or "", sources_of(volume)
    for kind in given[:1]:
        yield from _source_faults(path, kind, volume)
    for kind in given[1:]:
        yield forbidden_field(f"{path}.{kind}", "may not specify more than 1 volume type")
    if pod_name and name and given[:1] == ["ephemeral"]:
        claim = f"{pod_name}-{name}"
        for message in names.dns_subdomain(claim):
            yield invalid(f"{path}.name", name, f'PVC name "{claim}": {message}')
    if not given:
        yield required(path, "must specify a volume type")
    yield from needed(f"{path}.name", name, names.dns_label)


def _source_faults(path: str, kind: str, volume: Obj) -> Faults:
    source = child(volume, kind)
    if kind in _FAULTS:
        yield from _FAULTS[kind](f"{path}.{kind}", source)
        return
    yield from remotevolume.faults(path, kind, source, remotevolume.POD_SECRET)
    if kind == "iscsi":
        name = volume.get("name") or ""
        yield from remotevolume.volume_name_faults(f"{path}.name", name, source)


def _config_map(path: str, source: Obj) -> Faults:
    if not source.get("name"):
        yield required(f"{path}.name")
    yield from projected.mode_faults(f"{path}.defaultMode", source.get("defaultMode"))
    yield from projected.key_faults(path, source)


def _secret(path: str, source: Obj) -> Faults:
    if not source.get("secretName"):
        yield required(f"{path}.secretName")
    yield from projected.mode_faults(f"{path}.defaultMode", source.get("defaultMode"))
    yield from projected.key_faults(path, source)


def _downward(path: str, source: Obj) -> Faults:
    yield from projected.mode_faults(f"{path}.defaultMode", source.get("defaultMode"))
    for item in items(source, "items"):
        yield from projected.downward_file_faults(path, item)


def _empty_dir(path: str, source: Obj) -> Faults:
    limit = source.get("sizeLimit")
    if limit is not None:
        amount = parsed(limit)
        if amount is None or amount.nano < 0:
            yield forbidden_field(
                f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"
            )
    medium = source.get("medium") or ""
    if medium not in ("", "Memory", "HugePages") and not medium.startswith("HugePages-"):
        yield invalid(f"{path}.medium", medium, "must be Memory, HugePages or HugePages-<size>")


def host_path_faults(path: str, source: Obj) -> Faults:
    """A path of the node, and what must be there."""
    if not source.get("path"):
        yield required(f"{path}.path")
    else:
        yield from projected.no_backsteps(f"{path}.path", source["path"])
        yield from one_of(f"{path}.type", source.get("type"), HOST_PATH_TYPES)


def _claim(path: str, source: Obj) -> Faults:
    if not source.get("claimName"):
        yield required(f"{path}.claimName")


def _ephemeral(path: str, source: Obj) -> Faults:
    if source.get("volumeClaimTemplate") is None:
        yield required(f"{path}.volumeClaimTemplate")
        return
    template = child(source, "volumeClaimTemplate")
    where = f"{path}.volumeClaimTemplate"
    metadata = child(template, "metadata")
    yield from names.labels(f"{where}.metadata.labels", child(metadata, "labels"))
    yield from names.annotations(f"{where}.metadata.annotations", child(metadata, "annotations"))
    for key in metadata:
        if key not in ("labels", "annotations", "creationTimestamp"):
            words = "cannot be set for an ephemeral volume"
            yield forbidden_field(f"{where}.metadata.{key}", words)
    yield from pvc.spec_faults(f"{where}.spec", child(template, "spec"))


def _csi(path: str, source: Obj) -> Faults:
    yield from remotevolume.driver_name_faults(f"{path}.driver", source.get("driver"))
    if source.get("nodePublishSecretRef") is not None:
        name = child(source, "nodePublishSecretRef").get("name")
        yield from needed(f"{path}.nodePublishSecretRef.name", name, names.dns_subdomain)


def _image(path: str, source: Obj) -> Faults:
    reference = source.get("reference") or ""
    if not reference:
        yield required(f"{path}.reference")
    elif reference.strip() != reference:
        words = "must not have leading or trailing whitespace"
        yield invalid(f"{path}.reference", reference, words)
    policy = source.get("pullPolicy")
    yield from one_of(f"{path}.pullPolicy", policy, ("Always", "IfNotPresent", "Never"))


_FAULTS: Mapping[str, Callable[[str, Obj], Faults]] = {
    "configMap": _config_map,
    "secret": _secret,
    "downwardAPI": _downward,
    "emptyDir": _empty_dir,
    "hostPath": host_path_faults,
    "persistentVolumeClaim": _claim,
    "ephemeral": _ephemeral,
    "projected": projected.faults,
    "csi": _csi,
    "image": _image,
}
