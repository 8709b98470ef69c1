"""Writes as fast as it can and says which revisions were acknowledged, until it is killed."""

import asyncio
import os
import sys
from pathlib import Path

from petset.base.clock import SystemClock
from petset.store.log import open_store
from petset.store.types import Store

WRITERS = 8


def make(revision: int) -> bytes:
    return (b"%d " % revision).ljust(1500, b"x")


async def write(store: Store, writer: int) -> None:
    turn = 0
    while True:
        turn += 1
        key = f"pods/w{writer}/{turn % 20}"
        head = store.head(key)
        if head is not None and turn % 7 == 0:
            item = await store.delete(key, make, expect=head.revision)
            word = "deleted"
        else:
            item = await store.put(key, make, expect=head.revision if head else 0)
            word = "put"
        # One write call per line: what the parent reads was acknowledged before the kill.
        os.write(1, f"{item.revision} {word} {key}\n".encode())


async def main(directory: Path) -> None:
    store = await open_store(directory, clock=SystemClock())
    async with asyncio.TaskGroup() as group:
        for writer in range(WRITERS):
            group.create_task(write(store, writer))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
