import subprocess
from pathlib import Path

import orjson
import pytest

from petset.node.images import recipes, reference, tags
from petset.node.images.recipes import RecipeError

SHIPPED = ["busybox", "mariadb", "nginx", "postgres", "python", "redis"]


def test_every_shipped_recipe_is_sound() -> None:
    assert recipes.names() == SHIPPED
    owned: list[str] = []
    for name in SHIPPED:
        recipe = recipes.load(name)
        assert recipe.names[0] == f"docker.io/library/{name}"
        assert "busybox-static" in recipe.packages
        assert recipe.config.cmd
        assert {folder.owner for folder in recipe.folders} <= {
            "root",
            *(user.name for user in recipe.users),
        }
        assert all(str(reference.parse(n)) == f"{n}:latest" for n in recipe.names)
        owned += recipe.names
    assert len(owned) == len(set(owned))


@pytest.mark.parametrize(
    "path", sorted(recipes.SHIPPED.glob("*/*.sh")), ids=lambda p: p.parent.name
)
def test_entry_points_are_sound_shell(path: Path) -> None:
    done = subprocess.run(["sh", "-n", path], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("registry.k8s.io/nginx-slim:0.8", "nginx"),
        ("postgres:16-alpine", "postgres"),
        ("quay.io/nginx", None),
        ("someone/nginx", None),
        ("nginx@sha256:" + "a" * 64, None),
        ("nginx:1.27@sha256:" + "a" * 64, None),
        ("nginx:broken", None),
    ],
)
def test_recipes_stand_in_for_their_names_only(ref: str, name: str | None) -> None:
    recipe = recipes.standing_in(reference.parse(ref))
    assert (recipe.name if recipe else None) == name


RELEASES = """
    latest stable mainline alpine 2 1.27 1.27.3 v1.27 16-alpine 1.27.3-alpine3.20-slim stable-perl
    mainline-otel 3.13-slim-bookworm 3.14.0rc1-trixie 3.14-rc 11.4.2-noble lts-ubi9 11-jammy
    1.36.1-musl uclibc glibc 1.29-4 7.4-bookworm 7.2.4-32bit 15.8-bullseye 8.0_2
    16.4-debian-12-r3 3.12-alpine-amd64
"""
OTHERS = "broken 1.27-broken does-not-exist nope brokn 1.27-alpin v wrong_tag"


def test_tags_of_releases_are_known() -> None:
    assert [tag for tag in RELEASES.split() if not tags.is_release(tag)] == []


def test_other_tags_are_not() -> None:
    assert [tag for tag in OTHERS.split() if tags.is_release(tag)] == []


def test_the_fingerprint_covers_the_files(tmp_path: Path) -> None:
    document = {
        "names": ["docker.io/library/x"],
        "packages": ["x"],
        "files": {"/a": {"from": "a", "mode": "0755"}},
    }
    (tmp_path / "recipe.json").write_bytes(orjson.dumps(document))
    (tmp_path / "a").write_text("1")
    first = recipes.load(str(tmp_path))
    assert first.files[0].mode == 0o755
    assert first.main == "x"
    (tmp_path / "a").write_text("2")
    assert recipes.load(str(tmp_path)).fingerprint != first.fingerprint


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"names": 3, "packages": []}', "null"])
def test_malformed_recipes_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(RecipeError):
        recipes.load(str(tmp_path))


def test_unknown_recipes_are_refused_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match="there are busybox, mariadb, nginx"):
        recipes.load("nope")
