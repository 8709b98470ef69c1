"""Volumes of pods: defaults and validation, one function per kind of source."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from petset.api import names
from petset.api.check import Faults, between, child, fill, items, needed, one_of, unique
from petset.api.core.v1 import pvc
from petset.api.core.v1.env import (
    FILE_PATHS,
    default_field_ref,
    field_ref_faults,
    resource_ref_faults,
)
from petset.api.core.v1.resources import canonical, parsed
from petset.api.errors import forbidden_field, invalid, required
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


def sources_of(volume: Obj) -> list[str]:
    """The kinds of source that a volume names."""
    return [key for key, value in volume.items() if key != "name" and value is not None]


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


def _default_host_path(source: MutableObj) -> None:
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
    "hostPath": _default_host_path,
    "projected": _default_projected,
    "ephemeral": _default_ephemeral,
    "image": _default_image,
}


def volumes_faults(path: str, volumes: Sequence[Any], pod_name: str) -> Faults:
    """Every fault of a pod's volumes; `pod_name` may be "" (templates)."""
    yield from unique(path, volumes, "name")
    for i, volume in enumerate(volumes):
        where = f"{path}[{i}]"
        yield from needed(f"{where}.name", volume.get("name"), names.dns_label)
        given = sources_of(volume)
        if not given:
            yield required(where, "must specify a volume type")
        for kind in given[1:]:
            yield forbidden_field(f"{where}.{kind}", "may not specify more than 1 volume type")
        if given and given[0] in _FAULTS:
            yield from _FAULTS[given[0]](f"{where}.{given[0]}", child(volume, given[0]))
        if pod_name and "ephemeral" in given:
            claim = f"{pod_name}-{volume.get('name')}"
            for message in names.dns_subdomain(claim):
                words = f'PVC name "{claim}": {message}'
                yield invalid(f"{where}.name", volume.get("name"), words)


def _mode(path: str, value: object) -> Faults:
    if isinstance(value, int) and not 0 <= value <= 0o777:
        yield invalid(path, value, "must be a number between 0 and 0777 (octal), both inclusive")


def local_path(path: str, value: str) -> Faults:
    """A path inside a volume: relative, never upwards."""
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    yield from no_backsteps(path, value)


def no_backsteps(path: str, value: str) -> Faults:
    """A path without `..`."""
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def _file_path(path: str, value: object) -> Faults:
    if not value:
        yield required(path)
        return
    name = str(value)
    yield from local_path(path, name)
    if name.startswith("..") and not name.startswith("../") and name != "..":
        yield invalid(path, value, "must not start with '..'")


def _key_items(path: str, source: Obj) -> Faults:
    for i, item in enumerate(items(source, "items")):
        where = f"{path}.items[{i}]"
        if not item.get("key"):
            yield required(f"{where}.key")
        yield from _file_path(f"{where}.path", item.get("path"))
        yield from _mode(f"{where}.mode", item.get("mode"))


def _config_map(path: str, source: Obj) -> Faults:
    if not source.get("name"):
        yield required(f"{path}.name")
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    yield from _key_items(path, source)


def _secret(path: str, source: Obj) -> Faults:
    if not source.get("secretName"):
        yield required(f"{path}.secretName")
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    yield from _key_items(path, source)


def _downward(path: str, source: Obj) -> Faults:
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    yield from _downward_items(path, source)


def _downward_items(where: str, source: Obj) -> Faults:
    """Faults are told at the source itself, without the item's index, as upstream does."""
    for item in items(source, "items"):
        yield from _file_path(f"{where}.path", item.get("path"))
        yield from _mode(f"{where}.mode", item.get("mode"))
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is None and resource is None:
            yield required(where, "one of fieldRef and resourceFieldRef is required")
        elif field is not None and resource is not None:
            yield invalid(
                where,
                "resource",
                "fieldRef and resourceFieldRef can not be specified simultaneously",
            )
        elif field is not None:
            yield from field_ref_faults(f"{where}.fieldRef", field, FILE_PATHS)
        else:
            yield from resource_ref_faults(
                f"{where}.resourceFieldRef", child(item, "resourceFieldRef"), in_volume=True
            )


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
        yield from no_backsteps(f"{path}.path", source["path"])
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
            yield forbidden_field(
                f"{where}.metadata.{key}", "may not be set for an ephemeral volume"
            )
    yield from pvc.spec_faults(f"{where}.spec", child(template, "spec"))


_PROJECTED = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle")


def _projected(path: str, source: Obj) -> Faults:
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    taken: set[str] = set()
    for i, part in enumerate(items(source, "sources")):
        where = f"{path}.sources[{i}]"
        given = [k for k, v in part.items() if v is not None]
        if not given:
            yield required(where, "must specify a volume type")
        for kind in given[1:]:
            yield forbidden_field(f"{where}.{kind}", "may not specify more than 1 volume type")
        for kind in given[:1]:
            value = child(part, kind)
            yield from _part(f"{where}.{kind}", kind, value)
            for file in _files(kind, value):
                if file in taken:
                    yield invalid(path, file, "conflicting duplicate paths")
                taken.add(file)


def _part(path: str, kind: str, value: Obj) -> Faults:
    if kind in ("secret", "configMap"):
        if not value.get("name"):
            yield required(f"{path}.name")
        yield from _key_items(path, value)
    elif kind == "downwardAPI":
        yield from _downward_items(path, value)
    elif kind == "serviceAccountToken":
        yield from between(f"{path}.expirationSeconds", value.get("expirationSeconds"), 600, 2**32)
        yield from _file_path(f"{path}.path", value.get("path"))


def _files(kind: str, value: Obj) -> list[str]:
    if kind == "serviceAccountToken":
        return [value["path"]] if value.get("path") else []
    return [item["path"] for item in items(value, "items") if item.get("path")]


def _nfs(path: str, source: Obj) -> Faults:
    for key in ("server", "path"):
        if not source.get(key):
            yield required(f"{path}.{key}")
    if source.get("path") and not source["path"].startswith("/"):
        yield invalid(f"{path}.path", source["path"], "must be an absolute path")


def _csi(path: str, source: Obj) -> Faults:
    yield from needed(f"{path}.driver", source.get("driver"), names.dns_subdomain)


def _image(path: str, source: Obj) -> Faults:
    if not source.get("reference"):
        yield required(f"{path}.reference")
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
    "projected": _projected,
    "nfs": _nfs,
    "csi": _csi,
    "image": _image,
}
