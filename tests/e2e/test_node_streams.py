"""Logs, exec, attach and port-forward of real containers, by the agent's own endpoint."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from petset.base import spdy
from petset.base.http import PeerCertificate, Response, Stream, Upgrade
from petset.node.agent import Agent
from tests.e2e.node_box import Box, box, eventually, is_ready, needs_machine, pod_of, restarts
from tests.e2e.node_wire import Sink, ask, open_session, pair, text

pytestmark = needs_machine
EXEC = "/exec/default/p/c"


def command(*words: str, **streams: str) -> list[tuple[str, str]]:
    asked = {"stdout": "true", "stderr": "true", **streams}
    return [*(("command", word) for word in words), *asked.items()]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


def agent_of(here: Box) -> Agent:
    return here.agents["n0"][0]


async def running(here: Box, script: str = "exec sleep 1000", **spec: object) -> Agent:
    await here.create(pod_of("p", script, **spec))
    await here.until("p", is_ready)
    return agent_of(here)


async def test_exec_gives_output_and_exit_code(here: Box) -> None:
    agent = await running(here)
    script = "echo out; echo err >&2; exit 3"
    session = await open_session(agent, EXEC, command("sh", "-c", script))
    found = await session.everything()
    assert found[1] == b"out\n"
    assert found[2] == b"err\n"
    status = json.loads(found[3])
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_exec_runs_as_the_containers_user_with_its_limits(here: Box) -> None:
    users = {"runAsUser": 101, "runAsGroup": 77, "supplementalGroups": [88]}
    privileges = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"securityContext": privileges, "env": [{"name": "COLOUR", "value": "red"}]}
    agent = await running(here, securityContext=users, container=container)
    script = "id -u; id -g; id -G; echo $COLOUR; grep -E 'NoNewPrivs|CapBnd' /proc/self/status"
    found = await (await open_session(agent, EXEC, command("sh", "-c", script))).everything()
    uid, gid, groups, *rest = found[1].decode().splitlines()
    assert (uid, gid) == ("101", "77")
    assert {"77", "88"} <= set(groups.split())
    assert [line.split() for line in rest] == [["red"], ["CapBnd:", "0" * 16], ["NoNewPrivs:", "1"]]


async def test_exec_stdin_half_close_ends_input(here: Box) -> None:
    agent = await running(here)
    session = await open_session(agent, EXEC, command("cat", stdin="true"))
    await session.send(0, b"hi\n")
    assert await session.receive() == (1, b"hi\n")
    await session.send(255, b"\0")
    assert json.loads((await session.everything())[3])["status"] == "Success"


async def test_exec_moves_megabytes_unharmed(here: Box) -> None:
    agent = await running(here)
    script = "dd if=/dev/zero bs=65536 count=64 2>/dev/null"
    session = await open_session(agent, EXEC, command("sh", "-c", script))
    found = await session.everything()
    assert len(found[1]) == 64 * 65536


async def test_exec_on_a_terminal_knows_its_size(here: Box) -> None:
    agent = await running(here)
    asked = [("command", "sh"), ("stdin", "true"), ("stdout", "true"), ("tty", "true")]
    session = await open_session(agent, EXEC, asked)
    await session.send(4, b'{"Width":91,"Height":27}\n')
    await session.send(0, b"while test \"$(stty size)\" != '27 91'; do sleep 0.05; done\n")
    await session.send(0, b"stty size; tty=$(test -t 0 && echo yes); echo tty-$tty; exit 5\n")
    found = await session.everything()
    assert b"27 91" in found[1]
    assert b"tty-yes" in found[1]
    assert json.loads(found[3])["details"]["causes"][0]["message"] == "5"


async def test_exec_of_a_missing_program_says_so(here: Box) -> None:
    agent = await running(here)
    session = await open_session(agent, EXEC, command("/no/such"))
    status = json.loads((await session.everything())[3])
    assert status["reason"] == "InternalError"
    assert "/no/such" in status["message"]


async def test_exec_over_spdy(here: Box) -> None:
    agent = await running(here)
    headers = {
        "connection": "Upgrade",
        "upgrade": "SPDY/3.1",
        "x-stream-protocol-version": "v5.channel.k8s.io, v4.channel.k8s.io",
    }
    query = command("sh", "-c", "cat; exit 7", stdin="true")
    reply = await ask(agent, EXEC, query, headers=headers, method="POST")
    assert isinstance(reply, Upgrade)
    assert ("X-Stream-Protocol-Version", "v4.channel.k8s.io") in reply.headers
    near, far = pair()
    work = asyncio.ensure_future(reply.run(far))
    client = spdy.Connection(near, client=True)
    running_ = asyncio.ensure_future(client.run())
    streams = {k: client.open({"streamtype": k}) for k in ("error", "stdin", "stdout", "stderr")}
    streams["stdin"].write(b"hello")
    streams["stdin"].write_eof()
    assert await streams["stdout"].read() == b"hello"
    assert await streams["stdout"].read() == b""
    status = json.loads(await streams["error"].read())
    assert status["details"]["causes"][0]["message"] == "7"
    client.close()
    await asyncio.gather(work, running_)


async def test_attach_joins_the_containers_own_streams(here: Box) -> None:
    script = "while read line; do echo got $line; done"
    agent = await running(here, script, container={"stdin": True})
    query = [("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
    session = await open_session(agent, "/attach/default/p/c", query)
    await session.send(0, b"one\n")
    assert await session.receive() == (1, b"got one\n")
    await session.socket.close(1000)
    await session.work


async def test_logs_tail_timestamps_limit_and_follow(here: Box) -> None:
    wait = "while test ! -e /w/go; do sleep 0.05; done"
    script = f"for i in 1 2 3; do echo line $i; done; {wait}; echo line 4"
    agent = await running(
        here,
        script,
        volumes=[{"name": "w", "emptyDir": {}}],
        restartPolicy="Never",
        container={"volumeMounts": [{"name": "w", "mountPath": "/w"}]},
    )
    path = "/containerLogs/default/p/c"
    await eventually(lambda: "line 3" in here.log_of(agent, "p"))
    follow = await ask(agent, path, [("follow", "true"), ("tailLines", "1")])
    assert isinstance(follow, Stream)
    sink = Sink()
    following = asyncio.ensure_future(follow.run(sink))
    await sink.until(b"line 3\n")
    assert await text(agent, path) == b"line 1\nline 2\nline 3\n"
    assert await text(agent, path, [("tailLines", "2")]) == b"line 2\nline 3\n"
    assert await text(agent, path, [("limitBytes", "8")]) == b"line 1\nl"
    assert await text(agent, path, [("sinceTime", "2100-01-01T00:00:00Z")]) == b""
    dated = (await text(agent, path, [("timestamps", "true")])).splitlines()[0]
    assert dated.split(b" ", 1)[0].endswith(b"Z")
    await agent.runtime.run_in(_run_id(here), ["touch", "/w/go"], 10)
    async with asyncio.timeout(20):
        await following
    assert sink.data == b"line 3\nline 4\n"


def _run_id(here: Box) -> str:
    agent = agent_of(here)
    pod = agent.pod("default", "p")
    assert pod is not None
    return agent.runtime.runs(pod["metadata"]["uid"])[-1].id


async def test_logs_of_the_run_before(here: Box) -> None:
    script = (
        "if test -e /w/x; then echo second; exec sleep 1000; fi; touch /w/x; echo first; exit 1"
    )
    await here.create(
        pod_of(
            "p",
            script,
            volumes=[{"name": "w", "emptyDir": {}}],
            container={"volumeMounts": [{"name": "w", "mountPath": "/w"}]},
        )
    )
    pod = await here.until("p", lambda p: is_ready(p) and restarts(p) == 1)
    status = pod["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 1
    agent = agent_of(here)
    path = "/containerLogs/default/p/c"
    assert await text(agent, path, [("previous", "true")]) == b"first\n"
    await eventually(lambda: here.log(pod, attempt=1) == "second")
    assert await text(agent, path) == b"second\n"


async def test_port_forward_over_channels(here: Box) -> None:
    script = "echo hello > /index.html; exec httpd -f -p 127.0.0.1:8080 -h /"
    serves = {"exec": {"command": ["/bin/sh", "-c", "wget -qO- http://127.0.0.1:8080/index.html"]}}
    agent = await running(here, script, container={"readinessProbe": serves})
    session = await open_session(
        agent, "/portForward/default/p", [("port", "8080")], "v4.channel.k8s.io"
    )
    assert await session.receive() == (0, (8080).to_bytes(2, "little"))
    assert await session.receive() == (1, (8080).to_bytes(2, "little"))
    await session.send(0, b"GET /index.html HTTP/1.0\r\n\r\n")
    found = await session.everything()
    assert found[0].endswith(b"hello\n")


async def test_port_forward_to_a_dead_port_is_told(here: Box) -> None:
    agent = await running(here)
    session = await open_session(
        agent, "/portForward/default/p", [("port", "81")], "v4.channel.k8s.io"
    )
    assert b"connection refused" in (await session.everything())[1]


async def test_only_the_api_server_is_served(here: Box) -> None:
    agent = agent_of(here)
    for peer in (None, PeerCertificate("system:node:n1", ("system:nodes",))):
        reply = await ask(agent, EXEC, peer=peer)
        assert isinstance(reply, Response)
        assert reply.status == 403
    healthy = await ask(agent, "/healthz", peer=None)
    assert isinstance(healthy, Response)
    assert healthy.status == 200
