"""Health checks of Services whose traffic stays on the node: who balances load before the cluster
asks a port of each node whether it has endpoints of such a Service.

The answers are upstream's: 200 or 503 on any path, with how many endpoints there are.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Iterable

from petset.base import edge
from petset.base.http import Handler, Reply, Request, Response
from petset.proxy.rules import HealthCheck

Listen = Callable[[int], socket.socket]
"""A socket that listens at a port of the node. Raises OSError when it is taken."""


class HealthChecks:
    """The ports that are asked, and what is said there."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._checks: dict[int, HealthCheck] = {}
        self._edges: dict[int, edge.Edge] = {}
        self.healthy = False
        """Whether the rules in force are the ones that are wanted."""

    async def set(self, checks: Iterable[HealthCheck]) -> None:
        """Answer these checks and no others. Raises OSError when a port cannot be had; the others
        are answered all the same."""
        self._checks = {check.port: check for check in checks}
        await self._close([port for port in self._edges if port not in self._checks])
        refused = []
        for port in self._checks.keys() - self._edges.keys():
            try:
                self._edges[port] = await edge.serve(self._answer_at(port), sock=self._listen(port))
            except OSError as error:
                refused.append(f"port {port}: {error}")
        if refused:
            raise OSError(f"health checks cannot be answered at {', '.join(refused)}")

    async def close(self) -> None:
        """Answer nothing any more."""
        await self._close(list(self._edges))

    async def _close(self, ports: Iterable[int]) -> None:
        closing = [self._edges.pop(port) for port in ports]
        await asyncio.gather(*(one.close(0.0) for one in closing))

    def _answer_at(self, port: int) -> Handler:
        async def answer_now(request: Request) -> Reply:
            del request
            return answer(self._checks[port], healthy=self.healthy)

        return answer_now


def answer(check: HealthCheck, *, healthy: bool) -> Response:
    """What is said for `check`."""
    told = {
        "service": {"namespace": check.namespace, "name": check.name},
        "localEndpoints": check.endpoints,
        "serviceProxyHealthy": healthy,
    }
    headers = (
        ("Content-Type", "application/json"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Load-Balancing-Endpoint-Weight", str(check.endpoints)),
    )
    status = 200 if healthy and check.endpoints else 503
    return Response(status, headers, json.dumps(told, indent="\t").encode())
