"""`petset image ...`: the image store of this machine."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from petset.api import ages
from petset.base.clock import SystemClock
from petset.cli import checks, paths
from petset.cli.failure import Failure
from petset.node.images import collect, service
from petset.node.images.types import ImageError

_T = TypeVar("_T")
_UNITS = ("B", "kB", "MB", "GB", "TB")


def build(recipe: str) -> int:
    """Build an image from its recipe, saying what is done."""
    checks.root()
    record = _do(service.build(paths.images(), recipe, _say))
    print(f"{record.tags[0] if record.tags else record.id}: {_size(record.size)}")
    return 0


def pull(ref: str) -> int:
    """Pull an image, saying what is done."""
    checks.root()
    record = _do(service.pull(paths.images(), ref, _say))
    print(f"{ref}: {_short(record.id)}, {_size(record.size)}")
    return 0


def load(file: Path) -> int:
    """Take in the images of a tar file."""
    checks.root()
    if not file.is_file():
        raise Failure(f"there is no file {file}")
    for record in _do(service.load(paths.images(), file, _say)):
        print(", ".join(record.tags) or record.id)
    return 0


def ls() -> int:
    """A line for each tag of each image, newest first."""
    print(f"{'IMAGE':<48} {'ID':<14} {'SIZE':>9}  {'AGE':<6} FROM")
    for record in _do(service.ls(paths.images())):
        age = ages.human(SystemClock().now() - record.created)
        source = f"recipe {record.recipe}" if record.recipe else "registry or file"
        for tag in record.tags or ("<none>",):
            line = f"{tag:<48} {_short(record.id):<14} {_size(record.size):>9}  {age:<6} {source}"
            print(line)
    return 0


def rm(ref: str) -> int:
    """Remove a tag or an image that no container uses."""
    checks.root()
    for gone in _do(service.rm(paths.images(), ref, collect.layers_in_use())):
        print(f"removed: {gone}")
    return 0


def _do(work: Awaitable[_T]) -> _T:
    async def main() -> _T:
        return await work

    try:
        return asyncio.run(main())
    except ImageError as error:
        raise Failure(error.message) from error


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]


def _size(size: float) -> str:
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit takes every size")
