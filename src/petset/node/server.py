"""The agent's own HTTPS endpoint: logs, exec, attach, port-forward, for the API server only.

Invariant: but for /healthz every request needs a client certificate of the cluster's CA whose
organizations include system:masters.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote

from petset.api.meta import Obj, name_of, namespace_of, parse_time, uid_of
from petset.base import edge, spdy, websocket
from petset.base.clock import Clock
from petset.base.http import Duplex, Reply, Request, Response, Stream, Upgrade, Writer
from petset.node import channels, logs, podspec, portforward
from petset.node import exec as execs
from petset.node.config import AgentConfig
from petset.node.network import namespace
from petset.node.runtime.base import Run, Runtime

ADMIN = "system:masters"
TEXT = (("Content-Type", "text/plain"),)
PORTS_MAX = 128
"""Ports on one WebSocket: each takes two of the 256 channels."""


class Refused(Exception):  # noqa: N818 (an answer, not a fault)
    """The request is answered with this status and these words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def _flag(request: Request, *names: str) -> bool:
    return any(request.param(n).lower() in ("1", "t", "true") for n in names)


class Server:
    """Answers for one node.

    Args:
        find_pod: (namespace, name) -> the pod of this node, None when there is none.
    """

    def __init__(
        self, runtime: Runtime, find_pod: Callable[[str, str], Obj | None], clock: Clock
    ) -> None:
        self._runtime = runtime
        self._find_pod = find_pod
        self._clock = clock
        self._edge: edge.Edge | None = None
        self._followers: dict[str, set[asyncio.Event]] = {}

    async def listen(self, config: AgentConfig) -> None:
        """Listen in the node's namespace. Raises OSError."""
        netns = config.network.netns if config.network else None
        address = (config.address, config.port)
        sock = namespace.bound_socket(netns, socket.SOCK_STREAM, address)
        self._edge = await edge.serve(self.handle, ssl=config.tls, sock=sock)

    async def close(self) -> None:
        """Stop listening, and cut what is in flight."""
        if self._edge is not None:
            await self._edge.close(0.0)
            self._edge = None

    async def handle(self, request: Request) -> Reply:
        """Answer one request."""
        try:
            return self._route(request)
        except Refused as refused:
            return Response(refused.status, TEXT, refused.words.encode())

    def _route(self, request: Request) -> Reply:
        raw = request.raw_target.partition("?")[0] or request.path
        parts = [unquote(part) for part in raw.strip("/").split("/")]
        if parts == ["healthz"]:
            return Response(200, TEXT, b"ok")
        if request.peer is None or ADMIN not in request.peer.organizations:
            raise Refused(403, "Forbidden")
        return self._route_known(request, parts)

    def _route_known(self, request: Request, parts: list[str]) -> Reply:
        match parts:
            case ["containerLogs", name_space, name, container]:
                return self._logs(request, self._pod(name_space, name), container)
            case ["exec", name_space, name, container]:
                return self._exec(request, self._pod(name_space, name), container)
            case ["attach", name_space, name, container]:
                return self._attach(request, self._pod(name_space, name), container)
            case ["portForward", name_space, name]:
                return self._forward(request, self._pod(name_space, name))
            case _:
                pass
        raise Refused(404, "404 page not found")

    def _pod(self, name_space: str, name: str) -> Obj:
        pod = self._find_pod(name_space, name)
        if pod is None:
            raise Refused(404, f'pod "{name}" in namespace "{name_space}" is not on this node')
        return pod

    def _runs(self, pod: Obj, container: str) -> list[Run]:
        if podspec.container(pod, container) is None:
            raise Refused(404, f'container "{container}" not found in pod')
        return [r for r in self._runtime.runs(uid_of(pod)) if r.name == container]

    def _running(self, pod: Obj, container: str, otherwise: str) -> Run:
        """The container's run if it goes on now, else a refusal with those words."""
        runs = self._runs(pod, container)
        if not runs or runs[-1].state != "running":
            raise Refused(500, otherwise)
        return runs[-1]

    # -- logs -----------------------------------------------------------------------------------

    def _logs(self, request: Request, pod: Obj, container: str) -> Reply:
        runs = self._runs(pod, container)
        if _flag(request, "previous"):
            runs = runs[:-1]
        if not runs:
            name = (pod.get("metadata") or {}).get("name")
            kind = "previous terminated " if _flag(request, "previous") else ""
            raise Refused(400, f'{kind}container "{container}" in pod "{name}" not found')
        run = runs[-1]
        options = self._options(request)

        async def body(writer: Writer) -> None:
            over = asyncio.Event()
            if self._is_over(run):
                over.set()
            self._followers.setdefault(run.id, set()).add(over)
            try:
                await logs.stream(Path(run.log_path), options, writer, over)
            finally:
                self._followers[run.id].discard(over)
                if not self._followers[run.id]:
                    del self._followers[run.id]

        return Stream(body, headers=TEXT)

    def _is_over(self, run: Run) -> bool:
        now = [r for r in self._runtime.runs(run.pod_uid) if r.id == run.id]
        return not now or now[0].state == "exited"

    def exited(self, run: Run) -> None:
        """A container has ended: those who follow its log have seen it all soon."""
        for over in self._followers.get(run.id, ()):
            over.set()

    def _options(self, request: Request) -> logs.Options:
        since = parse_time(request.param("sinceTime")) or 0.0
        try:
            if request.param("sinceSeconds"):
                now = self._clock.now()
                since = now - int(request.param("sinceSeconds"))
            tail, limit = request.param("tailLines"), request.param("limitBytes")
            return logs.Options(
                tail=int(tail) if tail else None,
                since=since,
                limit=int(limit) if limit else None,
                timestamps=_flag(request, "timestamps"),
                follow=_flag(request, "follow"),
            )
        except (ValueError, OverflowError) as error:
            raise Refused(400, str(error)) from error

    # -- exec and attach ------------------------------------------------------------------------

    def _exec(self, request: Request, pod: Obj, container: str) -> Reply:
        command = request.params("command")
        if not command:
            raise Refused(400, "you must specify a command to run")
        run = self._running(pod, container, f'container not found ("{container}")')
        asked = _asked(request)

        async def work(peer: channels.Channels) -> None:
            await execs.execute(self._runtime, run.id, command, asked, peer)

        return _upgrade(request, asked, work)

    def _attach(self, request: Request, pod: Obj, container: str) -> Reply:
        gone = f"container {container} not found in pod {name_of(pod)}_{namespace_of(pod)}"
        run = self._running(pod, container, gone)
        where = self._runtime.attachable(run.id)
        if where is None:
            raise Refused(501, "petset does not support attach with this runtime yet")
        asked = _asked(request)
        if asked.tty and not run.tty:
            raise Refused(400, f"Unable to use a TTY - container {container} did not allocate one")

        async def work(peer: channels.Channels) -> None:
            await execs.attach(where, asked, peer)

        return _upgrade(request, asked, work)

    # -- port-forward ---------------------------------------------------------------------------

    def _forward(self, request: Request, pod: Obj) -> Reply:
        netns = self._runtime.netns(uid_of(pod))
        if netns is None:
            raise Refused(500, f'pod not found ("{name_of(pod)}_{namespace_of(pod)}")')
        dial = portforward.dialer(netns)
        if not websocket.wanted(request):
            _check_spdy(request, portforward.SPDY_PROTOCOL)

            async def plain(duplex: Duplex) -> None:
                await portforward.over_spdy(spdy.Connection(duplex), dial)
                duplex.close()

            return Upgrade(plain, _spdy_headers(portforward.SPDY_PROTOCOL))
        accepted = _accept(request, (portforward.TUNNEL, portforward.CHANNELS, ""))
        ports = _ports(request)

        async def over_websocket(duplex: Duplex) -> None:
            peer = websocket.WebSocket(duplex)
            if accepted.protocol == portforward.TUNNEL:
                await portforward.over_spdy(spdy.Connection(spdy.OverWebSocket(peer)), dial)
                await peer.close(1000)
            else:
                await portforward.over_channels(peer, ports, dial)

        return Upgrade(over_websocket, accepted.headers)


