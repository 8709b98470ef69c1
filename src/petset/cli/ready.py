"""Whether a running cluster is ready, asked of its API."""

import asyncio
from collections.abc import Sequence

from petset.api import meta
from petset.api.errors import StatusError
from petset.cli import paths, state, thin
from petset.cli.failure import Failure
from petset.client.client import Client
from petset.client.transport import TransportError

_STEP_S = 0.05


def wait(where: paths.Paths, cluster: state.Cluster, nodes: Sequence[str], limit_s: float) -> None:
    """Wait until the API is ready and has each of `nodes` as Ready; a Failure says what is not."""
    missing = asyncio.run(_wait(where, cluster, nodes, limit_s))
    if missing:
        raise Failure(
            f"{missing} runs, but was not ready within {limit_s:g} s", f"see {where.logs}"
        )


def forgotten(where: paths.Paths, cluster: state.Cluster, nodes: Sequence[str]) -> Sequence[str]:
    """Those of `nodes` that have no Node object; none while the API does not answer."""
    return asyncio.run(_forgotten(where, cluster, nodes))


async def _forgotten(
    where: paths.Paths, cluster: state.Cluster, nodes: Sequence[str]
) -> Sequence[str]:
    client = thin.connect_to(where, cluster)
    try:
        listed = await client.list("nodes")
    except (StatusError, TransportError):
        return ()
    finally:
        await client.close()
    known = {meta.name_of(n) for n in listed.items}
    return [node for node in nodes if node not in known]


async def _wait(
    where: paths.Paths, cluster: state.Cluster, nodes: Sequence[str], limit_s: float
) -> str:
    client = thin.connect_to(where, cluster)
    missing = "the API server"
    try:
        async with asyncio.timeout(limit_s):
            while True:
                missing = await _missing(client, nodes)
                if not missing:
                    return ""
                await asyncio.sleep(_STEP_S)
    except TimeoutError:
        return missing
    finally:
        await client.close()


async def _missing(client: Client, nodes: Sequence[str]) -> str:
    """What is not ready yet, "" when all is."""
    try:
        answer = await client.transport.request("GET", "/readyz")
        if answer.status != 200:
            return "the API server"
        listed = await client.list("nodes")
    except (StatusError, TransportError):
        return "the API server"
    ready = {meta.name_of(n) for n in listed.items if meta.is_condition_true(n, "Ready")}
    late = [node for node in nodes if node not in ready]
    return f"node {late[0]}" if late else ""
