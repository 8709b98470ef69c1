"""Warnings about volumes of pods: kinds that are deprecated, files that hide one another."""

from collections.abc import Iterator, Sequence
from typing import Any

from petset.api.check import child, items, text
from petset.api.core.v1.resources import is_fractional
from petset.api.meta import Obj

_OLD = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SPELLED = {"storageos": "storageOS"}
"""Kinds that upstream spells otherwise in warnings."""


def of_volumes(path: str, volumes: Sequence[Any]) -> Iterator[str]:
    """Warnings about a pod's volumes."""
    for i, volume in enumerate(volumes):
        for kind, words in _OLD.items():
            if volume.get(kind) is not None:
                yield f"{path}[{i}].{_SPELLED.get(kind, kind)}: {words}"
        claim = child(volume, "ephemeral", "volumeClaimTemplate", "spec")
        yield from of_claim(f"{path}[{i}].ephemeral.volumeClaimTemplate.spec", claim)
    for volume in volumes:
        yield from _of_files(volume)


def of_claim(path: str, spec: Obj) -> Iterator[str]:
    """Warnings about the spec of a claim."""
    amount = child(spec, "resources", "requests").get("storage")
    if is_fractional(amount):
        yield (
            f"{path}.resources.requests[storage]: fractional byte value "
            f'"{amount}" is invalid, must be an integer'
        )


def _of_files(volume: Obj) -> Iterator[str]:
    name = text(volume.get("name"))
    for kind, word, key in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
        source = child(volume, kind)
        about = f'volume "{name}" ({word} "{text(source.get(key))}")'
        yield from _overlaps(_paths(source), about)
    yield from _overlaps(_paths(child(volume, "downwardAPI")), f'volume "{name}" (DownwardAPI)')
    known: set[str] = set()
    for source in items(child(volume, "projected"), "sources"):
        given = next((kind for kind in _PARTS if source.get(kind) is not None), "")
        if not given:
            yield f'volume "{name}" (Projected) has no sources provided'
            continue
        part = child(source, given)
        of = next((f' "{part[key]}"' for key in ("name", "signerName") if part.get(key)), "")
        about = f'volume "{name}" (Projected {_PARTS[given]}{of})'
        paths = _paths(part) or [path for path in [text(part.get("path"))] if path]
        yield from _overlaps(paths, about)
        yield from _overlaps(sorted([*set(paths), *known]) if paths else [], about)
        known.update(paths)


_PARTS = {
    "configMap": "ConfigMap",
    "secret": "Secret",
    "downwardAPI": "DownwardAPI",
    "serviceAccountToken": "ServiceAccountToken",
    "clusterTrustBundle": "ClusterTrustBundle",
}


def _paths(source: Obj) -> list[str]:
    return [text(item.get("path")) for item in items(source, "items")]


def _overlaps(paths: Sequence[str], about: str) -> Iterator[str]:
    """Files of the same path, or of a path that is a folder of another."""
    seen: list[str] = []
    for path in (path.rstrip("/") for path in paths):
        other = next((one for one in seen if _meet(one, path)), None)
        if other is not None:
            yield f'{about}: overlapping paths: "{path}" with "{other}"'
        if path not in seen:
            seen.append(path)


def _meet(one: str, other: str) -> bool:
    if not one or not other:
        return False
    return one == other or f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
