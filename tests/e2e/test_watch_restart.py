"""A server killed and started again: watches go on where they were, and nobody lists anew.

PETSET_WATCH_KILLS sets the number of kills (default 4).
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from petset.api import meta
from petset.client.client import Client
from petset.client.reflector import Informers
from petset.client.tls import Tls
from petset.client.transport import TransportError
from tests.e2e.api_box import Server, make_pki

KILLS = int(os.environ.get("PETSET_WATCH_KILLS", "4"))
WRITES = 20
"""Acknowledged ones before each kill, at least."""
GONE = (TransportError, OSError)


class CountingTls(Tls):
    """A transport that counts the lists asked for."""

    lists = 0

    async def request(self, method: str, path: str, **more: Any) -> Any:
        if method == "GET" and path.endswith("/configmaps"):
            self.lists += 1
        return await super().request(method, path, **more)


@dataclass
class WatchedServer(Server):
    """A server, and clients of it that count their lists."""

    def client(self) -> tuple[Client, CountingTls]:
        pki = self.directory / "pki"
        transport = CountingTls(
            f"https://127.0.0.1:{self.port}",
            ca_file=pki / "ca.crt",
            cert_file=pki / "me.crt",
            key_file=pki / "me.key",
        )
        return Client(transport, manager="test"), transport


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WatchedServer]:
    make_pki(tmp_path / "pki")
    made = WatchedServer(tmp_path)
    await made.start()
    try:
        yield made
    finally:
        await made.kill()


@dataclass
class Story:
    """What writers were told, and what watchers heard."""

    acknowledged: dict[int, str] = field(default_factory=dict)
    heard: list[dict[int, str]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last: int = 0


async def write(server: WatchedServer, story: Story, number: int, stop: asyncio.Event) -> None:
    client, _ = server.client()
    count = 0
    while not stop.is_set():
        count += 1
        body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": f"c{number}-{count}"}}
        try:
            made = await client.create("configmaps", body, "default")
        except GONE:
            await asyncio.sleep(0.01)
        else:
            story.acknowledged[int(meta.version_of(made))] = meta.name_of(made)
        await asyncio.sleep(0.002)
    await client.close()


async def follow(server: WatchedServer, story: Story, since: str) -> None:
    """A raw watch that comes back at its last revision and never lists; StatusError ends it."""
    client, _ = server.client()
    heard: dict[int, str] = {}
    story.heard.append(heard)
    version = since
    while not (story.ended.is_set() and int(version) >= story.last):
        try:
            watch = client.watch("configmaps", "default", resource_version=version, bookmarks=False)
            async with aclosing(watch):
                async for event in watch:
                    version = meta.version_of(event.obj)
                    assert int(version) > max(heard, default=0), "reordered or doubled"
                    heard[int(version)] = meta.name_of(event.obj)
                    if story.ended.is_set() and int(version) >= story.last:
                        break
        except GONE:
            await asyncio.sleep(0.01)
    await client.close()


@pytest.mark.timeout(60 + 10 * KILLS)
async def test_watches_and_informers_resume_over_kills_of_the_server(server: WatchedServer) -> None:
    chance = Random(20261120)
    client, _ = server.client()
    informing, counting = server.client()
    informers = Informers(informing)
    cache = informers.cache("configmaps")
    since = (await client.list("configmaps")).resource_version
    story, stop = Story(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        informer = group.create_task(informers.run())
        await cache.wait_synced()
        assert counting.lists == 1
        for _ in range(10):
            group.create_task(follow(server, story, since))
        writers = [group.create_task(write(server, story, n, stop)) for n in range(4)]
        for count in range(1, KILLS + 1):
            await asyncio.sleep(chance.uniform(0.1, 0.6))
            while len(story.acknowledged) < WRITES * count:  # there is something to lose
                await asyncio.sleep(0.01)
            await server.kill()
            await server.start()
        await asyncio.sleep(0.2)
        stop.set()
        await asyncio.wait(writers)
        last = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "last"}}
        story.last = int(meta.version_of(await client.create("configmaps", last, "default")))
        story.ended.set()
        after = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "after"}}
        final = int(meta.version_of(await client.create("configmaps", after, "default")))
        async with asyncio.timeout(30):
            while int(cache.resource_version) < final:
                await asyncio.sleep(0.02)
        informer.cancel()
    await check(client, story)
    there = {meta.name_of(o) for o in (await client.list("configmaps")).items}
    assert {meta.name_of(o) for o in cache.list()} == there
    assert counting.lists == 1, "the informer listed anew"
    await informing.close()
    await client.close()


async def check(client: Client, story: Story) -> None:
    """All heard the same, which is all that there is, which is at least what was acknowledged."""
    listed = await client.list("configmaps", "default")
    there = {int(meta.version_of(o)): meta.name_of(o) for o in listed.items}
    upto = {revision: name for revision, name in there.items() if revision <= story.last}
    first = min(story.acknowledged)
    assert story.acknowledged.items() <= there.items()
    for heard in story.heard:
        assert {r: n for r, n in heard.items() if r <= story.last} == {
            r: n for r, n in upto.items() if r >= first
        }
