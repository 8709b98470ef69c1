import gzip
import io
import tarfile
from pathlib import Path

import orjson
import pytest

from petset.base.clock import SystemClock
from petset.node.images import archive
from petset.node.images.archive import ArchiveError
from petset.node.images.local import Store
from tests.unit.node.images.layers import Built, Entry, digest, image

MADE = image([[Entry("a", b"1")], [Entry("b", b"2")]], Cmd=["run"])


def pack(path: Path, members: dict[str, bytes]) -> Path:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(out.getvalue())
    return path


def docker(made: Built) -> dict[str, bytes]:
    layers = {
        f"{i}/layer.tar": gzip.decompress(b) for i, b in enumerate(list(made.blobs.values())[1:])
    }
    entry = {"Config": "config.json", "RepoTags": ["app:1"], "Layers": list(layers)}
    return {"config.json": made.config, **layers, "manifest.json": orjson.dumps([entry])}


def layout(made: Built) -> dict[str, bytes]:
    blobs = {f"./blobs/{name.replace(':', '/')}": data for name, data in made.blobs.items()}
    blobs[f"./blobs/{made.digest.replace(':', '/')}"] = made.manifest
    notes = {"io.containerd.image.name": "docker.io/library/app:1"}
    entry = {"digest": made.digest, "size": len(made.manifest), "annotations": notes}
    return {**blobs, "./index.json": orjson.dumps({"schemaVersion": 2, "manifests": [entry]})}


@pytest.mark.parametrize("form", ["docker", "docker.gz", "oci"])
def test_loads_what_docker_and_others_save(tmp_path: Path, form: str) -> None:
    file = pack(tmp_path / "x.tar", layout(MADE) if form == "oci" else docker(MADE))
    if form.endswith(".gz"):
        file.write_bytes(gzip.compress(file.read_bytes()))
    store = Store(tmp_path / "images")
    (record,) = archive.load(store, file, SystemClock())
    assert record.id == digest(MADE.config)
    assert record.tags == ("docker.io/library/app:1",)
    assert record.config.cmd == ("run",)
    assert (store.layer_path(record.layers[1]) / "b").read_bytes() == b"2"
    assert archive.load(store, file, SystemClock())[0].id == record.id
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "missing", ["manifest.json", "config.json", "0/layer.tar"], ids=lambda name: name
)
def test_refuses_archives_that_lack_something(tmp_path: Path, missing: str) -> None:
    members = docker(MADE)
    del members[missing]
    store = Store(tmp_path / "images")
    with pytest.raises(ArchiveError):
        archive.load(store, pack(tmp_path / "x.tar", members), SystemClock())
    assert store.records() == []


def test_refuses_archives_that_lie_or_are_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "images")
    members = docker(MADE)
    members["0/layer.tar"], members["1/layer.tar"] = members["1/layer.tar"], members["0/layer.tar"]
    with pytest.raises(ArchiveError, match="does not unpack"):
        archive.load(store, pack(tmp_path / "x.tar", members), SystemClock())
    (tmp_path / "y.tar").write_bytes(b"nonsense" * 100)
    with pytest.raises(ArchiveError, match="no tar archive"):
        archive.load(store, tmp_path / "y.tar", SystemClock())
