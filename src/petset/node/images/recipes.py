"""Recipes: how to build an image from the distribution's packages. Reading only.

A recipe is a folder with `recipe.json` and the files it names, shipped with petset under
`recipes/`. `petset image build` also takes the path of a folder.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from petset.node.images import tags
from petset.node.images.manifest import Config
from petset.node.images.reference import Reference

SHIPPED = Path(__file__).parent / "recipes"
ORIGIN = "petset.dev/recipe"
"""Label of an image that tells which version of a recipe it was built from."""


class RecipeError(Exception):
    """There is no such recipe, or it is malformed."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of the image with a group of the same name and number."""

    name: str
    uid: int
    home: str = "/nonexistent"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to be there, with its owner (a name of the recipe's, or root) and mode."""

    path: str
    owner: str = "root"
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class File:
    """A file of the recipe's folder and where it goes."""

    path: str
    source: Path
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe.

    Attributes:
        names: repositories it stands in for, the first being its own.
        packages: to be extracted with all they depend on; their maintainer scripts do not run.
        main: the package whose version the image carries.
        remove: patterns, relative to the root, of what is thrown away again.
        links: path to target of symbolic links to be made; a target may hold one `*`.
        fingerprint: hash of the recipe and its files.
        shipped: whether it came with petset.
    """

    name: str
    names: tuple[str, ...]
    packages: tuple[str, ...]
    main: str
    config: Config
    users: tuple[User, ...] = ()
    folders: tuple[Folder, ...] = ()
    files: tuple[File, ...] = ()
    remove: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    shipped: bool = False

    @property
    def origin(self) -> str:
        """What the label ORIGIN of an image built from it says."""
        return f"{'shipped' if self.shipped else 'own'}:{self.fingerprint}"


def names() -> list[str]:
    """The recipes that petset ships."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/recipe.json"))


def load(name: str) -> Recipe:
    """The shipped recipe `name`, or the one in the folder of that path. Raises RecipeError."""
    folder = Path(name) if "/" in name else SHIPPED / name
    try:
        raw = (folder / "recipe.json").read_bytes()
    except OSError:
        known = ", ".join(names())
        raise RecipeError(f"no recipe {name!r}; there are {known}") from None
    try:
        document = orjson.loads(raw)
        return _recipe(folder, raw, document)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(f"recipe {name!r} is malformed: {error!r}") from None


@functools.cache
def _shipped() -> Mapping[str, Recipe]:
    """Every shipped recipe; they do not change under a running process."""
    return {name: load(name) for name in names()}


def newer(name: str, labels: Mapping[str, str]) -> Recipe | None:
    """The shipped recipe, if an image built from recipe `name` is of another version of it.

    What was built from a recipe of somebody's own is left alone.
    """
    recipe, origin = _shipped().get(name), labels.get(ORIGIN, "")
    if recipe is None or origin == recipe.origin or origin.startswith("own:"):
        return None
    return recipe


def standing_in(ref: Reference) -> Recipe | None:
    """The shipped recipe that may stand in for `ref`: for tags of releases, never for a digest."""
    return named(ref) if not ref.digest and tags.is_release(ref.tag) else None


def named(ref: Reference) -> Recipe | None:
    """The shipped recipe for images of that name, of whatever tag."""
    for name in names():
        recipe = load(name)
        if ref.name in recipe.names:
            return recipe
    return None


def _recipe(folder: Path, raw: bytes, document: Mapping[str, Any]) -> Recipe:
    packages = tuple(document["packages"])
    files = tuple(
        File(path, folder / entry["from"], int(entry.get("mode", "0644"), 8))
        for path, entry in (document.get("files") or {}).items()
    )
    digest = hashlib.sha256(raw)
    for file in files:
        digest.update(file.source.read_bytes())
    return Recipe(
        folder.name,
        tuple(document["names"]),
        packages,
        document.get("main", packages[0]),
        _config(document.get("config") or {}),
        tuple(User(**user) for user in document.get("users") or ()),
        tuple(
            Folder(f["path"], f.get("owner", "root"), int(f.get("mode", "0755"), 8))
            for f in document.get("folders") or ()
        ),
        files,
        tuple(document.get("remove") or ()),
        dict(document.get("links") or {}),
        digest.hexdigest(),
        folder.parent == SHIPPED,
    )


def _config(document: Mapping[str, Any]) -> Config:
    return Config(
        entrypoint=_words(document, "entrypoint"),
        cmd=_words(document, "cmd"),
        env=_words(document, "env"),
        working_dir=document.get("working_dir", ""),
        user=document.get("user", ""),
        stop_signal=document.get("stop_signal", ""),
        labels=dict(document.get("labels") or {}),
    )


def _words(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    words: Sequence[str] = document.get(key) or ()
    return tuple(words)
