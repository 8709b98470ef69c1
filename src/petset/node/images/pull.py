"""Pulling: from a reference to layers on disk and an entry in the store."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from petset.base.clock import Clock
from petset.node.images import unpack
from petset.node.images.credentials import Credentials
from petset.node.images.local import Record, Store, StoreError
from petset.node.images.manifest import Config, Descriptor, Manifest
from petset.node.images.reference import Reference
from petset.node.images.registry import Registry, RegistryError

T = TypeVar("T")

DOWNLOADS = 4
UNPACKERS = 2

Tell = Callable[[str], None]
"""Told a line of progress, for people."""


async def pull(
    store: Store, ref: Reference, credentials: Credentials, clock: Clock, tell: Tell
) -> Record:
    """Have `ref` from its registry in the store; layers that are here are not fetched again.

    Raises RegistryError, UnreachableError, ManifestError, UnpackError, StoreError.
    """
    async with Registry(ref, credentials) as registry:
        manifest, digest = await registry.resolve()
        config = await registry.config(manifest.config)
        if len(config.diff_ids) != len(manifest.layers):
            raise RegistryError("the configuration does not name each layer of the manifest")
        await _Layers(store, registry, tell).fetch(manifest, config)
    return store.put(
        Record(
            manifest.config.digest,
            config.diff_ids,
            config,
            size=sum(layer.size for layer in manifest.layers),
            tags=(f"{ref.name}:{ref.tag}",) if ref.tag and not ref.digest else (),
            digests=(f"{ref.name}@{digest}",),
            created=clock.now(),
        )
    )


async def _in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread. A thread cannot be cancelled: its files may go only after its end."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


class _Layers:
    """The layers of one pull: fetched side by side, unpacked as they come."""

    def __init__(self, store: Store, registry: Registry, tell: Tell) -> None:
        self._store = store
        self._registry = registry
        self._tell = tell
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._unpackers = asyncio.Semaphore(UNPACKERS)
        self._missing = 0
        self._got = 0
        self._told = 0

    async def fetch(self, manifest: Manifest, config: Config) -> None:
        wanted = {
            diff_id: blob
            for diff_id, blob in zip(config.diff_ids, manifest.layers, strict=True)
            if not self._store.has_layer(diff_id)
        }
        self._missing = sum(blob.size for blob in wanted.values())
        with self._store.scratch() as scratch:
            try:
                async with asyncio.TaskGroup() as group:
                    for diff_id, blob in wanted.items():
                        group.create_task(self._one(scratch, diff_id, blob))
            except BaseExceptionGroup as failed:
                raise failed.exceptions[0] from None

    async def _one(self, scratch: Path, diff_id: str, blob: Descriptor) -> None:
        short = diff_id.removeprefix("sha256:")
        archive, folder = scratch / f"{short}.blob", scratch / short
        async with self._downloads:
            await self._registry.blob(blob, archive, self._progress)
        async with self._unpackers:
            folder.mkdir()
            done = await _in_thread(lambda: unpack.unpack(archive, folder))
        archive.unlink()
        if done.diff_id != diff_id:
            raise StoreError(f"layer {blob.digest} does not unpack to {diff_id}")
        await _in_thread(lambda: self._store.adopt_layer(folder, diff_id))

    def _progress(self, size: int) -> None:
        self._got += size
        tenth = self._got * 10 // max(self._missing, 1)
        if tenth > self._told:
            self._told = tenth
            self._tell(f"{self._got} of {self._missing} bytes")
