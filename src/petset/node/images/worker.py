"""A process that builds or loads images for the agent: `python -m petset.node.images.worker`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petset.base.clock import SystemClock
from petset.node.images import archive, build, recipes, workerio
from petset.node.images.archive import ArchiveError
from petset.node.images.build import BuildError
from petset.node.images.local import Store, StoreError
from petset.node.images.manifest import ManifestError
from petset.node.images.recipes import RecipeError
from petset.node.images.unpack import UnpackError
from petset.node.images.workerio import Failure, Tell

_EXPECTED = (ArchiveError, BuildError, ManifestError, OSError, RecipeError, StoreError, UnpackError)


def work(request: Mapping[str, Any], tell: Tell) -> list[str]:
    """Do `build` (of `recipe`) or `load` (of `file`) in the store `root`; ids of the images."""
    store, clock = Store(Path(request["root"])), SystemClock()
    try:
        if request["op"] == "build":
            records = [build.build(store, recipes.load(request["recipe"]), clock, tell)]
        else:
            records = archive.load(store, Path(request["file"]), clock)
    except _EXPECTED as error:
        raise Failure("failed", str(error)) from error
    return [record.id for record in records]


if __name__ == "__main__":
    sys.exit(workerio.serve(work))
