"""Ten thousand idle connections: what each costs, and that the others do not feel them."""

import asyncio
import gc
import os
import resource
import ssl
import sys
from pathlib import Path

import pytest

from petset.base import tlsconfig
from tests.unit.base.certs import Authority
from tests.unit.base.rawpeer import GET, Front, echo, front

CROWD = Path(__file__).with_name("crowd.py")
COUNT, SPARE = 10_000, 200
TLS_COUNT = 200
PLAIN_KIB_MAX, TLS_KIB_MAX = 16, 160
"""Far above what is measured: a leak of buffers shows, noise does not."""


def resident_kib() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * (resource.getpagesize() // 1024)


def room() -> int:
    """So many connections fit into this process's limit of open files."""
    return min(COUNT, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE)


async def crowd(f: Front, count: int, ca: str = "") -> asyncio.subprocess.Process:
    """A crowd that has had its answers."""
    words = [str(f.edge.port), str(count), *([ca] if ca else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CROWD),
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", "")},
    )
    assert process.stdout is not None
    assert int(await process.stdout.readline()) == count
    return process


async def disperse(process: asyncio.subprocess.Process, f: Front) -> None:
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
    while len(f.edge.connections) > 1:
        await asyncio.sleep(0.01)


async def asked(f: Front, context: ssl.SSLContext | None = None) -> None:
    peer = await f.connect(context)
    peer.send(GET * 20)
    for _ in range(20):
        assert (await peer.answer()).status == 200


@pytest.mark.timeout(240)
async def test_ten_thousand_idle_connections_are_cheap(capsys: pytest.CaptureFixture[str]) -> None:
    count = room()
    async with front(echo, within_s=200) as f:
        before = resident_kib()
        process = await crowd(f, count)
        assert len(f.edge.connections) == count
        each = (resident_kib() - before) / count
        await asked(f)
        await disperse(process, f)
        with capsys.disabled():
            print(f"\n{count} idle connections: {each:.1f} KiB each, ", end="")
        assert each < PLAIN_KIB_MAX


@pytest.mark.timeout(240)
async def test_idle_tls_connections_are_bearable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca = Authority(tmp_path)
    server = ca.issue("server")
    context = tlsconfig.server_context(server.cert, server.key)
    async with front(echo, ssl=context, within_s=200) as f:
        before = resident_kib()
        process = await crowd(f, TLS_COUNT, str(ca.pair.cert))
        assert len(f.edge.connections) == TLS_COUNT
        each = (resident_kib() - before) / TLS_COUNT
        await asked(f, tlsconfig.client_context(ca.pair.cert))
        await disperse(process, f)
        with capsys.disabled():
            print(f"\n{TLS_COUNT} idle TLS connections: {each:.1f} KiB each, ", end="")
        assert each < TLS_KIB_MAX
