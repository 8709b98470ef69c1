"""Ports of the node that lead to pods (hostPort), as nat rules in the node's namespace.

The whole table is replaced in one transaction whenever something changes; a node without such
ports never calls nft.
"""

import asyncio
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from petset.node.network import namespace

TABLE = "petset-hostport"
ANYWHERE = "0.0.0.0"  # noqa: S104 (an address to compare with)


class HostPortError(Exception):
    """The rules could not be set."""


@dataclass(frozen=True, slots=True)
class Forward:
    """One port of the node and where it leads."""

    host_ip: str
    protocol: str
    host_port: int
    pod_ip: str
    pod_port: int


def rules(forwards: Iterable[Forward]) -> str:
    """The table that makes `forwards`, replacing the one there is."""
    wanted = sorted(forwards, key=lambda f: (f.host_port, f.protocol, f.host_ip))
    lines = [f"    {_rule(forward)}" for forward in wanted]
    body = "\n".join(lines)
    ips = sorted({forward.pod_ip for forward in wanted})
    loops = "\n".join(f"    ip saddr {ip} ip daddr {ip} masquerade" for ip in ips)
    return f"""table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
  chain pre {{
    type nat hook prerouting priority -100;
{body}
  }}
  chain out {{
    type nat hook output priority -100;
{body}
  }}
  chain post {{
    type nat hook postrouting priority 100;
    ct status dnat ip saddr 127.0.0.0/8 masquerade
{loops}
  }}
}}
"""


def _rule(forward: Forward) -> str:
    local = "fib daddr type local"
    if forward.host_ip not in ("", ANYWHERE):
        local = f"ip daddr {forward.host_ip}"
    protocol = forward.protocol.lower()
    target = f"{forward.pod_ip}:{forward.pod_port}"
    return f"{local} {protocol} dport {forward.host_port} dnat to {target}"


class HostPorts:
    """The forwarded ports of one node; None as namespace keeps the books only."""

    def __init__(self, netns: Path | None) -> None:
        self._netns = netns
        self._by_pod: dict[str, tuple[Forward, ...]] = {}
        self._changing = asyncio.Lock()

    async def set(self, uid: str, forwards: Sequence[Forward]) -> None:
        """Let these ports lead to pod `uid`; none takes its ports away. Raises HostPortError."""
        async with self._changing:
            if self._by_pod.get(uid, ()) == tuple(forwards):
                return
            wanted = {**self._by_pod, uid: tuple(forwards)}
            if self._netns is not None:
                text = rules(f for those in wanted.values() for f in those)
                await asyncio.to_thread(_apply, self._netns, text)
            if forwards:
                self._by_pod[uid] = tuple(forwards)
            else:
                self._by_pod.pop(uid, None)


def _apply(netns: Path, text: str) -> None:
    def body() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["nft", "-f", "-"], input=text, capture_output=True, text=True, check=False
        )

    done = namespace.within(netns, body)
    if done.returncode != 0:
        raise HostPortError(f"nft refused the host ports: {done.stderr.strip()[:500]}")
