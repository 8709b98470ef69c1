"""Removes untagged builds of recipes that no container uses any more.

A new build of a recipe takes over the tags of the previous one, which is kept while containers run
on it and for some time after: a pod that was just given it may be about to mount it.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from petset.node.images.local import Store, StoreError

EVERY_S = 60.0
AGE_S = 600.0


async def collect(store: Store) -> None:
    """Look for such builds from time to time, until cancelled."""
    seen: Mapping[str, float] = {}
    loop = asyncio.get_running_loop()
    while True:
        seen = await asyncio.to_thread(sweep, store, seen, loop.time())
        await asyncio.sleep(EVERY_S)


def sweep(store: Store, seen: Mapping[str, float], now: float) -> Mapping[str, float]:
    """Remove builds that have been without a tag and unused for AGE_S seconds.

    `seen` and the result: since when each is known to be so, on any steady clock.
    """
    untagged = {r.id: r for r in store.records() if r.recipe and not r.tags}
    if not untagged:
        return {}
    used = layers_in_use()
    idle = {
        image: seen.get(image, now)
        for image, record in untagged.items()
        if not used & {str(store.layer_path(layer)) for layer in record.layers}
    }
    for image in [image for image, since in idle.items() if now - since >= AGE_S]:
        try:
            store.remove(image, used)
        except StoreError:
            continue  # gone, or in use by now
        del idle[image]
    return idle


def layers_in_use() -> set[str]:
    """Layers below the root file systems that are mounted now."""
    used: set[str] = set()
    for line in Path("/proc/mounts").read_text().splitlines():
        _, _, kind, options, *_ = line.split()
        if kind == "overlay":
            for option in options.split(","):
                if option.startswith("lowerdir="):
                    used.update(option.removeprefix("lowerdir=").split(":"))
    return used
