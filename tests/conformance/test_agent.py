"""kubectl logs and exec through the server to an agent that speaks TLS, as on a node."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from petset.apiserver.kubelet import tls_connect
from petset.base import websocket
from petset.base.edge import serve
from petset.base.http import Duplex, Reply, Request, Response, Stream, Upgrade, Writer
from petset.base.tlsconfig import client_context, server_context
from tests.conformance.cluster import Authority, Cluster, Kubectl, running
from tests.conformance.conftest import FOUND
from tests.conformance.manifests import POD


class Agent:
    """Logs that grow, and commands that answer in capitals."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.seen: list[Request] = []

    async def handle(self, request: Request) -> Reply:
        self.seen.append(request)
        if request.peer is None or request.peer.common_name != "petset-apiserver":
            return Response(401, (), b"who are you?")
        if request.path == "/containerLogs/default/one/c":
            return Stream(self._log, headers=(("Content-Type", "text/plain"),))
        if request.path == "/exec/default/one/c":
            accepted = websocket.accept(request, ("v5.channel.k8s.io", "v4.channel.k8s.io"))
            return Upgrade(self._exec, headers=accepted.headers)
        return Response(404, (), b"nothing here")

    async def _log(self, writer: Writer) -> None:
        writer.write(b"first\n")
        if self.seen[-1].param("follow"):
            await self.go_on.wait()
        writer.write(b"second\n")

    async def _exec(self, duplex: Duplex) -> None:
        socket = websocket.WebSocket(duplex)
        words = self.seen[-1].params("command")
        if self.seen[-1].param("input"):
            while True:
                _, message = await socket.recv()
                if message[:1] == b"\xff":
                    break
                await socket.send(b"\x01" + message[1:].upper())
        else:
            await socket.send(b"\x01" + " ".join(words).upper().encode() + b"\n")
        code = {"fail": "3"}.get(words[0])
        await socket.send(b"\x03" + json.dumps(_status(code)).encode())
        await socket.close(1000)


def _status(code: str | None) -> dict[str, object]:
    if code is None:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": code}]},
    }


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[tuple[Agent, Cluster]]:
    authority, played = Authority(tmp_path), Agent()
    cert, key = authority.issue("n1")
    context = server_context(cert, key, authority.ca)
    edge = await serve(played.handle, ssl=context)
    mine, secret = authority.issue("petset-apiserver", "system:masters")
    connect = tls_connect(client_context(authority.ca, mine, secret))
    try:
        async with running(tmp_path, authority, connect) as cluster:
            await _prepare(cluster, edge.port)
            yield played, cluster
    finally:
        await edge.close(grace_s=0.5)


async def _prepare(cluster: Cluster, port: int) -> None:
    if not FOUND:
        return
    kubectl = cluster.kubectl(FOUND[-1])
    node = '{"kind":"Node","apiVersion":"v1","metadata":{"name":"n1"}}'
    await kubectl.run("create", "-f", "-", stdin=node)
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await _patch_status(kubectl, "node/n1", status)
    bound = POD.replace("spec:", "spec:\n  nodeName: n1")
    await kubectl.run("create", "-f", "-", stdin=bound)
    container = {"name": "c", "state": {"running": {}}, "image": "", "imageID": ""}
    ready = {"phase": "Running", "containerStatuses": [container]}
    await _patch_status(kubectl, "pod/one", ready)


async def _patch_status(kubectl: Kubectl, what: str, status: object) -> None:
    body = json.dumps({"status": status})
    await kubectl.run("patch", what, "--subresource=status", "--type=merge", "-p", body)


async def test_logs_and_follow(agent: tuple[Agent, Cluster], newest_binary: Path) -> None:
    played, cluster = agent
    kubectl = cluster.kubectl(newest_binary)
    assert (await kubectl.run("logs", "one")).out == "first\nsecond\n"
    assert (await kubectl.run("logs", "one", "--tail=5", "-c", "c")).code == 0
    assert played.seen[-1].param("tailLines") == "5"
    async with kubectl.started("logs", "-f", "one") as following:
        out = following.stdout
        assert out is not None
        async with asyncio.timeout(20):
            assert await out.readline() == b"first\n"
            played.go_on.set()
            assert await out.readline() == b"second\n"
            assert await following.wait() == 0
    wrong = await kubectl.run("logs", "one", "-c", "zz", check=False)
    assert "container zz is not valid for pod one" in wrong.err


async def test_exec(agent: tuple[Agent, Cluster], newest_binary: Path) -> None:
    _, cluster = agent
    kubectl = cluster.kubectl(newest_binary)
    assert (await kubectl.run("exec", "one", "--", "echo", "hi")).out == "ECHO HI\n"
    failed = await kubectl.run("exec", "one", "--", "fail", check=False)
    assert (failed.code, failed.out) == (3, "FAIL\n")
    piped = await kubectl.run("exec", "-i", "one", "--", "cat", stdin="hello")
    assert piped.out == "HELLO"


async def test_an_agent_checks_the_server_and_the_server_the_agent(
    agent: tuple[Agent, Cluster], newest_binary: Path
) -> None:
    played, cluster = agent
    kubectl = cluster.kubectl(newest_binary)
    await kubectl.run("logs", "one")
    peer = played.seen[-1].peer
    assert peer is not None
    assert peer.organizations == ("system:masters",)
    other = '{"kind":"Node","apiVersion":"v1","metadata":{"name":"n2"}}'
    await kubectl.run("create", "-f", "-", stdin=other)
    status = (await kubectl.run("get", "node", "n1", "-o", "json")).json["status"]
    await _patch_status(kubectl, "node/n2", status)
    pod = POD.replace("spec:", "spec:\n  nodeName: n2").replace("name: one", "name: two")
    await kubectl.run("create", "-f", "-", stdin=pod)
    running_ = {"name": "c", "state": {"running": {}}, "image": "", "imageID": ""}
    await _patch_status(kubectl, "pod/two", {"phase": "Running", "containerStatuses": [running_]})
    refused = await kubectl.run("logs", "two", check=False)
    assert "certificate verify failed" in refused.err
