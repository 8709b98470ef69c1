"""`petset status`: the clusters of this machine."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.errors import StatusError
from petset.cli import paths, process, state, thin
from petset.cli.failure import Failure
from petset.client.transport import TransportError

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Report:
    """What is said of one cluster, and whether it is as it should be."""

    lines: Sequence[str]
    good: bool


def run(name: str) -> int:
    """Print a line per cluster and node; exit code 0 when all that is asked for runs."""
    if name:
        state.check_name(name)
    names = [name] if name else _names()
    if not names:
        print("No clusters. Start one with `petset up`.")
        return 0
    reports = asyncio.run(_all(names))
    for report in reports:
        print("\n".join(report.lines))
    return 0 if all(report.good for report in reports) else 1


def _names() -> list[str]:
    root = paths.home() / "clusters"
    kept = {p.name for p in root.iterdir()} if root.is_dir() else set()
    return sorted(kept | set(state.running_names()))


async def _all(names: Sequence[str]) -> Sequence[_Report]:
    return await asyncio.gather(*(_one(name) for name in names))


async def _one(name: str) -> _Report:
    try:
        where = state.find(name)
        cluster = state.load(where)
        if cluster is None:
            return _Report([f"{name}: no such cluster"], good=False)
        return await _known(where, cluster)
    except Failure as failure:
        return _Report([f"{name}: {failure}"], good=False)


async def _known(where: paths.Paths, cluster: state.Cluster) -> _Report:
    name = cluster.name
    nodes = sorted(cluster.nodes, key=cluster.nodes.__getitem__)
    agents = {n: process.read(where.pid_file(f"agent-{n}")) is not None for n in nodes}
    if process.read(where.pid_file("server")) is None:
        again = "petset up" if name == "default" else f"petset up --name {name}"
        if where.run.exists():
            line = f"{name}: its API server is dead; start it again with: {again}"
        else:
            line = f"{name}: stopped; data in {where.state}"
        return _Report([line], good=False)
    ready = await _ready_nodes(where, cluster)
    if ready is None:
        line = f"{name}: the server runs but its API at {cluster.url} does not answer"
        return _Report([line, f"  see {where.logs / 'server.log'}"], good=False)
    lines = [f"{name}: running at {cluster.url}; data in {where.state}"]
    for node, lives in agents.items():
        agent = "running" if lives else "dead"
        if node in ready:
            lines.append(f"  {node}: {'Ready' if ready[node] else 'NotReady'}, agent {agent}")
        else:
            lines.append(f"  {node}: not in the API (`petset up` registers it), agent {agent}")
    good = all(ready.get(node) and lives for node, lives in agents.items())
    return _Report(lines, good=good)


async def _ready_nodes(where: paths.Paths, cluster: state.Cluster) -> Mapping[str, bool] | None:
    client = thin.connect_to(where, cluster)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            listed = await client.list("nodes")
    except (StatusError, TransportError, TimeoutError):
        return None
    finally:
        await client.close()
    return {meta.name_of(n): meta.is_condition_true(n, "Ready") for n in listed.items}
