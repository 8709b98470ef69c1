"""Logs, exec, attach and port-forward: what reaches the agent of the node, and what comes back."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from petset.apiserver.kubelet import address_of
from petset.base.http import Stream, Upgrade
from tests.unit.apiserver.harness import PODS, Ear, Server, node, pod, serving

Script = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def agent(script: Script) -> AsyncIterator[tuple[Server, list[tuple[str, int, str]]]]:
    """A server, a node whose agent plays `script`, and where the server connected to."""
    asked: list[tuple[str, int, str]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        try:
            await script(head, reader, writer)
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]

    async def connect(host: str, number: int, name: str) -> Any:
        asked.append((host, number, name))
        return await asyncio.open_connection("127.0.0.1", port)

    try:
        async with serving(connect=connect) as server:
            await server.make("/api/v1/nodes", node("n1"))
            status = {
                "addresses": [{"type": "InternalIP", "address": "172.29.0.10"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            }
            await server.patch("/api/v1/nodes/n1/status", {"status": status})
            await running_pod(server, "a")
            yield server, asked
    finally:
        listener.close()
        await listener.wait_closed()


async def running_pod(server: Server, name: str, state: Any = None, **spec: Any) -> None:
    await server.make(PODS, pod(name, spec={"nodeName": "n1", **spec}))
    statuses = [{"name": "c", "state": state or {"running": {}}, "image": "", "imageID": ""}]
    body = {"status": {"phase": "Running", "containerStatuses": statuses}}
    assert (await server.patch(f"{PODS}/{name}/status", body)).status == 200


def says(status: str, body: str, *headers: str) -> Script:
    async def script(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", body]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()

    return script


async def read(reply: object) -> bytes:
    assert isinstance(reply, Stream), reply
    ear = Ear()
    await reply.run(ear)
    return b"".join(ear.chunks)


async def test_a_log_comes_from_the_node_of_the_pod() -> None:
    heads: list[str] = []

    async def script(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        await says("200 OK", "hello\n")(head, reader, writer)

    async with agent(script) as (server, asked):
        path = f"{PODS}/a/log?tailLines=5&timestamps=true&container=c"
        reply = await server.reply("GET", path)
        assert isinstance(reply, Stream)
        assert dict(reply.headers)["Content-Type"] == "text/plain"
        assert await read(reply) == b"hello\n"
        assert asked == [("172.29.0.10", 10250, "n1")]
        line = heads[0].splitlines()[0]
        assert line == "GET /containerLogs/default/a/c?timestamps=true&tailLines=5 HTTP/1.1"


async def test_a_followed_log_comes_as_it_grows() -> None:
    go_on = asyncio.Event()

    async def script(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"4\r\ntwo\n\r\n0\r\n\r\n")
        await writer.drain()

    async with agent(script) as (server, _):
        reply = await server.reply("GET", f"{PODS}/a/log?follow=true")
        assert isinstance(reply, Stream)
        ear = Ear()
        task = asyncio.ensure_future(reply.run(ear))
        async with asyncio.timeout(5):
            while not ear.chunks:
                await asyncio.sleep(0.001)
            assert ear.chunks == [b"one\n"]
            go_on.set()
            await task
        assert b"".join(ear.chunks) == b"one\ntwo\n"


async def test_an_agents_refusal_is_passed_on() -> None:
    body = '{"kind":"Status","message":"no such log"}'
    async with agent(says("404 Not Found", body, "Content-Type: application/json")) as (server, _):
        answer = await server.get(f"{PODS}/a/log")
        assert (answer.status, answer.body["message"]) == (404, "no such log")
        assert answer.header("Content-Type") == ["application/json"]


async def test_an_agent_that_breaks_off_cuts_the_answer() -> None:
    async def script(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await writer.drain()

    async with agent(script) as (server, _):
        reply = await server.reply("GET", f"{PODS}/a/log")
        with pytest.raises(Exception, match="broke off"):
            await read(reply)


async def test_an_agent_that_is_not_there() -> None:
    async def refuse(host: str, port: int, name: str) -> Any:
        raise OSError(errno.ECONNREFUSED, f"Connect call failed {(host, port)!r}")

    async with serving(connect=refuse) as server:
        await server.make("/api/v1/nodes", node("n1"))
        await running_pod(server, "a")
        addressless = await server.get(f"{PODS}/a/log")
        assert addressless.status == 500
        assert "no preferred addresses found" in addressless.body["message"]
        status = {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}
        await server.patch("/api/v1/nodes/n1/status", {"status": status})
        answer = await server.get(f"{PODS}/a/log")
        assert answer.status == 500
        assert (
            "error dialing backend: dial tcp 10.0.0.1:10250: connect: connection refused"
            in (answer.body["message"])
        )
        await server.ask("DELETE", "/api/v1/nodes/n1")
        gone = await server.get(f"{PODS}/a/log")
        assert (gone.status, gone.body["message"]) == (404, 'nodes "n1" not found')


@pytest.mark.parametrize(
    ("state", "query", "words"),
    [
        (
            {"waiting": {"reason": "ContainerCreating"}},
            "",
            'container "c" in pod "p" is waiting to start: ContainerCreating',
        ),
        (
            {"waiting": {"reason": "ImagePullBackOff"}},
            "",
            "is waiting to start: trying and failing to pull image",
        ),
        (
            {"running": {}},
            "previous=true",
            'previous terminated container "c" in pod "p" not found',
        ),
        ({"running": {}}, "container=zz", "container zz is not valid for pod p"),
        ({"running": {}}, "tailLines=x", "invalid syntax"),
        ({"running": {}}, "sinceTime=yesterday", "is not an RFC 3339 time"),
        ({"running": {}}, "follow=maybe", "invalid syntax"),
    ],
)
async def test_logs_that_cannot_be(server: Server, state: Any, query: str, words: str) -> None:
    await running_pod(server, "p", state)
    answer = await server.get(f"{PODS}/p/log?{query}")
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")
    assert words in answer.body["message"]


@pytest.mark.parametrize("query", ["tailLines=-1", "limitBytes=0", "sinceSeconds=0"])
async def test_numbers_out_of_range(server: Server, query: str) -> None:
    await running_pod(server, "p")
    assert (await server.get(f"{PODS}/p/log?{query}")).status == 422


async def test_several_containers_need_a_name(server: Server) -> None:
    names = [{"name": n, "image": "i"} for n in ("a", "b")]
    await running_pod(server, "two", containers=names, initContainers=[{"name": "i", "image": "i"}])
    answer = await server.get(f"{PODS}/two/log")
    assert answer.body["message"] == (
        "a container name must be specified for pod two, choose one of: [a b] "
        "or one of the init containers: [i]"
    )


async def test_a_pod_without_node_has_no_log_and_no_exec(server: Server) -> None:
    await server.make(PODS, pod("p"))
    answer = await server.get(f"{PODS}/p/log")
    assert (answer.status, answer.raw) == (200, b"")
    refused = await server.get(
        f"{PODS}/p/exec?command=ls&stdout=1", connection="Upgrade", upgrade="websocket"
    )
    assert "pod p does not have a host assigned" in refused.body["message"]


class Wire:
    """The client's end of a switched connection."""

    def __init__(self) -> None:
        self.inward: asyncio.Queue[bytes] = asyncio.Queue()
        self.outward = b""
        self.closed = False
        self.pressure = False

    async def read(self) -> bytes:
        return await self.inward.get()

    def write(self, data: bytes) -> None:
        self.outward += data

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        await asyncio.Event().wait()

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


