"""`petset status`: the clusters of this machine."""

import asyncio

from petset.api import meta
from petset.api.errors import StatusError
from petset.cli import paths, process, state, thin
from petset.client.transport import TransportError


def run(name: str) -> int:
    """Print a line per cluster and node; exit code 0 when all that is asked for runs."""
    names = [name] if name else _names()
    if not names:
        print("No clusters. Start one with `petset up`.")
        return 0
    return max(_one(n) for n in names)


def _names() -> list[str]:
    root = paths.home() / "clusters"
    kept = {p.name for p in root.iterdir()} if root.is_dir() else set()
    return sorted(kept | set(state.running_names()))


def _one(name: str) -> int:
    where = state.find(name)
    cluster = state.load(where)
    if cluster is None:
        print(f"{name}: no such cluster")
        return 1
    if process.read(where.pid_file("server")) is None:
        print(f"{name}: stopped; data in {where.state}")
        return 1
    ready = asyncio.run(_ready_nodes(where, cluster))
    if ready is None:
        print(f"{name}: the server runs but its API at {cluster.url} does not answer")
        return 1
    print(f"{name}: running at {cluster.url}; data in {where.state}")
    for node in cluster.nodes:
        agent = "running" if process.read(where.pid_file(f"agent-{node}")) else "dead"
        print(f"  {node}: {'Ready' if ready.get(node) else 'NotReady'}, agent {agent}")
    return 0 if all(ready.get(n) for n in cluster.nodes) else 1


async def _ready_nodes(where: paths.Paths, cluster: state.Cluster) -> dict[str, bool] | None:
    client = thin.connect_to(where, cluster)
    try:
        async with asyncio.timeout(5):
            listed = await client.list("nodes")
    except (StatusError, TransportError, TimeoutError):
        return None
    finally:
        await client.close()
    return {meta.name_of(n): meta.is_condition_true(n, "Ready") for n in listed.items}
