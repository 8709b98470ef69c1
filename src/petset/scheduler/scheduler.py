"""The scheduler at work: watches, tries pods one after the other, binds them side by side.

Invariant: one decision at a time, each on a state that includes all earlier ones; only the writes
run concurrently.
Invariant: `except Exception` stands here once, around the decision: a pod on which the planner
fails is logged and backed off; the others go on.
"""

import asyncio
import logging

from petset.api import meta
from petset.api.meta import Obj
from petset.reconcile.actions import Emit
from petset.reconcile.context import Context
from petset.reconcile.events import Events
from petset.reconcile.execute import Executor
from petset.scheduler import watch
from petset.scheduler.binding import Binder, FailedError
from petset.scheduler.plan import FILTERS, Placement, Unschedulable, plan
from petset.scheduler.plugins.info import pod_info
from petset.scheduler.plugins.types import PodInfo
from petset.scheduler.queue import Entry, Queue
from petset.scheduler.report import Reports
from petset.scheduler.state import State, node_of

NAME = "default-scheduler"

_log = logging.getLogger(__name__)


class Scheduler:
    """Gives every pod of `schedulerName: default-scheduler` a node.

    Not supported, by name: preemption, resource claims, extenders, several profiles, scoring by
    images.
    """

    def __init__(self, ctx: Context) -> None:
        self._draw = ctx.ids.rng.randrange
        self._events = Events(ctx.recorder(NAME))
        self._executor = Executor(
            "scheduler", ctx.client, self._events.emit, metrics=ctx.metrics, externals={}
        )
        self._caches = {name: ctx.informers.cache(name) for name in watch.RESOURCES}
        self._state = State()
        self._queue = Queue()
        self._reports = Reports(self._executor, ctx.clock, self._unplaced)
        self._binder = Binder(self._executor, self._caches)

    @property
    def waiting(self) -> int:
        """How many pods have no node yet."""
        return len(self._queue)

    async def run(self) -> None:
        """Schedule until cancelled. Somebody else runs the informers."""
        for cache in self._caches.values():
            await cache.wait_synced()
        watch.Watch(self._state, self._queue, NAME, self._reports).start(self._caches)
        self._binder.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._events.run(), name="scheduler-events")
                group.create_task(self._reports.run(), name="scheduler-reports")
                while True:
                    self._attempt(await self._queue.take(), group)
                    await asyncio.sleep(0)
        finally:
            self._queue.close()

    def _unplaced(self, pod: Obj) -> Obj | None:
        cached = self._caches["pods"].get(meta.namespace_of(pod), meta.name_of(pod))
        if cached is None or meta.uid_of(cached) != meta.uid_of(pod) or node_of(cached):
            return None
        return cached

    def _attempt(self, entry: Entry, group: asyncio.TaskGroup) -> None:
        """Decide about one pod; a placement is assumed and written in a task of its own."""
        try:
            info = pod_info(entry.pod)
            decision = plan(info, self._state.world(), self._draw)
        except Exception:
            _log.exception("scheduler: %s: bug", meta.key_of(entry.pod))
            self._refuse(entry, frozenset(FILTERS), "the scheduler failed on this pod")
            return
        if isinstance(decision, Unschedulable):
            self._refuse(entry, decision.filters, decision.message)
            return
        self._state.looked_at(decision.looked_at)
        self._state.assume(info, decision.node, decision.volumes)
        self._queue.wake("pod-placed")
        group.create_task(self._place(entry, info, decision), name="scheduler-bind")

    def _refuse(self, entry: Entry, filters: frozenset[str], message: str) -> None:
        _log.debug("scheduler: %s: %s", meta.key_of(entry.pod), message)
        self._queue.refused(entry, filters)
        self._reports.hold(entry.pod, message)

    async def _place(self, entry: Entry, info: PodInfo, placement: Placement) -> None:
        try:
            await self._binder.bind(info, placement.node, placement.volumes)
        except FailedError as error:
            self._take_back(entry, info, placement)
            self._refuse(entry, frozenset(FILTERS), str(error))
            return
        self._state.settle(placement.volumes)
        self._queue.remove(info.uid)
        self._reports.drop(info.uid)
        text = f"Successfully assigned {info.namespace}/{info.name} to {placement.node}"
        self._executor.emit(Emit(info.pod, "Normal", "Scheduled", text))

    def _take_back(self, entry: Entry, info: PodInfo, placement: Placement) -> None:
        """The placement is void: others may have its room, and the pod comes again."""
        self._state.forget(info.uid)
        claims = self._caches[watch.PVCS]
        for key in placement.volumes.provision:
            namespace, _, name = key.partition("/")
            self._state.set_claim(key, claims.get(namespace, name))
        self._queue.wake("pod-gone")
        entry.woken = True
