"""hostPath types, subPaths, and which claims can be mounted."""

from pathlib import Path
from typing import Any

import pytest

from petset.node.volume import claim, hostpath
from petset.node.volume.base import VolumeFailedError


def test_host_path_types_are_checked_and_made(tmp_path: Path) -> None:
    hostpath.check(tmp_path / "d", "DirectoryOrCreate")
    hostpath.check(tmp_path / "d", "Directory")
    hostpath.check(tmp_path / "f", "FileOrCreate")
    hostpath.check(tmp_path / "f", "File")
    for path, kind in ((tmp_path / "f", "Directory"), (tmp_path / "no", "File")):
        with pytest.raises(VolumeFailedError, match="type check failed"):
            hostpath.check(path, kind)
    with pytest.raises(VolumeFailedError, match="does not support hostPath type Odd"):
        hostpath.check(tmp_path, "Odd")


def test_data_of_volumes_that_is_missing_is_never_begun_anew(tmp_path: Path) -> None:
    lost, file = tmp_path / "lost", tmp_path / "file"
    file.touch()
    by_hand = {**volume(hostPath={"path": str(lost)}), "metadata": {"name": "pv"}}
    assert claim.source_of(by_hand, CLAIM).kind == ""
    older = {"path": str(lost), "type": "DirectoryOrCreate"}
    for kept in (volume(hostPath=older), volume(local={"path": str(lost)})):
        kind = claim.source_of(kept, CLAIM).kind
        with pytest.raises(VolumeFailedError, match=r'^path ".*lost" does not exist$'):
            hostpath.check(lost, kind)
        assert not lost.exists()
        with pytest.raises(VolumeFailedError, match="is not a directory"):
            hostpath.check(file, kind)
        hostpath.check(tmp_path, kind)


def test_sub_paths_stay_inside(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    made = hostpath.sub_path(str(root), "a/b")
    assert Path(made).is_dir()
    (root / "out").symlink_to(tmp_path)
    for part in ("../x", "out/x"):
        with pytest.raises(VolumeFailedError, match="leads out"):
            hostpath.sub_path(str(root), part)


CLAIM = {"metadata": {"name": "c", "namespace": "default", "uid": "cu"}}


def volume(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "pv", "annotations": {"pv.kubernetes.io/provisioned-by": "x"}},
        "spec": {"claimRef": {"uid": "cu"}, "accessModes": ["ReadWriteOnce"], **spec},
    }


def test_sources_of_claims() -> None:
    found = claim.source_of(volume(local={"path": "/x"}), CLAIM)
    assert (found.path, found.fenced, found.one_pod, found.group_applies) == (
        "/x",
        True,
        False,
        True,
    )
    shared = volume(hostPath={"path": "/y"}, accessModes=["ReadWriteMany"])
    assert not claim.source_of(shared, CLAIM).fenced
    single = volume(hostPath={"path": "/y"}, accessModes=["ReadWriteOncePod"])
    assert claim.source_of(single, CLAIM).one_pod


def test_volumes_that_cannot_be_mounted_are_named() -> None:
    with pytest.raises(VolumeFailedError, match="does not support nfs"):
        claim.source_of(volume(nfs={"server": "x"}), CLAIM)
    with pytest.raises(VolumeFailedError, match="Block"):
        claim.source_of(volume(local={"path": "/x"}, volumeMode="Block"), CLAIM)
    with pytest.raises(VolumeFailedError, match="bound to another claim"):
        claim.source_of(volume(local={"path": "/x"}), {"metadata": {"uid": "other"}})


async def test_an_unbound_claim_is_waited_for() -> None:
    async def fetch(resource: str, namespace: str, name: str) -> Any:
        del resource, namespace, name
        return {**CLAIM, "status": {"phase": "Pending"}}

    with pytest.raises(VolumeFailedError, match="is not bound"):
        await claim.resolve(fetch, {"metadata": {"namespace": "default"}}, "c")
