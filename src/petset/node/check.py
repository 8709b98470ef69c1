"""One try of a probe or hook: HTTP, TCP or a command inside the container.

Sockets are made in the node's network namespace, whence every pod of the node is reachable.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from petset.api.meta import Obj
from petset.node import podspec
from petset.node.runtime.base import ExecResult, RuntimeFailedError

BODY_MAX = 10 * 1024
MakeSocket = Callable[[], socket.socket]
"""A fresh non-blocking TCP socket in the node's network namespace."""


class RunIn(Protocol):
    """Runs commands inside containers."""

    async def run_in(
        self, container_id: str, command: Sequence[str], timeout_s: float
    ) -> ExecResult:
        """See `runtime.base.Runtime.run_in`."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: a container's id, its specification, the pod's address."""

    container_id: str
    spec: Obj
    ip: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the try succeeded, and the words for an event if not.

    `errored`: it could not be made, so that it says nothing about the container.
    """

    success: bool
    words: str = ""
    errored: bool = False


class Checker:
    """Makes tries for one node."""

    def __init__(self, runtime: RunIn, make_socket: MakeSocket) -> None:
        self._runtime = runtime
        self._make_socket = make_socket

    async def check(self, target: Target, handler: Obj, timeout_s: float) -> Answer:
        """One try of `handler` (a probe, or a lifecycle hook)."""
        if handler.get("exec"):
            return await self._command(target, handler["exec"].get("command") or (), timeout_s)
        if handler.get("httpGet"):
            return await self._http(target, handler["httpGet"], timeout_s)
        if handler.get("tcpSocket"):
            return await self._tcp(target, handler["tcpSocket"], timeout_s)
        return Answer(success=False, words="petset does not support this kind of probe yet")

    async def _command(self, target: Target, command: Sequence[str], timeout_s: float) -> Answer:
        try:
            done = await self._runtime.run_in(target.container_id, command, timeout_s)
        except TimeoutError:
            return Answer(
                success=False,
                words=f'command timed out: "{" ".join(command)}" timed out after {timeout_s:g}s',
            )
        except RuntimeFailedError as error:
            return Answer(success=False, words=error.message, errored=True)
        words = done.output[:BODY_MAX].decode(errors="replace")
        return Answer(done.code == 0, "" if done.code == 0 else words)

    async def _connect(self, host: str, port: int) -> socket.socket:
        made = self._make_socket()
        try:
            await asyncio.get_running_loop().sock_connect(made, (host, port))
        except BaseException:
            made.close()
            raise
        return made

    async def _tcp(self, target: Target, action: Obj, timeout_s: float) -> Answer:
        port = podspec.port_number(target.spec, action.get("port"))
        if port is None:
            return _no_port(action)
        host = action.get("host") or target.ip
        try:
            async with asyncio.timeout(timeout_s):
                (await self._connect(host, port)).close()
        except TimeoutError:
            return Answer(success=False, words=f"dial tcp {host}:{port}: i/o timeout")
        except OSError as error:
            return Answer(success=False, words=f"dial tcp {host}:{port}: {_words(error)}")
        return Answer(success=True)

    async def _http(self, target: Target, action: Obj, timeout_s: float) -> Answer:
        port = podspec.port_number(target.spec, action.get("port"))
        if port is None:
            return _no_port(action)
        host = action.get("host") or target.ip
        scheme = (action.get("scheme") or "HTTP").lower()
        path = action.get("path") or "/"
        url = f"{scheme}://{host}:{port}{path if path.startswith('/') else '/' + path}"
        try:
            async with asyncio.timeout(timeout_s):
                code = await self._get(host, port, scheme=scheme, head=_head(action, host, port))
        except TimeoutError:
            words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            return Answer(success=False, words=f'Get "{url}": {words}')
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            words = f"dial tcp {host}:{port}: {_words(error)}"
            return Answer(success=False, words=f'Get "{url}": {words}')
        if 200 <= code < 400:
            return Answer(success=True)
        return Answer(success=False, words=f"HTTP probe failed with statuscode: {code}")

    async def _get(self, host: str, port: int, *, scheme: str, head: bytes) -> int:
        sock = await self._connect(host, port)
        context = _unverified() if scheme == "https" else None
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname=host if context else None
        )
        try:
            writer.write(head)
            line = await reader.readline()
            words = line.split(b" ", 2)
            if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
                raise ValueError("malformed HTTP response")
            return int(words[1])
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _no_port(action: Obj) -> Answer:
    words = f'strconv.Atoi: parsing "{action.get("port")}": invalid syntax'
    return Answer(success=False, words=words, errored=True)


def _head(action: Obj, host: str, port: int) -> bytes:
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.37", "Accept": "*/*"}
    for header in action.get("httpHeaders") or ():
        name = str(header.get("name"))
        for known in [k for k in headers if k.lower() == name.lower()]:
            del headers[known]
        headers[name] = str(header.get("value") or "")
    headers["Connection"] = "close"
    path = action.get("path") or "/"
    path = path if path.startswith("/") else f"/{path}"
    lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@lru_cache(maxsize=1)
def _unverified() -> ssl.SSLContext:
    """Probes do not check certificates, as upstream's do not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return f"connect: {os.strerror(error.errno).lower()}"
    return str(error) or type(error).__name__
