"""Lives one history and tells how it went."""

import asyncio
import contextlib
import gc
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import Obj
from petset.controllers.statefulset.spec import read
from petset.reconcile.context import Config
from petset.store.types import Event
from petset.testing import rest
from petset.testing.breakable import BreakableWorld
from petset.testing.checker import Checker
from petset.testing.clock import run_virtual
from petset.testing.judge import Judge
from tests.sim import play
from tests.sim.play import DEPLOYMENT, SET, Player
from tests.sim.story import Story

CONVERGED_S = 3000.0
"""A world that is left alone has to get whole within this time."""
HELP_S = 400.0
"""Sets that wait for a hand by their own wish get one so often."""
FULL_S = 500.0
"""Where pods lack room for so long, and a hand has been lent, they will go on lacking it."""
LOOK_S = 4.0
REST_S = 600.0
"""How long a world at rest has to stay still."""
UNCORDONED = {"spec": {"unschedulable": None}}
ROLLING = {"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}}
FOLLOWED = frozenset(
    (
        "pods", "services", "endpoints", "nodes", "namespaces", "serviceaccounts", "configmaps",
        "persistentvolumes", "persistentvolumeclaims", "statefulsets.apps", "deployments.apps",
        "replicasets.apps", "controllerrevisions.apps", "endpointslices.discovery.k8s.io",
        "poddisruptionbudgets.policy", "leases.coordination.k8s.io",
        "storageclasses.storage.k8s.io", "priorityclasses.scheduling.k8s.io",
    )
)  # fmt: skip
"""What histories have objects of; to follow the rest would take a third of the time."""
ALLOWED = ("leases.coordination.k8s.io/",)
"""Writes at rest: heartbeats. Events may also expire."""


@dataclass
class Outcome:
    """How a history went.

    Attributes:
        faults: what went against the rules, first things first.
        digest: of the trace: equal for equal runs.
    """

    story: Story
    faults: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    virtual_s: float = 0.0
    writes: int = 0
    starts: int = 0

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


class _Bugs(logging.Handler):
    """Controllers and server log their bugs and go on; here each is a fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._faults.append(f"log: {record.getMessage()}: {record.exc_info[1]!r}")
        elif record.name == "asyncio":
            self._faults.append(f"log: {record.getMessage()}")


@contextmanager
def _bugs(faults: list[str]) -> Iterator[None]:
    handler, logger = _Bugs(faults), logging.getLogger()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def live(story: Story, *, names: bool = True) -> Outcome:
    """Live a story from its beginning to its quiet end.

    Args:
        names: nodes have DNS and Service rules. Without, requests are fewer, and dice fall as they
            did before nodes had them.
    """
    outcome = Outcome(story)
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _bugs(outcome.faults):
            run_virtual(_live(story, outcome, names=names))
    except (Exception, asyncio.CancelledError) as error:
        outcome.faults.append(f"ended by {error!r:.2000}")
    finally:
        if collecting:
            gc.enable()
    return outcome


async def _live(story: Story, outcome: Outcome, *, names: bool) -> None:
    world = BreakableWorld(
        nodes=0,
        seed=story.seed,
        lag_s=story.lag_s,
        disk_s=story.disk_s,
        history_bytes=story.history_bytes,
        followed=FOLLOWED,
        config=Config(node_grace_s=4 * story.beat_s),
    )
    outcome.trace = world.trace
    async with world:
        judge = Judge(world, outcome.faults)
        for number in range(story.nodes):
            capacity = {"cpu": story.cpu, "memory": "64Gi", "pods": "110"}
            labels = {"zone": f"z{number % 2}"}
            node = world.add_node(labels=labels, capacity=capacity, beat_s=story.beat_s)
            if names:
                judge.names.follow(node)
        await world.wait_for(lambda: len(world.names("nodes")) == story.nodes)
        player, checker = Player(world, story), Checker(world, orders=False)
        checker.faults, checker.forfeited = outcome.faults, player.forfeited
        player.on_evicted = judge.evicted
        outcome.refused = player.refused
        await player.begin()
        for step in story.steps:
            await player.play(step)
            if outcome.faults:
                break
        if not outcome.faults:
            await _end(world, player, judge, outcome)
        outcome.faults += [f for f in world.losses if f not in outcome.faults]
        outcome.faults += [f"nobody follows {name}" for name in sorted(world.unfollowed())]
        outcome.virtual_s = asyncio.get_running_loop().time()
        outcome.writes, outcome.starts = world.store.revision, len(world.runtime.log)


async def _end(world: BreakableWorld, player: Player, judge: Judge, outcome: Outcome) -> None:
    """Nothing goes wrong any more: the world has to get whole, tell the truth and stay still."""
    await _calm(world, player)
    missing = await _converge(world, player, outcome)
    if outcome.faults:
        return
    if missing:
        outcome.faults.append(f"never whole: {missing}")
        return
    await world.sleep(_settling_s(world, player.story))
    waiting = _no_room(world, player.story)
    if not waiting and (missing := _missing(world)):
        outcome.faults.append(f"not whole any more: {missing}")
    told = rest.faults(world) + list(judge.names.at_rest())
    if any("/controllerrevisions" in asked.path for asked in world.late):
        told = [f for f in told if rest.ONE_NUMBER not in f]  # the next one was made without it
    outcome.faults += [f for f in told if not (waiting and "deployment" in f)]
    crashing = (p for p in world.objects("pods") if waiting and not play.is_fine(p))
    await _stay_still(world, outcome, {f"pods/{meta.key_of(p)}" for p in crashing})


async def _calm(world: BreakableWorld, player: Player) -> None:
    """Everything that is broken is repaired, and pods get images that work."""
    world.trace.append("---- calm")
    world.driver.commits.clear()
    await world.back()
    for wire in world.wires.values():
        wire.calm()
    world.gone.clear()
    await world.back()
    for node in world.nodes:
        world.start_agent(node.name)
    names = {node.name for node in world.nodes}
    await world.wait_for(lambda: set(world.names("nodes")) >= names, timeout_s=300)
    for name in sorted(names):
        await _until_done(lambda n=name: play.taint(player, n, None))
        await _until_done(lambda n=name: world.client.patch("nodes", n, UNCORDONED))
    for resource in (SET, DEPLOYMENT):
        for found in world.objects(resource):
            if not meta.is_deleting(found):
                await _until_done(lambda r=resource, f=found: _mend(world, r, f))
    with contextlib.suppress(TimeoutError):  # who is not gone by then is told of at the end
        await world.wait_for(lambda: not any(map(meta.is_deleting, world.objects(SET))))
    await _tidy_up(world)


async def _tidy_up(world: BreakableWorld) -> None:
    """Pods without a set hold ordinals and claims, or crash for ever: put back, or away."""
    for index, pod in enumerate(world.objects("pods", "default")):
        name = meta.name_of(pod)
        parent = world.get(SET, name.rpartition("-")[0])
        # a set that waits in the foreground for its claims adopts nobody, and its pods go nowhere
        waited_for = parent is not None and meta.is_deleting(parent)
        if meta.controller_of(pod) is None and (waited_for or not play.is_fine(pod)):
            await _until_done(lambda n=name: world.client.delete("pods", n, "default"))
            continue
        if meta.labels_of(pod).get("app") or not name.rpartition("-")[2].isdigit():
            continue
        if parent is None:
            continue
        labels = {"metadata": {"labels": {"app": name.rpartition("-")[0]}}}
        if index % 2:
            await _until_done(lambda n=name: world.client.delete("pods", n, "default"))
        else:
            await _until_done(lambda n=name, v=labels: world.client.patch("pods", n, v, "default"))


async def _mend(world: BreakableWorld, resource: str, found: Obj) -> None:
    patch: dict[str, Any] = dict(play.with_image(found, "good:99"))
    patch["metadata"] = {"annotations": {"petset.dev/paused": None}}
    if resource == DEPLOYMENT:
        patch["spec"]["paused"] = None
    await world.client.patch(resource, meta.name_of(found), patch, "default")


async def _until_done(call: Any) -> None:
    """Users try again when the API is slow to come back."""
    for _ in range(20):
        try:
            await call()
        except StatusError as error:
            if error.code == 404:
                return
            if error.code not in (409, 500, 504):
                raise
        else:
            return
        await asyncio.sleep(1.0)


async def _converge(world: BreakableWorld, player: Player, outcome: Outcome) -> str:
    """Wait until all is whole or a rule is broken; what is missing if that takes too long."""
    time = asyncio.get_running_loop().time
    deadline, helped, room = time() + CONVERGED_S, time(), time()
    while not outcome.faults and _missing(world):
        if not _no_room(world, player.story):
            room = time()
        if time() > deadline or time() - room > FULL_S:
            break
        if time() - helped > HELP_S:
            await _until_done(lambda: play.free_volumes(world))
            await _help(world)
            helped = time()
        await world.sleep(LOOK_S)
    return "" if _no_room(world, player.story) else _missing(world)


def _missing(world: BreakableWorld) -> str:
    for found in world.objects(SET):
        if meta.is_deleting(found):
            return f"{meta.name_of(found)} is being deleted"
        why = rest.unfinished(world, found)
        if not why and not all(map(play.is_fine, rest.pods_of(world, found))):
            why = f"a pod of {meta.name_of(found)} crashes again and again"
        if why:
            return why
    for found in world.objects(DEPLOYMENT):
        if not world.ready(DEPLOYMENT, meta.name_of(found)):
            return f"{meta.name_of(found)} is not whole"
    for found in world.objects("poddisruptionbudgets.policy"):
        if (found.get("status") or {}).get("disruptedPods"):  # forgotten two minutes later
            return f"the budget {meta.name_of(found)} waits for a pod that was evicted"
    return ""


def _no_room(world: BreakableWorld, story: Story) -> bool:
    """Whether pods wait for a node with room, where there is little."""
    if story.cpu == "16":
        return False
    return any(
        (meta.condition_of(pod, "PodScheduled") or {}).get("status") == "False"
        for pod in world.objects("pods")
    )


async def _help(world: BreakableWorld) -> None:
    """Do what the set's own wishes leave to its user: OnDelete, a partition, no healing."""
    for found in world.objects(SET):
        options = meta.annotations_of(found)
        strategy = found["spec"].get("updateStrategy") or {}
        by_hand = strategy.get("type") == "OnDelete"
        by_hand |= bool((strategy.get("rollingUpdate") or {}).get("partition"))
        by_hand |= options.get("petset.dev/heal-rollout") == "false"
        if not by_hand:
            continue
        for pod in rest.pods_of(world, found):
            well = meta.is_condition_true(pod, "Ready") and play.is_fine(pod)
            if not well and not meta.is_deleting(pod):
                name = meta.name_of(pod)
                await _until_done(lambda n=name: world.client.delete("pods", n, "default"))
        name = meta.name_of(found)
        await _until_done(lambda n=name: world.client.patch(SET, n, ROLLING, "default"))


def _settling_s(world: BreakableWorld, story: Story) -> float:
    """How long after the last pod got Ready the last word may be said."""
    longest = max((f["spec"].get("minReadySeconds") or 0 for f in world.objects(SET)), default=0)
    late_s = 700.0 if story.cpu != "16" else 0.0  # where there is no room, roll-outs get late
    if any(spec.options.rollback for spec in map(read, world.objects(SET))):
        late_s *= 2  # and late once more when they have gone back
    beats_s = 3 * story.beat_s  # until a node that was taken for lost is heard again
    return float(max(60, beats_s) + 2 * longest + late_s)


async def _stay_still(world: BreakableWorld, outcome: Outcome, restless: Container[str]) -> None:
    """An idle world writes nothing but heartbeats.

    Args:
        restless: keys of pods that crash, and that a roll-out without room for others cannot end.
    """
    written: list[str] = []

    def look(events: list[Event]) -> None:
        for event in events:
            expired = event.deleted and event.key.startswith("events/")
            allowed = event.key.startswith(ALLOWED) or event.key in restless
            if not allowed and not expired:
                written.append(f"{event.key} {_difference(event)}")

    world.listeners.append(look)  # type: ignore[arg-type]
    await world.sleep(REST_S)
    if written:
        outcome.faults.append(
            f"{len(written)} writes at rest, the first: {written[0]}, the last: {written[-1]}"
        )


def _difference(event: Event) -> str:
    """What a write has changed, field by field."""
    if event.previous is None:
        obj = json.loads(event.value)
        return f"created {obj.get('reason', '')} {obj.get('message', '')}"
    if event.deleted:
        return "deleted"
    before, after = _flat(json.loads(event.previous)), _flat(json.loads(event.value))
    paths = sorted(p for p in {*before, *after} if before.get(p) != after.get(p))
    paths = [p for p in paths if "managedFields" not in p and "resourceVersion" not in p]
    return ", ".join(f"{p}: {before.get(p)} -> {after.get(p)}" for p in paths[:6])


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        pairs = [(f"{path}.{k}", v) for k, v in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}[{i}]", v) for i, v in enumerate(value)]
    else:
        return {path: value}
    return {k: v for p, inner in pairs for k, v in _flat(inner, p).items()}
