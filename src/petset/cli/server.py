"""The server process: API over its store, controllers and scheduler, on one event loop.

Started by `petset up`; `python -m petset.cli.load server --state DIR --run DIR`.
Invariant: what only users' commands need (yaml, cryptography) is not imported here, and what the
API does not need (`control`) only when it answers.
"""

import argparse
import asyncio
import contextlib
import gc
import importlib
import importlib.util
import logging
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from petset.apiserver.app import App, refusal
from petset.apiserver.config import Config as ServerConfig
from petset.apiserver.kubelet import tls_connect
from petset.base import edge, log, tlsconfig
from petset.base.clock import SystemClock
from petset.base.ids import Ids
from petset.cli import holder, paths, process, state
from petset.cli.failure import Failure
from petset.store.log import open_store
from petset.store.types import Store, StoreError

LOOP_VARIABLE = "PETSET_EVENT_LOOP"
"""Environment variable: `asyncio` or `uvloop`; without it uvloop where it is installed."""

_GRACE_S = 3.0
_log = logging.getLogger("petset.server")


class RefusedError(Exception):
    """The server cannot start: why, and what to do about it."""

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.todo = todo


def main() -> None:
    """Entry point: serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="petset-server", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the cluster's state directory")
    parser.add_argument("--run", type=Path, required=True, help="the cluster's run directory")
    parser.add_argument("--ready-fd", type=int, default=-1, help="where to say that it is ready")
    parser.add_argument("--go-fd", type=int, default=-1, help="where to wait for the word to begin")
    arguments = parser.parse_args()
    if not process.await_go(arguments.go_fd):
        return
    log.setup()
    sys.setswitchinterval(0.0005)  # a busy thread must not hold up the loop (store writer)
    where = paths.Paths(arguments.state, arguments.run)
    try:
        cluster = state.load(where)
        if cluster is None:
            raise RefusedError(f"there is no cluster in {where.state}")
        with _runner(os.environ.get(LOOP_VARIABLE, "")) as runner:
            runner.run(_run(where, cluster, arguments.ready_fd))
    except (RefusedError, Failure, StoreError, OSError) as error:
        _log.error("%s", error)
        why = f"the API server cannot start: {getattr(error, 'what', error)}"
        process.tell(arguments.ready_fd, why, getattr(error, "todo", ""))
        sys.exit(1)


def _runner(loop: str) -> asyncio.Runner:
    """A runner for the event loop named `loop`; "": uvloop where it is installed, else asyncio."""
    if loop not in ("", "asyncio", "uvloop"):
        raise RefusedError(f"{LOOP_VARIABLE}={loop} is no event loop", "say asyncio or uvloop")
    installed = loop != "asyncio" and importlib.util.find_spec("uvloop") is not None
    if loop == "uvloop" and not installed:
        raise RefusedError("uvloop is not installed", f"unset {LOOP_VARIABLE}")
    if not installed:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop)


async def _run(where: paths.Paths, cluster: state.Cluster, ready_fd: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock, ids = SystemClock(), Ids()
    try:
        store = await open_store(where.store, clock=clock)
    except StoreError as error:
        raise RefusedError(
            str(error),
            "use the version that wrote it, restore a backup of it, or delete the cluster: "
            f"petset down --name {cluster.name} --delete-data",
        ) from error
    try:
        async with _serving(where, cluster, store, clock, ids) as app:
            process.tell(ready_fd, "ok")
            work = asyncio.create_task(_control(app, where, clock, ids), name="controllers")
            ending = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait([work, ending], return_when=asyncio.FIRST_COMPLETED)
            await _end(work, ending)
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def _serving(
    where: paths.Paths, cluster: state.Cluster, store: Store, clock: SystemClock, ids: Ids
) -> AsyncIterator[App]:
    """The API on the user's address and on the cluster's LAN, for agents and pods."""
    config = ServerConfig(advertise_address=cluster.host_ip, secure_port=cluster.port)
    towards = tlsconfig.client_context(
        where.pki / "ca.crt",
        where.pki / "apiserver-kubelet.crt",
        where.pki / "apiserver-kubelet.key",
    )
    app = App(store, clock, ids, config=config, connect=tls_connect(towards))
    edges: list[edge.Edge] = []
    try:
        await app.start()
        hosts = dict.fromkeys([cluster.listen, cluster.host_ip])
        context = tlsconfig.server_context(
            where.pki / "apiserver.crt", where.pki / "apiserver.key", where.pki / "ca.crt"
        )
        edges += [await _listen(app, h, cluster.port, context) for h in hosts]
        yield app
    finally:
        await app.close()  # ends watches first, so that the edges need not wait for them
        for listening in edges:
            await listening.close(_GRACE_S)


async def _listen(app: App, host: str, port: int, context: ssl.SSLContext) -> edge.Edge:
    try:
        return await edge.serve(
            app.dispatch,
            host=host,
            port=port,
            ssl=context,
            on_refuse=refusal,
            at_once=app.at_once,
        )
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise RefusedError(holder.taken(host, port, why), process.OTHER_PORT) from error


async def _control(app: App, where: paths.Paths, clock: SystemClock, ids: Ids) -> None:
    """Load controllers and scheduler while the API already answers, and run them."""
    control = await asyncio.to_thread(importlib.import_module, "petset.cli.control")
    _settle_memory()
    await control.run(app, where, clock, ids)


def _settle_memory() -> None:
    """Exclude what is loaded for good from garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 200, 100)


async def _end(work: "asyncio.Task[None]", ending: "asyncio.Task[bool]") -> None:
    ending.cancel()
    if work.done():
        work.result()  # a crash of the controllers ends the process, loudly
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
