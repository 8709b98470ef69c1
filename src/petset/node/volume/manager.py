"""Mounts the volumes of one node's pods.

A pod's volumes lie below `<state>/pods/<uid>/volumes/<name>`; which ones were made is noted in
`volumes.json` beside, once all of them are, so that the next agent need not make them again.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from petset.api import quantity
from petset.api.meta import Obj, name_of, namespace_of, uid_of
from petset.node import environment, kernel, podspec
from petset.node.volume import atomic, claim, fence, files, hostpath
from petset.node.volume.base import Fetch, Mounted, VolumeFailedError


@dataclass(frozen=True, slots=True)
class VolumesConfig:
    """What the volumes of a node need.

    Attributes:
        state_dir: the node's state directory.
        facts: of the node, for downwardAPI files.
        is_alive: whether a pod's processes live, by its records directory.
    """

    state_dir: Path
    facts: environment.Facts
    is_alive: fence.IsAlive


@dataclass(frozen=True, slots=True)
class _Noted:
    """What is kept on disk of a pod's mounted volumes."""

    mounted: dict[str, Mounted]
    fenced: tuple[str, ...]


class NodeVolumes:
    """See `volume.base.Volumes`."""

    def __init__(self, config: VolumesConfig, fetch: Fetch, new_token: Callable[[], str]) -> None:
        self._config = config
        self._fetch = fetch
        self._token = new_token
        self._noted: dict[str, _Noted] = {}

    def _pod_dir(self, uid: str) -> Path:
        return self._config.state_dir / "pods" / uid

    def _directory(self, uid: str, name: str) -> Path:
        return self._pod_dir(uid) / "volumes" / name

    # -- mount ----------------------------------------------------------------------------------

    async def mount(self, pod: Obj) -> Mapping[str, Mounted]:
        """Make and mount every volume of `pod`, by name."""
        made: dict[str, Mounted] = {}
        fenced: list[str] = []
        for volume in podspec.spec_of(pod).get("volumes") or ():
            try:
                made[volume["name"]] = await self._one(pod, volume, fenced)
            except (VolumeFailedError, OSError, ValueError) as error:
                for path in fenced:
                    await asyncio.to_thread(fence.release, Path(path), self._records(uid_of(pod)))
                raise VolumeFailedError(
                    f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                ) from error
        noted = _Noted(made, tuple(fenced))
        try:
            await asyncio.to_thread(self._note, uid_of(pod), noted)
        except OSError as error:
            raise VolumeFailedError(f"MountVolume.SetUp failed: {error}") from error
        self._noted[uid_of(pod)] = noted
        return made

    async def _one(self, pod: Obj, volume: Obj, fenced: list[str]) -> Mounted:
        if files.is_kind(volume):
            contents = await self._contents(pod, [volume])
            return await asyncio.to_thread(self._write, pod, volume, contents)
        if volume.get("emptyDir") is not None:
            return await asyncio.to_thread(self._empty_dir, pod, volume)
        if volume.get("hostPath"):
            source = volume["hostPath"]
            path, kind = source["path"], source.get("type") or ""
            await asyncio.to_thread(hostpath.check, Path(path), kind)
            return Mounted(path)
        if volume.get("persistentVolumeClaim"):
            return await self._claim(pod, volume["persistentVolumeClaim"], fenced)
        kinds = [key for key in volume if key != "name"]
        raise VolumeFailedError(
            f"petset does not support {', '.join(kinds) or 'empty'} volumes yet"
        )

    def _empty_dir(self, pod: Obj, volume: Obj) -> Mounted:
        target = self._directory(uid_of(pod), volume["name"])
        target.mkdir(parents=True, exist_ok=True)
        source = volume["emptyDir"] or {}
        if source.get("medium") == "Memory" and not target.is_mount():
            limit = source.get("sizeLimit")
            size = f",size={quantity.whole(limit)}" if limit else ""
            kernel.mount("tmpfs", str(target), "tmpfs", data=f"mode=0777{size}")
        elif source.get("medium") not in (None, "", "Memory"):
            raise VolumeFailedError(f"petset does not support medium {source['medium']} yet")
        target.chmod(0o777)
        _own(target, _fs_group(pod), deep=False)
        return Mounted(str(target))

    async def _claim(self, pod: Obj, reference: Obj, fenced: list[str]) -> Mounted:
        source = await claim.resolve(self._fetch, pod, reference["claimName"])
        path = Path(source.path)

        def body() -> None:
            hostpath.check(path, source.kind)
            real = path.resolve()
            if source.fenced:
                claimant = self._claimant(pod)
                self._intend(uid_of(pod), str(real))
                fence.acquire(real, claimant, self._config.is_alive, one_pod=source.one_pod)
                fenced.append(str(real))
            if source.group_applies:
                policy = (podspec.spec_of(pod).get("securityContext") or {}).get(
                    "fsGroupChangePolicy"
                )
                _own(real, _fs_group(pod), deep=True, on_mismatch=policy == "OnRootMismatch")

        await asyncio.to_thread(body)
        return Mounted(str(path), bool(reference.get("readOnly")))

    def _claimant(self, pod: Obj) -> fence.Claimant:
        name = f"{namespace_of(pod)}/{name_of(pod)}"
        records = self._records(uid_of(pod))
        return fence.Claimant(str(self._config.state_dir), records, name)

    def _records(self, uid: str) -> str:
        return str(self._pod_dir(uid))

    # -- files ----------------------------------------------------------------------------------

    async def _contents(self, pod: Obj, volumes: Sequence[Obj]) -> files.Contents:
        wanted = {reference for volume in volumes for reference in files.references(volume)}
        found: dict[tuple[str, str], Mapping[str, bytes] | None] = {}
        for resource, name in wanted:
            obj = await self._fetch(resource, namespace_of(pod), name)
            found[resource, name] = None if obj is None else environment.content_of(obj)
        return found

    def _write(self, pod: Obj, volume: Obj, contents: files.Contents) -> Mounted:
        target = self._directory(uid_of(pod), volume["name"])
        made = files.build(pod, volume, contents, self._config.facts)
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(0o755)
        atomic.write(target, made, group=_fs_group(pod), token=self._token())
        return Mounted(str(target), read_only=True)

    async def refresh(self, pod: Obj) -> None:
        """Bring the content of ConfigMap, Secret and downwardAPI volumes up to date."""
        volumes = [v for v in podspec.spec_of(pod).get("volumes") or () if files.is_kind(v)]
        if not volumes or self.mounted(pod) is None:
            return
        contents = await self._contents(pod, volumes)
        for volume in volumes:
            await asyncio.to_thread(self._write, pod, volume, contents)

    # -- what is there --------------------------------------------------------------------------

    def _file(self, uid: str) -> Path:
        return self._pod_dir(uid) / "volumes.json"

    def _note(self, uid: str, noted: _Noted) -> None:
        raw: dict[str, Any] = {
            "boot": kernel.boot_id(),
            "mounted": {name: asdict(m) for name, m in noted.mounted.items()},
            "fenced": list(noted.fenced),
        }
        file = self._file(uid)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(raw))
        fresh.replace(file)

    def _intent(self, uid: str) -> Path:
        return self._pod_dir(uid) / "fences.json"

    def _intend(self, uid: str, path: str) -> None:
        """Keep that the pod is about to use a fenced volume, for whoever has to end its use."""
        paths = {*self._intended(uid), path}
        file = self._intent(uid)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(sorted(paths)))
        fresh.replace(file)

    def _intended(self, uid: str) -> list[str]:
        try:
            return [str(path) for path in json.loads(self._intent(uid).read_bytes())]
        except (FileNotFoundError, ValueError):
            return []

    def _load(self, uid: str) -> _Noted | None:
        try:
            raw = json.loads(self._file(uid).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        if raw.get("boot") != kernel.boot_id():
            return None
        mounted = {name: Mounted(**value) for name, value in raw["mounted"].items()}
        return _Noted(mounted, tuple(raw["fenced"]))

    def mounted(self, pod: Obj) -> Mapping[str, Mounted] | None:
        """The pod's volumes if `mount` was done for it since the machine started."""
        uid = uid_of(pod)
        if uid not in self._noted:
            loaded = self._load(uid)
            if loaded is None:
                return None
            self._noted[uid] = loaded
        return self._noted[uid].mounted

    def may_start(self, pod: Obj) -> bool:
        """Whether the pod still owns its volumes; asked before each start of a container."""
        if self.mounted(pod) is None:
            return False
        claimant = self._claimant(pod)
        return all(fence.holds(Path(p), claimant) for p in self._noted[uid_of(pod)].fenced)

    async def unmount(self, uid: str) -> None:
        """Unmount the pod's volumes and remove those that end with it."""
        noted = self._noted.pop(uid, None) or self._load(uid)
        await asyncio.to_thread(self._unmount, uid, noted.fenced if noted else ())

    def _unmount(self, uid: str, fenced: Sequence[str]) -> None:
        root = self._pod_dir(uid) / "volumes"
        if root.exists():
            for point in kernel.mounts_below(root):
                kernel.unmount(point)
            shutil.rmtree(root, ignore_errors=True)
        for path in {*fenced, *self._intended(uid)}:
            fence.release(Path(path), self._records(uid))
        self._file(uid).unlink(missing_ok=True)
        self._intent(uid).unlink(missing_ok=True)


def _fs_group(pod: Obj) -> int | None:
    value = (podspec.spec_of(pod).get("securityContext") or {}).get("fsGroup")
    return None if value is None else int(value)


def _own(path: Path, group: int | None, *, deep: bool, on_mismatch: bool = False) -> None:
    """Give `path` to `group`, group-writable, new files in it too (setgid)."""
    if group is None:
        return
    root = path.stat()
    if on_mismatch and root.st_gid == group and root.st_mode & 0o2070 == 0o2070:
        return
    if deep:
        for base, folders, names in os.walk(path):
            for name in names:
                inner = Path(base, name)
                os.lchown(inner, -1, group)
                if not inner.is_symlink():
                    inner.chmod(inner.stat().st_mode & 0o7777 | 0o660)
            for name in folders:
                inner = Path(base, name)
                os.lchown(inner, -1, group)
                if not inner.is_symlink():
                    inner.chmod(inner.stat().st_mode & 0o7777 | 0o2770)
    os.chown(path, -1, group)
    path.chmod(path.stat().st_mode & 0o7777 | 0o2770)
