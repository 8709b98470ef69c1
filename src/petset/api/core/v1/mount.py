"""How containers mount a pod's volumes: validation of volumeMounts and volumeDevices."""

from collections.abc import Mapping

from petset.api.check import Faults, items, one_of
from petset.api.core.v1.volume import local_path, no_backsteps
from petset.api.errors import forbidden_field, invalid, not_found_field, required
from petset.api.meta import Obj


def mounts_faults(
    path: str, container: Obj, volumes: Mapping[str, str], privileged: bool
) -> Faults:
    """Every fault of a container's volumeMounts and volumeDevices.

    `volumes` maps the names of the pod's volumes to their kinds of source.
    """
    seen: set[str] = set()
    for i, mount in enumerate(items(container, "volumeMounts")):
        where = f"{path}.volumeMounts[{i}]"
        yield from _mounted(f"{where}.name", mount.get("name"), volumes)
        at = mount.get("mountPath") or ""
        if not at:
            yield required(f"{where}.mountPath")
        if at in seen:
            yield invalid(f"{where}.mountPath", at, "must be unique")
        seen.add(at)
        yield from _sub_path_faults(where, mount)
        yield from _propagation_faults(f"{where}.mountPropagation", mount, privileged)
    yield from _devices_faults(f"{path}.volumeDevices", container, volumes, seen)


def _mounted(path: str, name: object, volumes: Mapping[str, str]) -> Faults:
    if not name:
        yield required(path)
    elif name not in volumes:
        yield not_found_field(path, name)


def _sub_path_faults(path: str, mount: Obj) -> Faults:
    for key in ("subPath", "subPathExpr"):
        if mount.get(key):
            yield from local_path(f"{path}.{key}", mount[key])
    if mount.get("subPath") and mount.get("subPathExpr"):
        yield invalid(
            f"{path}.subPathExpr",
            mount["subPathExpr"],
            "subPathExpr and subPath are mutually exclusive",
        )
    recursive = mount.get("recursiveReadOnly")
    where = f"{path}.recursiveReadOnly"
    yield from one_of(where, recursive, ("Disabled", "Enabled", "IfPossible"))
    if recursive in ("Enabled", "IfPossible") and not mount.get("readOnly"):
        yield forbidden_field(where, "may only be specified when readOnly is true")


def _propagation_faults(path: str, mount: Obj, privileged: bool) -> Faults:
    mode = mount.get("mountPropagation")
    yield from one_of(path, mode, ("Bidirectional", "HostToContainer", "None"))
    if mode == "Bidirectional" and not privileged:
        yield forbidden_field(
            path, "Bidirectional mount propagation is available only to privileged containers"
        )


def _devices_faults(
    path: str, container: Obj, volumes: Mapping[str, str], mounted: set[str]
) -> Faults:
    seen: set[str] = set()
    for i, device in enumerate(items(container, "volumeDevices")):
        where, at = f"{path}[{i}]", device.get("devicePath") or ""
        yield from _mounted(f"{where}.name", device.get("name"), volumes)
        kind = volumes.get(device.get("name") or "")
        if kind not in (None, "persistentVolumeClaim", "ephemeral"):
            yield invalid(
                f"{where}.name",
                device.get("name"),
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block "
                "mode",
            )
        if not at:
            yield required(f"{where}.devicePath")
        if at in seen:
            yield invalid(f"{where}.devicePath", at, "must be unique")
        if at in mounted:
            yield invalid(
                f"{where}.devicePath", at, "must not already exist as a path in volumeMounts"
            )
        yield from no_backsteps(f"{where}.devicePath", at)
        seen.add(at)
