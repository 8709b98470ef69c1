"""What is kept of a pod's volumes lets the next agent end their use."""

from pathlib import Path

from petset.api.meta import MutableObj
from petset.node.environment import Facts
from petset.node.volume import fence
from petset.node.volume.manager import NodeVolumes, VolumesConfig
from tests.unit.node import pods


def volumes(state: Path, data: Path) -> NodeVolumes:
    async def fetch(resource: str, namespace: str, name: str) -> MutableObj | None:
        del namespace
        if resource == "persistentvolumeclaims":
            spec = {"volumeName": "pv"}
            return {"metadata": {"name": name, "uid": "u"}, "spec": spec, "status": BOUND}
        modes = ["ReadWriteOnce"]
        claimed = {"claimRef": {"uid": "u"}, "accessModes": modes, "local": {"path": str(data)}}
        return {"metadata": {"name": name}, "spec": claimed}

    config = VolumesConfig(state, Facts("", "", "n1", {}), lambda path: path.exists())
    return NodeVolumes(config, fetch, lambda: "token")


BOUND = {"phase": "Bound"}
POD = pods.pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}])


async def test_an_agent_killed_before_it_noted_its_mounts_leaves_no_fence(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    first = volumes(tmp_path / "state", data)
    await first.mount(POD)
    assert fence.file_of(data).exists()
    (tmp_path / "state/pods/u1/volumes.json").unlink()
    second = volumes(tmp_path / "state", data)
    assert second.mounted(POD) is None
    await second.unmount("u1")
    assert not fence.file_of(data).exists()
    assert not list((tmp_path / "state/pods/u1").iterdir())
