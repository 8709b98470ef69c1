"""Single tries of probes against real sockets on this machine."""

import asyncio
import socket
from collections.abc import Sequence

import pytest

from petset.node.check import Checker, Target
from petset.node.runtime.base import ExecResult, RuntimeFailedError


class Inside:
    """Commands inside a container that does not exist."""

    async def run_in(
        self, container_id: str, command: Sequence[str], timeout_s: float
    ) -> ExecResult:
        del container_id, timeout_s
        if command[0] == "hang":
            raise TimeoutError
        if command[0] == "gone":
            raise RuntimeFailedError("container not running")
        return ExecResult(int(command[0]), b"words")


def make_socket() -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    return made


CHECKER = Checker(Inside(), make_socket)


async def serve(answer: bytes, seen: list[bytes]) -> asyncio.Server:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_server(one, "127.0.0.1", 0)


def target(port: int) -> Target:
    ports = [{"name": "web", "containerPort": port}]
    return Target("id", {"name": "c", "ports": ports}, "127.0.0.1")


@pytest.mark.parametrize(("code", "good"), [(200, True), (302, True), (404, False), (500, False)])
async def test_http_codes_decide(code: int, good: bool) -> None:
    seen: list[bytes] = []
    server = await serve(f"HTTP/1.1 {code} X\r\n\r\n".encode(), seen)
    async with server:
        port = server.sockets[0].getsockname()[1]
        action = {"port": "web", "path": "/x", "httpHeaders": [{"name": "Host", "value": "h"}]}
        answer = await CHECKER.check(target(port), {"httpGet": action}, 5)
    assert answer.success is good
    assert seen[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert b"Host: h\r\n" in seen[0]
    assert b"kube-probe/" in seen[0]
    if not good:
        assert answer.words == f"HTTP probe failed with statuscode: {code}"


async def test_tcp_and_refusals() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        refused = await CHECKER.check(target(port), {"tcpSocket": {"port": port}}, 5)
        assert refused.words == f"dial tcp 127.0.0.1:{port}: connect: connection refused"
        listener.listen()
        assert (await CHECKER.check(target(port), {"tcpSocket": {"port": "web"}}, 5)).success
    unknown = await CHECKER.check(target(1), {"tcpSocket": {"port": "nope"}}, 5)
    assert unknown.words == 'strconv.Atoi: parsing "nope": invalid syntax'


async def test_a_silent_server_times_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        answer = await CHECKER.check(target(port), {"httpGet": {"port": port}}, 0.05)
    assert not answer.success
    assert "context deadline exceeded" in answer.words


async def test_commands() -> None:
    async def run(word: str) -> str:
        answer = await CHECKER.check(target(1), {"exec": {"command": [word]}}, 1)
        return "ok" if answer.success else answer.words

    assert await run("0") == "ok"
    assert await run("3") == "words"
    assert "timed out" in await run("hang")
    assert await run("gone") == "container not running"


async def test_a_try_that_cannot_be_made_says_nothing_about_the_container() -> None:
    gone = await CHECKER.check(target(1), {"exec": {"command": ["gone"]}}, 1)
    assert gone.errored
    for handler in ("httpGet", "tcpSocket"):
        assert (await CHECKER.check(target(1), {handler: {"port": "nobody"}}, 1)).errored
    failed = await CHECKER.check(target(1), {"exec": {"command": ["3"]}}, 1)
    assert not failed.errored
