from typing import Any

import pytest

from petset.node.images import manifest
from petset.node.images.manifest import Descriptor, ManifestError

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": B, "size": 5}


def entry(architecture: str, digest: str, **more: str) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": architecture} | more
    return {"digest": digest, "size": 1, "platform": platform}


def test_chooses_by_platform_and_prefers_the_exact_variant() -> None:
    index = {
        "manifests": [
            entry("amd64", A, os="windows"),
            entry("arm", A, variant="v6"),
            entry("arm", B, variant="v7"),
            entry("amd64", B),
        ]
    }
    assert manifest.choose(index, "amd64").digest == B
    assert manifest.choose(index, "arm", "v7").digest == B
    assert manifest.choose(index, "arm", "v5").digest == A
    with pytest.raises(ManifestError, match="no match for platform in manifest: linux/s390x"):
        manifest.choose(index, "s390x")


def test_tells_indexes_from_manifests() -> None:
    assert manifest.is_index({"mediaType": manifest.DOCKER_LIST})
    assert manifest.is_index({"manifests": []})
    assert not manifest.is_index({"mediaType": manifest.OCI_MANIFEST, "manifests": []})


def test_reads_manifests() -> None:
    found = manifest.manifest(
        {"schemaVersion": 2, "config": {"digest": A, "size": 7}, "layers": [LAYER]}
    )
    assert found.config == Descriptor(A, 7)
    assert found.layers[0].digest == B


@pytest.mark.parametrize(
    "changes",
    [
        {"schemaVersion": 1},
        {"mediaType": "application/vnd.docker.distribution.manifest.v1+json"},
        {"config": None},
        {"config": {"digest": "sha256:short", "size": 1}},
        {"config": {"digest": A, "size": -1}},
        {"layers": "none"},
        {"layers": [LAYER | {"mediaType": "application/vnd.oci.image.layer.v1.tar+encrypted"}]},
        {"layers": [LAYER | {"digest": "sha512:" + "a" * 128}]},
    ],
)
def test_refuses_by_name_what_it_does_not_know(changes: dict[str, Any]) -> None:
    document = {"schemaVersion": 2, "config": {"digest": A, "size": 7}, "layers": [LAYER]}
    with pytest.raises(ManifestError):
        manifest.manifest(document | changes)


def test_reads_configurations() -> None:
    config = manifest.config(
        {
            "rootfs": {"diff_ids": [A]},
            "config": {
                "Entrypoint": ["/e"],
                "Cmd": None,
                "Env": ["A=b"],
                "User": "1",
                "StopSignal": "SIGQUIT",
                "WorkingDir": "/w",
                "Labels": {"a": "b"},
            },
        }
    )
    assert config.entrypoint == ("/e",)
    assert config.cmd == ()
    assert config.env == ("A=b",)
    assert (config.user, config.stop_signal, config.working_dir) == ("1", "SIGQUIT", "/w")
    assert manifest.config({}).diff_ids == ()
    for broken in ({"os": "windows"}, {"rootfs": {"diff_ids": ["../../x"]}}):
        with pytest.raises(ManifestError):
            manifest.config(broken)