def _ports(request: Request) -> list[int]:
    words = [w for text in request.params("port") for w in text.split(",") if w]
    ports = [portforward.parse_port(word) for word in words]
    if not all(ports) or len(ports) > PORTS_MAX:
        raise Refused(400, f"invalid ports {words[:PORTS_MAX]}")
    return ports


def _asked(request: Request) -> execs.Asked:
    return execs.Asked(
        stdin=_flag(request, "input", "stdin"),
        stdout=_flag(request, "output", "stdout"),
        stderr=_flag(request, "error", "stderr"),
        tty=_flag(request, "tty"),
    )


def _accept(request: Request, protocols: tuple[str, ...]) -> websocket.Accepted:
    try:
        return websocket.accept(request, protocols)
    except websocket.UpgradeError as error:
        raise Refused(error.status, error.reason) from error


def _check_spdy(request: Request, protocol: str) -> None:
    if request.headers.get("upgrade", "").lower() != "spdy/3.1":
        raise Refused(400, "Upgrade request required")
    offered = request.headers.get("x-stream-protocol-version", "")
    if protocol not in [word.strip() for word in offered.split(",")]:
        raise Refused(403, f"unable to upgrade: unsupported protocols {offered!r}")


def _spdy_headers(protocol: str) -> tuple[tuple[str, str], ...]:
    return (("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", protocol))


Work = Callable[[channels.Channels], Awaitable[None]]


def _upgrade(request: Request, asked: execs.Asked, work: Work) -> Reply:
    if websocket.wanted(request):
        accepted = _accept(request, channels.WEBSOCKET_PROTOCOLS)

        async def over_websocket(duplex: Duplex) -> None:
            socket_ = websocket.WebSocket(duplex)
            peer = channels.OverWebSocket(socket_, accepted.protocol)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(peer.run())
                await work(peer)
                running.cancel()

        return Upgrade(over_websocket, accepted.headers)
    _check_spdy(request, channels.SPDY_PROTOCOL)

    async def over_spdy(duplex: Duplex) -> None:
        peer = channels.OverSpdy(spdy.Connection(duplex))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(peer.run())
            if await peer.gather(asked.channels()):
                await work(peer)
            running.cancel()
        duplex.close()

    return Upgrade(over_spdy, _spdy_headers(channels.SPDY_PROTOCOL))
