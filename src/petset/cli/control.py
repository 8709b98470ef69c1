"""The server's controllers and scheduler, over its API in process.

Invariant: loaded by `server` only after the API answers: nobody who waits for that waits for this.
"""

import asyncio
import gc

from petset.apiserver.app import App
from petset.base.clock import SystemClock
from petset.base.http import Identity
from petset.base.ids import Ids
from petset.cli import paths
from petset.client.client import Client
from petset.client.events import Recorder
from petset.client.local import Local
from petset.client.reflector import Informers
from petset.controllers.registry import CONTROLLERS
from petset.reconcile.context import Config, Context
from petset.reconcile.manager import Manager
from petset.scheduler.scheduler import Scheduler

CONTROLLER = Identity("system:petset-controllers", ("system:masters", "system:authenticated"))


async def run(app: App, where: paths.Paths, clock: SystemClock, ids: Ids) -> None:
    """Keep the cluster's objects as they are wanted, until cancelled."""
    client = Client(Local(app.dispatch, CONTROLLER), manager="petset-controller-manager")
    informers = Informers(client)
    context = Context(
        informers=informers,
        client=client,
        clock=clock,
        ids=ids,
        recorder=lambda component: Recorder(client, component, "", clock, ids),
        config=Config(volumes_root=str(where.volumes), ca_text=(where.pki / "ca.crt").read_text()),
    )
    manager, scheduler = Manager(context, CONTROLLERS), Scheduler(context)
    app.metrics.beside = context.metrics.samples
    async with asyncio.TaskGroup() as group:
        group.create_task(informers.run(), name="informers")
        group.create_task(manager.run(informers=False), name="manager")
        group.create_task(scheduler.run(), name="scheduler")
        await informers.wait_synced()
        gc.freeze()  # the caches stay, too: a full collection would stop the loop for long