UPGRADE: dict[str, Any] = {
    "connection": "keep-alive, Upgrade",
    "upgrade": "websocket",
    "sec_websocket_key": "QE7MbNPSECXxrwzD4jLwLQ==",
    "sec_websocket_protocol": "v5.channel.k8s.io",
}


async def echo(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    first = head.splitlines()[0]
    writer.write(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nX-Line: {first}\r\n\r\n".encode()
    )
    for line in head.splitlines()[1:]:
        if line:
            writer.write(f"{line}|".encode())
    await writer.drain()
    while data := await reader.read(100):
        if data == b"bye":
            return
        writer.write(data.upper())
        await writer.drain()


async def test_exec_passes_the_upgrade_and_then_bytes() -> None:
    async with agent(echo) as (server, _):
        path = f"{PODS}/a/exec?command=sh&command=-c&stdin=true&stdout=true&tty=false"
        reply = await server.reply("GET", path, **UPGRADE)
        assert isinstance(reply, Upgrade), reply
        assert reply.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        line = next(x for x in reply.head.decode().splitlines() if x.startswith("X-Line"))
        assert "GET /exec/default/a/c?input=1&output=1" in line
        assert "command=sh&command=-c" in line
        wire = Wire()
        task = asyncio.ensure_future(reply.run(wire))
        wire.inward.put_nowait(b"hello")
        async with asyncio.timeout(5):
            while b"HELLO" not in wire.outward:
                await asyncio.sleep(0.001)
            wire.inward.put_nowait(b"bye")
            await task
        assert wire.closed
        seen = wire.outward.decode().lower()
        assert "sec-websocket-protocol: v5.channel.k8s.io|" in seen
        assert "sec-websocket-key: qe7m" in seen
        assert "connection: upgrade|" in seen


async def test_a_client_that_leaves_ends_the_relay() -> None:
    async with agent(echo) as (server, _):
        reply = await server.reply("GET", f"{PODS}/a/portforward?ports=80,81", **UPGRADE)
        assert isinstance(reply, Upgrade)
        assert b"GET /portForward/default/a?port=80&port=81" in reply.head
        wire = Wire()
        wire.inward.put_nowait(b"")
        async with asyncio.timeout(5):
            await reply.run(wire)
        assert wire.closed


async def test_attach_and_post_upgrades() -> None:
    async with agent(echo) as (server, _):
        reply = await server.reply(
            "POST",
            f"{PODS}/a/attach?stdout=1&stderr=1",
            connection="Upgrade",
            upgrade="SPDY/3.1",
            x_stream_protocol_version="v4.channel.k8s.io, v3.channel.k8s.io",
        )
        assert isinstance(reply, Upgrade), reply
        assert b"POST /attach/default/a/c?output=1&error=1" in reply.head
        wire = Wire()
        wire.inward.put_nowait(b"")
        await reply.run(wire)


@pytest.mark.parametrize(
    ("path", "headers", "words"),
    [
        ("exec?command=ls&stdout=1", {}, "Upgrade request required"),
        ("exec?stdout=1", UPGRADE, "you must specify a command to run"),
        ("exec?command=ls", UPGRADE, "at least one of stdin, stdout, stderr"),
        ("exec?command=ls&stdout=1&container=zz", UPGRADE, "container zz is not valid for pod p"),
    ],
)
async def test_execs_that_cannot_be(
    server: Server, path: str, headers: dict[str, str], words: str
) -> None:
    await running_pod(server, "p")
    answer = await server.get(f"{PODS}/p/{path}", **headers)
    assert answer.status == 400
    assert words in answer.body["message"]


async def test_finished_pods_run_nothing(server: Server) -> None:
    await running_pod(server, "p")
    await server.patch(f"{PODS}/p/status", {"status": {"phase": "Succeeded"}})
    answer = await server.get(f"{PODS}/p/exec?command=ls&stdout=1", **UPGRADE)
    assert answer.body["message"] == (
        "cannot exec into a container in a completed pod; current phase is Succeeded"
    )


async def test_an_agent_that_does_not_switch_is_passed_on() -> None:
    async with agent(says("403 Forbidden", "no", "Content-Type: text/plain")) as (server, _):
        answer = await server.get(f"{PODS}/a/exec?command=ls&stdout=1", **UPGRADE)
        assert (answer.status, answer.body["reason"]) == (403, "Forbidden")
        assert answer.body["message"] == "no"


async def test_an_agents_plain_words_become_a_status() -> None:
    words = 'container not found ("c")'
    async with agent(says("500 Internal Server Error", words)) as (server, _):
        answer = await server.get(f"{PODS}/a/log")
        assert answer.body["reason"] == "InternalError"
        assert answer.body["message"] == f"Internal error occurred: {words}"


async def test_an_agent_that_speaks_something_else() -> None:
    async def script(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()

    async with agent(script) as (server, _):
        answer = await server.get(f"{PODS}/a/log")
        assert answer.status == 500
        assert "the agent does not speak HTTP" in answer.body["message"]


def test_addresses_of_agents() -> None:
    addresses = [
        {"type": "ExternalIP", "address": "1.2.3.4"},
        {"type": "InternalIP", "address": "10.0.0.1"},
    ]
    found = {"metadata": {"name": "n"}, "status": {"addresses": addresses}}
    assert address_of(found) == ("10.0.0.1", 10250, "n")
