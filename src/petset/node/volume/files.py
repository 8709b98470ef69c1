"""The files of ConfigMap, Secret, downwardAPI and projected volumes. Pure.

`Need` values name the objects wanted; the caller fetches them and asks again with the content.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from petset.api.meta import Obj
from petset.node import environment
from petset.node.volume.base import VolumeFailedError

DEFAULT_MODE = 0o644
RESOURCES = {"configMap": "configmaps", "secret": "secrets"}
KINDS = ("configMap", "secret", "downwardAPI", "projected")


@dataclass(frozen=True, slots=True)
class File:
    """Content and permission bits of one file."""

    data: bytes
    mode: int


Contents = Mapping[tuple[str, str], Mapping[str, bytes] | None]
"""(resource, name) -> what is in it; None when there is none of that name."""


def is_kind(volume: Obj) -> bool:
    """Whether `volume` is one whose files are made here."""
    return any(volume.get(kind) is not None for kind in KINDS)


def _parts(volume: Obj) -> tuple[list[tuple[str, Obj]], int]:
    """(kind, source) of each part, and the mode of files that name none."""
    for kind in ("configMap", "secret", "downwardAPI"):
        source = volume.get(kind)
        if source is not None:
            return [(kind, source)], _mode(source)
    projected = volume.get("projected") or {}
    parts = [(k, s) for one in projected.get("sources") or () for k, s in one.items()]
    return parts, _mode(projected)


def _mode(source: Obj) -> int:
    value = source.get("defaultMode")
    return DEFAULT_MODE if value is None else int(value)


def _name(source: Obj) -> str:
    return source.get("secretName") or source.get("name") or ""


def references(volume: Obj) -> set[tuple[str, str]]:
    """(resource, name) of the objects that the volume's files come from."""
    parts, _ = _parts(volume)
    return {(RESOURCES[kind], _name(source)) for kind, source in parts if kind in RESOURCES}


def build(pod: Obj, volume: Obj, contents: Contents, facts: environment.Facts) -> dict[str, File]:
    """Every file by its path in the volume. Raises VolumeFailedError."""
    parts, mode = _parts(volume)
    made: dict[str, File] = {}
    for kind, source in parts:
        if kind in RESOURCES:
            made.update(_of_object(pod, (kind, source), contents, mode))
        elif kind == "downwardAPI":
            made.update(_downward(pod, source, facts, mode))
        else:
            raise VolumeFailedError(f"petset does not support projected {kind} volumes yet")
    return made


def _of_object(pod: Obj, part: tuple[str, Obj], contents: Contents, mode: int) -> dict[str, File]:
    kind, source = part
    name, optional = _name(source), bool(source.get("optional"))
    content = contents.get((RESOURCES[kind], name))
    if content is None:
        if optional:
            return {}
        raise VolumeFailedError(f'{kind.lower()} "{name}" not found')
    items = source.get("items")
    if not items:
        return {key: File(data, mode) for key, data in content.items()}
    made = {}
    for item in items:
        key = item.get("key") or ""
        if key in content:
            own = item.get("mode")
            made[item["path"]] = File(content[key], mode if own is None else int(own))
        elif not optional:
            namespace = (pod.get("metadata") or {}).get("namespace")
            raise VolumeFailedError(
                f"references non-existent {kind.lower()} key: {key} in {namespace}/{name}"
            )
    return made


def _downward(pod: Obj, source: Obj, facts: environment.Facts, mode: int) -> dict[str, File]:
    made = {}
    for item in source.get("items") or ():
        own = item.get("mode")
        try:
            if reference := item.get("fieldRef"):
                text = environment.field_value(pod, reference.get("fieldPath") or "", facts)
            else:
                reference = item.get("resourceFieldRef") or {}
                text = environment.resource_value(pod, {}, reference, facts)
        except environment.ConfigError as error:
            raise VolumeFailedError(str(error)) from error
        made[item["path"]] = File(text.encode(), mode if own is None else int(own))
    return made
