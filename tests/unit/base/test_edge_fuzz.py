import asyncio
import random

import pytest

from petset.base import edge
from petset.base.http import Reply, Request, Response
from petset.base.intake import Incoming, Intake, Limits, Refusal
from tests.unit.base.rawpeer import front

PARTS = [
    b"GET /a HTTP/1.1\r\n", b"POST /b?x=%41 HTTP/1.1\r\n", b"Host: h\r\n", b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: Upgrade\r\n",
    b"Upgrade: x\r\n", b"Expect: 100-continue\r\n", b"\r\n", b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n",
    b"\n", b"\r", b"\x00", b"\xff\xfe", b"HEAD * HTTP/1.0\r\n", b": :\r\n", b"X:" + b"y" * 3000,
]  # fmt: skip


def _noise(rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return rng.randbytes(rng.randrange(300))
    return b"".join(rng.choices(PARTS, k=rng.randrange(1, 14)))


def _split(rng: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_how_bytes_are_split_does_not_matter(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        data = _noise(rng)
        whole, split = (Intake(Limits(), None, "") for _ in range(2))
        whole.feed(data)
        for piece in _split(rng, data):
            if split.stage.name == "ENDED":
                split.early += piece
            else:
                split.feed(piece)
        assert _outcome(whole) == _outcome(split), data


def _outcome(intake: Intake) -> list[object]:
    made: list[object] = []
    for item in intake.ready:
        match item:
            case Incoming():
                made.append((item.request, item.keep_alive, item.upgrade))
            case Refusal():
                made.append(item.status)
    return made


@pytest.mark.parametrize("seed", range(4))
async def test_noise_neither_breaks_nor_hangs_the_front(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: Request) -> Reply:
        await asyncio.sleep(0)
        return Response(200, (), request.body)

    rng = random.Random(seed)
    limits = edge.Limits(
        head_bytes=2000, body_bytes=1000, head_s=0.05, body_s=0.05, idle_s=0.05, linger_s=0.05
    )
    async with front(handler, limits=limits) as f:

        async def one() -> None:
            peer = await f.connect()
            for piece in _split(rng, _noise(rng)):
                peer.send(piece)
                await asyncio.sleep(0)
            answer = await peer.rest()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 ")

        for _ in range(5):
            await asyncio.gather(*(one() for _ in range(20)))
        while f.edge.connections:
            await asyncio.sleep(0.01)
    assert "ERROR" not in caplog.text
