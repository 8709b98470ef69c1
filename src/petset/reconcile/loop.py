"""One controller at work: a queue of keys, and workers that observe, plan and execute.

The shape of a controller. It subclasses `Controller` and gives

- `name`: also the name in log lines and metrics; `component`: the source of its events;
- `caches`: what plans are made from. They are asked for in the constructor
  (`ctx.informers.cache("pods")`), so that the manager can wait for their first lists;
- `watch(queue)`: adds handlers to the caches that turn changes into keys. A key names the object
  that is reconciled, never the event. Called once, before the workers start;
- `observe(key)`: everything that the plan needs, read from the caches; None when the object is
  gone. It may ask the API (a live GET where a cache is not enough), but it writes nothing;
- `plan(seen, now)`: calls the controller's pure `plan.py`;
- `externals`: functions for what has to be done outside the API, by name (`actions.External`);
- `finish(key, seen)`: told after a plan that went through; for bookkeeping in memory only.

The outcome of one turn is `Done`, `After(seconds)`, `Retry` (back-off) or `Terminal` (log, count,
wait for the next change).

Invariant: a key is planned only when the caches have seen its own earlier writes (freshness.py).
Invariant: a key whose plan is expensive is delayed before its next one (pauses.py); changes in the
meantime are handled together.
Invariant: `except Exception` stands here and nowhere else in the controllers: a bug in one plan is
logged, counted and retried with back-off; the other keys go on.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from petset.api.errors import StatusError
from petset.client.cache import Cache
from petset.client.queue import Queue
from petset.client.transport import TransportError
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.events import Events
from petset.reconcile.execute import Executed, Executor, ExternalEffect, Failure
from petset.reconcile.freshness import Freshness
from petset.reconcile.metrics import Sample
from petset.reconcile.pauses import Pauses

S = TypeVar("S")

_log = logging.getLogger(__name__)

RETRY_MAX_S = 60.0
"""Longest back-off of a key, in seconds."""

_TERMINAL_CODES = frozenset({400, 405, 415, 501})
"""Answers that another try cannot change: the request itself is wrong or not supported."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to do until something changes."""


@dataclass(frozen=True, slots=True)
class After:
    """Look again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Retry:
    """Look again with back-off."""

    why: str


@dataclass(frozen=True, slots=True)
class Terminal:
    """Do not try again until something changes."""

    why: str


Outcome = Done | After | Retry | Terminal


class Controller(ABC, Generic[S]):
    """What a controller gives; `S` is the type of what it observes."""

    name: ClassVar[str]
    component: ClassVar[str]
    workers: ClassVar[int] = 5
    caches: tuple[Cache, ...] = ()
    externals: Mapping[str, ExternalEffect] = {}

    @abstractmethod
    def watch(self, queue: Queue) -> None:
        """Add the handlers that turn changes into keys of `queue`."""

    @abstractmethod
    async def observe(self, key: str) -> S | None:
        """All that the plan of `key` needs; None when its object is gone."""

    @abstractmethod
    def plan(self, seen: S, now: float) -> Plan:
        """What to do at wall-clock time `now` (seconds since the epoch)."""

    def finish(self, key: str, seen: S) -> None:
        """Told after a plan of `key` went through."""


class Loop(Generic[S]):
    """Runs one controller."""

    def __init__(self, controller: Controller[S], ctx: Context) -> None:
        self._controller = controller
        self._clock = ctx.clock
        self._metrics = ctx.metrics
        ctx.metrics.add(self._samples)
        self.queue = Queue(max_s=RETRY_MAX_S)
        self._working = 0
        self._pauses = Pauses()
        self._freshness = Freshness(controller.caches, self.queue.add)
        self.events = Events(ctx.recorder(controller.component))
        self._executor = Executor(
            controller.name,
            ctx.client,
            self.events.emit,
            metrics=ctx.metrics,
            externals=controller.externals,
        )

    @property
    def busy(self) -> int:
        """How many keys are being worked on or wait for a worker; delayed ones do not count."""
        return self._working + len(self.queue)

    def _samples(self) -> Iterator[Sample]:
        """The queue's numbers, as Kubernetes' controllers name them."""
        labels, queue = {"name": self._controller.name}, self.queue
        yield "workqueue_adds_total", labels, queue.adds
        yield "workqueue_retries_total", labels, queue.retries
        yield "workqueue_depth", labels, len(queue)

    async def run(self) -> None:
        """Work until cancelled. The caches should be synced by then."""
        self._freshness.start()
        self._controller.watch(self.queue)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.events.run(), name=f"{self._controller.name}-events")
                for number in range(self._controller.workers):
                    group.create_task(self._work(), name=f"{self._controller.name}-{number}")
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            self._working += 1
            try:
                outcome = await self.turn(key)
            except Exception:
                _log.exception("%s: %s: bug", self._controller.name, key)
                outcome = Retry("bug")
            finally:
                self._working -= 1
                self.queue.done(key)
            self._settle(key, outcome)

    async def turn(self, key: str) -> Outcome:
        """Observe, plan and execute once."""
        if (delay := self._freshness.delay(key)) is not None:
            return After(delay)
        if (pause := self._pauses.left(key, asyncio.get_running_loop().time())) > 0:
            return After(pause)
        try:
            seen = await self._controller.observe(key)
        except (StatusError, TransportError) as error:
            return _failed(error)
        if seen is None:
            self._freshness.forget(key)
            self._pauses.forget(key)
            return Done()
        plan = self._plan(key, seen)
        executed = await self._executor.execute(plan)
        for write in executed.writes:
            self._freshness.wrote(key, write)
        outcome = _outcome(plan, executed)
        if executed.failure is None:
            self._controller.finish(key, seen)
        return outcome

    def _plan(self, key: str, seen: S) -> Plan:
        """The plan; an expensive one delays the key's next one."""
        time = asyncio.get_running_loop().time
        began = time()
        plan = self._controller.plan(seen, self._clock.now())
        self._pauses.planned(key, began, time(), plan)
        return plan

    def _settle(self, key: str, outcome: Outcome) -> None:
        name = self._controller.name
        self._metrics.count(
            "petset_controller_turns_total",
            controller=name,
            outcome=type(outcome).__name__.lower(),
        )
        match outcome:
            case Retry(why):
                _log.info("%s: %s: trying again: %s", name, key, why)
                self.queue.retry(key)
                return
            case Terminal(why):
                _log.error("%s: %s: giving up until it changes: %s", name, key, why)
            case After(seconds):
                self.queue.add_after(key, seconds)
            case Done():
                pass
        self.queue.forget(key)


def _outcome(plan: Plan, executed: Executed) -> Outcome:
    if executed.failure is not None:
        return _failed(executed.failure)
    if plan.requeue_after_s is not None:
        return After(plan.requeue_after_s)
    return Done()


def _failed(failure: Failure) -> Outcome:
    if isinstance(failure, StatusError):
        causes = failure.details.get("causes") or ()
        if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
            return Done()  # the namespace is terminating, and its content with it
        if failure.code in _TERMINAL_CODES:
            return Terminal(str(failure))
    return Retry(f"{failure}" or type(failure).__name__)
