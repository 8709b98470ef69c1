"""The API over HTTPS on a store on disk, until it is killed. Arguments: directory, port."""

import asyncio
import sys
from pathlib import Path

from petset.apiserver.app import App, refusal
from petset.base import edge, tlsconfig
from petset.base.clock import SystemClock
from petset.base.ids import Ids
from petset.store.log import open_store


async def main(directory: Path, port: int) -> None:
    clock = SystemClock()
    store = await open_store(directory / "store", clock=clock)
    app = App(store, clock, Ids())
    await app.start()
    pki = directory / "pki"
    context = tlsconfig.server_context(pki / "server.crt", pki / "server.key", pki / "ca.crt")
    listening = await edge.serve(app.dispatch, port=port, ssl=context, on_refuse=refusal)
    print(listening.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
