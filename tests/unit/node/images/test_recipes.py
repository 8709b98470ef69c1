import subprocess
from pathlib import Path

import orjson
import pytest

from petset.node.images import recipes, reference
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
    ],
)
def test_recipes_stand_in_for_their_names_only(ref: str, name: str | None) -> None:
    recipe = recipes.standing_in(reference.parse(ref))
    assert (recipe.name if recipe else None) == name


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
