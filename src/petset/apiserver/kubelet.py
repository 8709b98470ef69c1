"""Reaching the agent of a node: where it listens, by the Node object, and one request to it."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping

from petset.api.errors import internal, not_found
from petset.api.meta import Obj
from petset.apiserver import agentwire
from petset.apiserver.agentwire import AgentAnswer, AgentError

CONNECT_S = 10.0
DEFAULT_PORT = 10250
PREFERRED = ("InternalIP", "Hostname", "ExternalIP", "InternalDNS", "ExternalDNS")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[str, int, str], Awaitable[Streams]]
"""Opens a connection to (host, port), whose certificate must be for the third: the node's name."""


def tls_connect(context: ssl.SSLContext) -> Connect:
    """Connections over TLS with the server's client certificate and the cluster's CA."""

    async def connect(host: str, port: int, name: str) -> Streams:
        return await asyncio.open_connection(
            host, port, ssl=context, server_hostname=name, limit=agentwire.HEAD_MAX
        )

    return connect


async def no_connect(host: str, port: int, name: str) -> Streams:
    """Stands in where the server was given no credentials for agents."""
    raise AgentError("the server has no credentials for the agents of nodes")


class Kubelet:
    """The agents of the cluster's nodes."""

    def __init__(self, connect: Connect = no_connect) -> None:
        self._connect = connect

    async def ask(
        self, node: Obj, method: str, target: str, headers: Mapping[str, str]
    ) -> AgentAnswer:
        """Send a request without a body to the agent of `node`.

        Raises StatusError 500 when it cannot be reached, as upstream does.
        """
        host, port, name = address_of(node)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {name}:{port}"]
        lines += [f"{key}: {value}" for key, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await self._connect(host, port, name)
        except (OSError, TimeoutError, AgentError) as error:
            text = f"error dialing backend: dial tcp {host}:{port}: {_reason(error)}"
            raise internal(text) from error
        try:
            return await agentwire.ask(reader, writer, head)
        except AgentError as error:
            await agentwire.close(writer)
            raise internal(f"error dialing backend: {error}") from error
        except asyncio.CancelledError:
            writer.close()
            raise


def _reason(error: Exception) -> str:
    """Why nobody answered, in the words that clients of Kubernetes know."""
    if isinstance(error, ssl.SSLError):  # an OSError, too, whose number says something else
        return f"tls: {error}"
    if isinstance(error, OSError) and error.errno:
        return f"connect: {os.strerror(error.errno).lower()}"
    if isinstance(error, TimeoutError):
        return "i/o timeout"
    return str(error) or type(error).__name__


def address_of(node: Obj) -> tuple[str, int, str]:
    """(host, port, name in the certificate) of a node's agent. Raises StatusError 500."""
    name = node["metadata"]["name"]
    status = node.get("status") or {}
    endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    port = int(endpoint.get("Port") or DEFAULT_PORT)
    addresses = {a.get("type"): a.get("address") for a in status.get("addresses") or ()}
    for kind in PREFERRED:
        if addresses.get(kind):
            return addresses[kind], port, name
    raise internal(f"no preferred addresses found for node {name!r}; known addresses: []")


def node_named(found: Obj | None, name: str) -> Obj:
    """The node, or StatusError 404."""
    if found is None:
        raise not_found("nodes", name)
    return found
