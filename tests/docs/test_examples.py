"""Every example: its manifests work in a simulated cluster, its tutorial names what is there."""

import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from petset.node.images import recipes, reference
from petset.testing.clock import run_virtual
from petset.testing.world import World

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(p for p in (ROOT / "examples").iterdir() if p.is_dir())
MANIFESTS = sorted((ROOT / "examples").glob("*/*.yaml"))
READMES = sorted((ROOT / "examples").glob("*/README.md"))
SETS = {"StatefulSet": "statefulsets.apps", "Deployment": "deployments.apps"}

per_manifest = pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda m: m.parent.name)
per_readme = pytest.mark.parametrize("readme", READMES, ids=lambda r: r.parent.name)


def documents(manifest: Path) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all(manifest.read_text()) if d]


def pod_specs(manifest: Path) -> list[dict[str, Any]]:
    return [d["spec"]["template"]["spec"] for d in documents(manifest) if d["kind"] in SETS]


@per_manifest
def test_every_set_becomes_ready_on_fake_nodes(manifest: Path) -> None:
    async def story() -> None:
        async with World(nodes=3, seed=1) as world:
            await world.apply(manifest.read_text())
            for document in documents(manifest):
                if document["kind"] in SETS:
                    found, name = SETS[document["kind"]], document["metadata"]["name"]
                    await world.wait_for(partial(world.ready, found, name))

    run_virtual(story())


@per_manifest
def test_every_image_can_be_built_without_a_registry(manifest: Path) -> None:
    images = [
        container["image"]
        for spec in pod_specs(manifest)
        for container in [*spec.get("initContainers", ()), *spec["containers"]]
    ]
    assert images
    for image in images:
        assert recipes.standing_in(reference.parse(image)) is not None, image


@per_manifest
def test_scripts_in_config_maps_are_shell(manifest: Path) -> None:
    for document in documents(manifest):
        for name, text in (document.get("data") or {}).items():
            if document["kind"] == "ConfigMap" and name.endswith(".sh"):
                done = subprocess.run(
                    ["sh", "-n"], input=text, capture_output=True, text=True, check=False
                )
                assert (done.returncode, done.stderr) == (0, ""), name


@per_manifest
def test_volumes_and_config_keys_that_are_mounted_exist(manifest: Path) -> None:
    maps = {
        d["metadata"]["name"]: d.get("data", {})
        for d in documents(manifest)
        if d["kind"] == "ConfigMap"
    }
    for document in documents(manifest):
        if document["kind"] not in SETS:
            continue
        spec = document["spec"]["template"]["spec"]
        claims = document["spec"].get("volumeClaimTemplates", ())
        there = {v["name"] for v in spec.get("volumes", ())}
        there |= {c["metadata"]["name"] for c in claims}
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            assert {m["name"] for m in container.get("volumeMounts", ())} <= there
        for volume in spec.get("volumes", ()):
            if "configMap" in volume:
                data = maps[volume["configMap"]["name"]]
                assert {i["key"] for i in volume["configMap"].get("items", ())} <= data.keys()


@per_readme
def test_tutorials_name_files_that_exist(readme: Path) -> None:
    text = readme.read_text()
    for path in re.findall(r"-f (examples/\S+)", text):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (readme.parent / link).exists(), link


@per_readme
def test_tutorials_explain_every_script_of_their_manifest(readme: Path) -> None:
    told = readme.read_text()
    for manifest in readme.parent.glob("*.yaml"):
        for document in documents(manifest):
            if document["kind"] == "ConfigMap":
                scripts = [k for k in document["data"] if k.endswith(".sh")]
                assert [s for s in scripts if f"`{s}`" not in told] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_every_example_has_a_manifest(folder: Path) -> None:
    assert list(folder.glob("*.yaml"))
