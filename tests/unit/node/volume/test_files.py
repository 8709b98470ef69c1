"""Files of ConfigMap, Secret, downwardAPI and projected volumes, and how they are written."""

from pathlib import Path
from typing import Any

import pytest

from petset.node.environment import Facts
from petset.node.volume import atomic, files
from petset.node.volume.base import VolumeFailedError
from petset.node.volume.files import File
from tests.unit.node.pods import pod

CONTENTS: dict[tuple[str, str], dict[str, bytes] | None] = {
    ("configmaps", "cm"): {"a": b"1", "b": b"2"},
    ("secrets", "s"): {"key": b"x"},
}


def build(**volume: Any) -> dict[str, File]:
    return files.build(pod(metadata={"labels": {"app": "x"}}), volume, CONTENTS, Facts())


def test_every_key_becomes_a_file() -> None:
    found = build(configMap={"name": "cm", "defaultMode": 0o400})
    assert found == {"a": File(b"1", 0o400), "b": File(b"2", 0o400)}


def test_items_choose_rename_and_set_modes() -> None:
    items = [{"key": "a", "path": "sub/one", "mode": 0o600}]
    assert build(configMap={"name": "cm", "items": items}) == {"sub/one": File(b"1", 0o600)}


def test_what_is_missing_fails_unless_optional() -> None:
    with pytest.raises(VolumeFailedError, match='secret "no" not found'):
        build(secret={"secretName": "no"})
    assert build(secret={"secretName": "no", "optional": True}) == {}
    items = [{"key": "zz", "path": "zz"}]
    with pytest.raises(VolumeFailedError, match="non-existent configmap key: zz in default/cm"):
        build(configMap={"name": "cm", "items": items})


def test_projected_joins_its_sources() -> None:
    sources = [
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "a"}]}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    found = build(projected={"sources": sources})
    assert {name: file.data for name, file in found.items()} == {
        "a": b"1",
        "key": b"x",
        "n": b"web-0",
    }


def test_service_account_tokens_are_refused_by_name() -> None:
    with pytest.raises(VolumeFailedError, match="serviceAccountToken"):
        build(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]})


def test_references_are_named() -> None:
    volume = {"projected": {"sources": [{"configMap": {"name": "cm"}}, {"secret": {"name": "s"}}]}}
    assert files.references(volume) == {("configmaps", "cm"), ("secrets", "s")}


def test_content_is_swapped_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "v"
    first = {"a": File(b"1", 0o644), "sub/b": File(b"2", 0o600)}
    assert atomic.write(target, first, group=None, token="t1")
    assert (target / "a").read_bytes() == b"1"
    assert (target / "sub/b").read_bytes() == b"2"
    assert (target / "sub/b").stat().st_mode & 0o777 == 0o600
    assert not atomic.write(target, first, group=None, token="t2")
    before = (target / "..data").readlink()
    assert atomic.write(target, {"a": File(b"9", 0o644)}, group=None, token="t3")
    assert (target / "..data").readlink() != before
    assert (target / "a").read_bytes() == b"9"
    assert not (target / "sub").exists()
    assert sorted(p.name for p in target.iterdir()) == ["..data", "..t3", "a"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_paths_out_of_the_volume_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        atomic.write(tmp_path / "v", {name: File(b"", 0o644)}, group=None, token="t")
