"""Golden files: what the code does with `*.input.yaml`, compared with the file beside it.

`GOLDEN=1` rewrites the outputs; every difference must be explainable.
"""

import os
from pathlib import Path
from typing import Any

import yaml


def cases(folder: Path) -> list[str]:
    """Names of the cases in a folder."""
    return sorted(path.name.removesuffix(".input.yaml") for path in folder.glob("*.input.yaml"))


def read(folder: Path, case: str) -> list[dict[str, Any]]:
    """The documents of a case."""
    with (folder / f"{case}.input.yaml").open() as file:
        return [doc for doc in yaml.load_all(file, Loader) if doc]


class Loader(yaml.CSafeLoader):
    """YAML without times: the API's times are texts."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}


def compare(path: Path, made: str) -> None:
    """Compare with the golden file, or rewrite it."""
    if os.environ.get("GOLDEN"):
        path.write_text(made)
    assert path.read_text() == made, f"{path.name} differs; GOLDEN=1 rewrites it"
