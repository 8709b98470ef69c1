"""Resolves a PersistentVolumeClaim to a directory of this machine. Pure but for the fetching."""

from dataclasses import dataclass

from petset.api.meta import Obj, annotations_of, name_of, namespace_of, uid_of
from petset.node.volume.base import Fetch, VolumeFailedError
from petset.node.volume.hostpath import LOCAL


@dataclass(frozen=True, slots=True)
class Source:
    """Where a claim's data lies.

    Attributes:
        kind: what has to be at the path, as `hostpath.check` takes it. A volume's data is never
            made anew: its pod would begin with nothing where there was something.
        fenced: whether only one node may use it at a time.
        one_pod: whether only one pod may.
        group_applies: whether fsGroup changes the owner of what is inside (not of paths that
            somebody else made).
    """

    path: str
    kind: str
    fenced: bool
    one_pod: bool
    group_applies: bool


async def resolve(fetch: Fetch, pod: Obj, name: str) -> Source:
    """The directory of claim `name` of the pod's namespace. Raises VolumeFailedError."""
    claim = await fetch("persistentvolumeclaims", namespace_of(pod), name)
    if claim is None:
        raise VolumeFailedError(f'persistentvolumeclaim "{name}" not found')
    spec = claim.get("spec") or {}
    volume_name = spec.get("volumeName")
    if (claim.get("status") or {}).get("phase") != "Bound" or not volume_name:
        raise VolumeFailedError(f'persistentvolumeclaim "{name}" is not bound')
    volume = await fetch("persistentvolumes", "", volume_name)
    if volume is None:
        raise VolumeFailedError(f'persistentvolume "{volume_name}" not found')
    return source_of(volume, claim)


def source_of(volume: Obj, claim: Obj) -> Source:
    """The directory of `volume`, bound to `claim`. Raises VolumeFailedError."""
    spec = volume.get("spec") or {}
    owner = spec.get("claimRef") or {}
    if owner.get("uid") != uid_of(claim):
        raise VolumeFailedError(
            f'persistentvolume "{name_of(volume)}" is bound to another claim than '
            f'"{namespace_of(claim)}/{name_of(claim)}"'
        )
    if spec.get("volumeMode") == "Block":
        raise VolumeFailedError("petset does not support volumeMode Block yet")
    modes = set(spec.get("accessModes") or ())
    fenced = not modes & {"ReadWriteMany", "ReadOnlyMany"}
    made_here = "pv.kubernetes.io/provisioned-by" in annotations_of(volume)
    for kind in ("hostPath", "local"):
        if spec.get(kind):
            has_data = kind == "local" or made_here
            return Source(
                path=spec[kind]["path"],
                kind=LOCAL if has_data else spec[kind].get("type") or "",
                fenced=fenced,
                one_pod="ReadWriteOncePod" in modes,
                group_applies=has_data,
            )
    known = ("capacity", "accessModes", "claimRef", "storageClassName", "nodeAffinity")
    others = [k for k, v in spec.items() if isinstance(v, dict) and k not in known]
    raise VolumeFailedError(f"petset does not support {', '.join(others) or 'these'} volumes yet")
