"""How containers mount a pod's volumes: validation of volumeMounts and volumeDevices.

Faults of sub-paths, propagation and recursive read-only are told at the list, as upstream does.
"""

from collections.abc import Mapping

from petset.api.check import Faults, items, one_of, text
from petset.api.core.v1.projected import descending
from petset.api.errors import forbidden_field, invalid, not_found_field, required
from petset.api.meta import Obj

_RECURSIVE = ("Disabled", "Enabled", "IfPossible")
_PROPAGATION = ("Bidirectional", "HostToContainer", "None")


def mounts_faults(
    path: str, container: Obj, volumes: Mapping[str, str], privileged: bool
) -> Faults:
    """Every fault of a container's volumeMounts and volumeDevices.

    `volumes` maps the names of the pod's volumes to their kinds of source.
    """
    mounts, devices = items(container, "volumeMounts"), items(container, "volumeDevices")
    paths: set[str] = set()
    device_names = {text(device.get("name")) for device in devices}
    device_paths = {text(device.get("devicePath")) for device in devices}
    for i, mount in enumerate(mounts):
        where = f"{path}.volumeMounts[{i}]"
        name, at = text(mount.get("name")), text(mount.get("mountPath"))
        yield from _mounted(f"{where}.name", name, volumes)
        if not at:
            yield required(f"{where}.mountPath")
        if at in paths:
            yield invalid(f"{where}.mountPath", at, "must be unique")
        paths.add(at)
        if name in device_names:
            yield invalid(f"{where}.name", name, "must not already exist in volumeDevices")
        if at in device_paths:
            words = "must not already exist as a path in volumeDevices"
            yield invalid(f"{where}.mountPath", at, words)
        yield from _how_faults(f"{path}.volumeMounts", where, mount, privileged)
    mounted = {text(mount.get("name")) for mount in mounts}
    yield from _devices_faults(f"{path}.volumeDevices", container, volumes, (mounted, paths))


def _mounted(path: str, name: str, volumes: Mapping[str, str]) -> Faults:
    if not name:
        yield required(path)
    if name not in volumes:
        yield not_found_field(path, name)


def _how_faults(path: str, where: str, mount: Obj, privileged: bool) -> Faults:
    plain, expression = text(mount.get("subPath")), text(mount.get("subPathExpr"))
    yield from descending(f"{path}.subPath", plain)
    if plain and expression:
        words = "subPathExpr and subPath are mutually exclusive"
        yield invalid(f"{where}.subPathExpr", expression, words)
    yield from descending(f"{path}.subPathExpr", expression)
    mode, there = mount.get("mountPropagation"), f"{path}.mountPropagation"
    yield from one_of(there, mode, _PROPAGATION)
    if mode == "Bidirectional" and not privileged:
        words = "Bidirectional mount propagation is available only to privileged containers"
        yield forbidden_field(there, words)
    recursive, there = mount.get("recursiveReadOnly"), f"{path}.recursiveReadOnly"
    yield from one_of(there, recursive, _RECURSIVE)
    if recursive in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            yield forbidden_field(there, "may only be specified when readOnly is true")
        if mode not in (None, "None"):
            words = "may only be specified when mountPropagation is None or not specified"
            yield forbidden_field(there, words)


def _devices_faults(
    path: str, container: Obj, volumes: Mapping[str, str], mounted: tuple[set[str], set[str]]
) -> Faults:
    names: set[str] = set()
    paths: set[str] = set()
    for i, device in enumerate(items(container, "volumeDevices")):
        name, at = text(device.get("name")), text(device.get("devicePath"))
        yield from _device_name_faults(f"{path}[{i}].name", name, names, volumes)
        yield from _device_path_faults(f"{path}[{i}].devicePath", at, paths)
        if name in mounted[0]:
            yield invalid(f"{path}[{i}].name", name, "must not already exist in volumeMounts")
        if at in mounted[1]:
            words = "must not already exist as a path in volumeMounts"
            yield invalid(f"{path}[{i}].devicePath", at, words)
        names.add(name)
        paths.add(at)


def _device_name_faults(
    path: str, name: str, names: set[str], volumes: Mapping[str, str]
) -> Faults:
    if not name:
        yield required(path)
    elif name in names:
        yield invalid(path, name, "must be unique")
    if name not in volumes:
        yield not_found_field(path, name)
    elif volumes[name] not in ("persistentVolumeClaim", "ephemeral"):
        words = (
            "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
        )
        yield invalid(path, name, words)


def _device_path_faults(path: str, at: str, paths: set[str]) -> Faults:
    if not at:
        yield required(path)
    if at in paths:
        yield invalid(path, at, "must be unique")
    if ".." in at.split("/"):
        yield invalid(path, at, "can not contain backsteps ('..')")
