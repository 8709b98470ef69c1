"""A server in a process of its own, without TLS: everybody is its administrator.

`python -m tests.fuzz.served` prints its port, and serves until its standard input ends. What it
logs as an error goes to standard error.
"""

import asyncio
import sys
from dataclasses import replace

from petset.apiserver.app import refusal
from petset.base import edge
from petset.base.http import Reply, Request
from tests.fuzz.api import ADMIN
from tests.unit.apiserver.harness import serving


async def main() -> None:
    async with serving(request_timeout_s=5.0, watch_timeout_s=(0.1, 0.2)) as server:

        async def handler(request: Request) -> Reply:
            return await server.app.dispatch(replace(request, peer=ADMIN))

        served = await edge.serve(handler, on_refuse=refusal)
        print(served.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await served.close(1)


if __name__ == "__main__":
    asyncio.run(main())
