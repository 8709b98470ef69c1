"""How each kind of step happens to a world."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from petset.api import meta
from petset.api.errors import StatusError
from petset.api.meta import Obj
from petset.client.transport import TransportError
from petset.controllers.deployment import sets
from petset.controllers.deployment.annotations import REVISION
from petset.testing.breakable import CONTROL_WIRE, BreakableWorld
from petset.testing.fakepod import Script
from petset.testing.faults import Fault
from petset.testing.trouble import How, Trouble
from petset.testing.wire import Cut, Moment
from tests.sim import manifests, services
from tests.sim.story import Step, Story

SET, DEPLOYMENT = "statefulsets.apps", "deployments.apps"
TAINT = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


class Player:
    """Plays steps in a world.

    Attributes:
        forfeited: uids of pods of which users have said, maybe wrongly, that they run no more.
        evicted: told of each pod that was evicted, as it was, with its budget.
        refused: how often the API refused a step, by kind and reason.
        touched: names of claims that users have deleted.
    """

    def __init__(self, world: BreakableWorld, story: Story) -> None:
        self.world = world
        self.story = story
        self.forfeited: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.touched: set[str] = set()
        self.on_evicted: Callable[[Obj], None] = lambda pod: None
        world.script_by = self._script_of

    async def play(self, step: Step) -> None:
        """Let one step happen; what the API refuses does not."""
        self.world.trace.append(f"{self._now():.3f} ---- {step}")
        try:
            if step.kind in services.PLAYERS:
                await services.PLAYERS[step.kind](self.world, step.target, step.text)
            else:
                await PLAYERS[step.kind](self, step)
        except StatusError as error:
            self.refused[f"{step.kind} {error.code} {error.reason}"] += 1
            if error.code == 422:
                self.world.trace.append(f"refused: {error}")
        except TransportError:
            self.refused[f"{step.kind} no answer"] += 1
        await self.world.sleep(step.wait_s)

    async def begin(self) -> None:
        """Make what is there at first."""
        for objects in self.story.sets.values():
            for obj in objects:
                await self.world.apply(obj)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _script_of(self, pod: Obj) -> Script | None:
        spec = pod.get("spec") or {}
        image = str(spec["containers"][0].get("image"))
        number = sum(meta.name_of(pod).encode()) + self.story.seed
        return script_of(image, self.story.pace, number)

    # -- objects ----------------------------------------------------------------------------------

    def pod(self, name: str, index: int) -> Obj | None:
        """The pod of a set that `index` points to."""
        pods = [p for p in self.world.objects("pods", "default") if is_of(p, name)]
        return pods[index % len(pods)] if pods else None

    async def patch(self, name: str, fields: Obj, resource: str = SET) -> None:
        await self.world.client.patch(resource, name, fields, "default")

    async def annotations(self, name: str, values: Obj) -> None:
        await self.patch(name, {"metadata": {"annotations": values}})

    def forfeit(self, node: str) -> None:
        """Somebody says that nothing runs on `node`, which may be wrong."""
        for pod in self.world.objects("pods"):
            if (pod.get("spec") or {}).get("nodeName") == node:
                self.forfeited.add(meta.uid_of(pod))


def is_of(pod: Obj, name: str) -> bool:
    """Whether the pod has a name of that set."""
    return meta.name_of(pod).rpartition("-")[0] == name


def script_of(image: str, pace: float, number: int) -> Script:
    """What an image does; `number` varies it."""
    start_s, ready_s, stop_s = (pace * (0.05 + number * k % 7 / 10) for k in (3, 5, 11))
    match image.partition(":")[0]:
        case "slow":
            return Script(start_s, 20.0 + number % 40, stop_s=stop_s)
        case "never":
            return Script(start_s, None, stop_s=stop_s)
        case "pull":
            return Script(start_s, waiting="ErrImagePull")
        case "crash":
            return Script(start_s, None, exit_after_s=0.7, exit_code=1, restart_s=10.0)
        case "flap":
            return Script(start_s, ready_s, flap_s=3.0, stop_s=stop_s)
        case _:
            return Script(start_s, ready_s, stop_s=stop_s)


def is_fine(pod: Obj) -> bool:
    """Whether the pod's image is one that comes to rest."""
    image = str(pod["spec"]["containers"][0].get("image"))
    return image.partition(":")[0] in ("good", "slow", "flap")


# -- what users do ------------------------------------------------------------------------------


async def _scale(player: Player, step: Step) -> None:
    await player.patch(step.target, {"spec": {"replicas": int(step.number)}})


async def _image(player: Player, step: Step) -> None:
    found = player.world.get(SET, step.target)
    if found is not None:
        await player.patch(step.target, with_image(found, step.text))


def with_image(found: Obj, image: str) -> Obj:
    """The patch that gives a template another image."""
    container = {**found["spec"]["template"]["spec"]["containers"][0], "image": image}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


async def _fix(player: Player, step: Step) -> None:
    found = player.world.get(SET, step.target)
    if found is not None:
        await player.patch(step.target, with_image(found, f"good:{int(step.number) + 10}"))


async def _revert(player: Player, step: Step) -> None:
    """Put the template of an earlier revision back, as `kubectl rollout undo` does."""
    listed = player.world.objects("controllerrevisions.apps", "default")
    own = [r for r in listed if (meta.controller_of(r) or {}).get("name") == step.target]
    own.sort(key=lambda r: r["revision"])
    if len(own) > 1:
        back = own[-2 - int(step.number) % (len(own) - 1)]
        await player.world.client.patch(SET, step.target, back["data"], "default", kind="strategic")


async def _annotate(player: Player, step: Step) -> None:
    await player.annotations(step.target, json.loads(step.text))


async def _spec(player: Player, step: Step) -> None:
    await player.patch(step.target, {"spec": json.loads(step.text)})


async def _resize(player: Player, step: Step) -> None:
    found = player.world.get(SET, step.target)
    templates = [] if found is None else found["spec"].get("volumeClaimTemplates") or []
    for template in templates:
        template["spec"]["resources"]["requests"]["storage"] = f"{int(step.number)}Gi"
    if templates:
        await player.patch(step.target, {"spec": {"volumeClaimTemplates": templates}})


async def _delete_pod(player: Player, step: Step) -> None:
    pod = player.pod(step.target, int(step.number))
    if pod is not None:
        grace_s = int(step.text) if step.text else None
        await player.world.client.delete("pods", meta.name_of(pod), "default", grace_s=grace_s)


async def _force_pod(player: Player, step: Step) -> None:
    pod = player.pod(step.target, int(step.number))
    if pod is not None:
        player.forfeited.add(meta.uid_of(pod))
        name, uid = meta.name_of(pod), meta.uid_of(pod)
        await player.world.client.delete("pods", name, "default", grace_s=0, uid=uid)


async def _evict(player: Player, step: Step) -> None:
    pod = player.pod(step.target, int(step.number))
    if pod is not None:
        await evict(player, pod)


async def evict(player: Player, pod: Obj) -> None:
    """Ask for an eviction."""
    name, namespace = meta.name_of(pod), meta.namespace_of(pod)
    body = {
        "kind": "Eviction",
        "apiVersion": "policy/v1",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": meta.uid_of(pod)}},
    }
    before = player.world.get("pods", name)
    await player.world.client.create("pods", body, namespace, name=name, subresource="eviction")
    if before is not None:
        player.on_evicted(before)


async def _fail_pod(player: Player, step: Step) -> None:
    pod = player.pod(step.target, int(step.number))
    name = "" if pod is None else (pod["spec"].get("nodeName") or "")
    if pod is not None and name:
        player.world.node(name).fail(meta.uid_of(pod))


async def _release(player: Player, step: Step) -> None:
    pod = player.pod(step.target, int(step.number))
    if pod is not None:
        value = None if meta.labels_of(pod).get("app") else step.target
        await player.patch(meta.name_of(pod), {"metadata": {"labels": {"app": value}}}, "pods")


async def _role(player: Player, step: Step) -> None:
    pod = player.pod(step.target, int(step.number))
    if pod is not None:
        value = None if meta.labels_of(pod).get("role") else "primary"
        await player.patch(meta.name_of(pod), {"metadata": {"labels": {"role": value}}}, "pods")


async def _delete_claim(player: Player, step: Step) -> None:
    name = f"data-{step.target}-{int(step.number)}"
    player.touched.add(name)
    await player.world.client.delete("persistentvolumeclaims", name, "default")


async def _free_volumes(player: Player, step: Step) -> None:
    await free_volumes(player.world)


async def free_volumes(world: BreakableWorld) -> None:
    """Give volumes back whose claims are gone, as an administrator does who kept their data."""
    for volume in world.objects("persistentvolumes"):
        if (volume.get("status") or {}).get("phase") == "Released" and "hostPath" in volume["spec"]:
            patch = {"spec": {"claimRef": None}}
            await world.client.patch("persistentvolumes", meta.name_of(volume), patch)


async def _delete_set(player: Player, step: Step) -> None:
    how: Any = step.text
    await player.world.client.delete(SET, step.target, "default", propagation=how)


async def _create_set(player: Player, step: Step) -> None:
    objects = player.story.sets[step.target]
    if step.text == "other":
        objects = manifests.of_set(Random(int(step.number)), step.target)
    world = player.world
    for volume in (o for o in objects if o["kind"] == "PersistentVolume"):
        if world.get("persistentvolumes", meta.name_of(volume)) is None:
            await world.client.create("persistentvolumes", volume)
    await world.client.create(SET, objects[-1], "default")


async def _budget(player: Player, step: Step) -> None:
    spec = json.loads(step.text)
    found = player.world.get("poddisruptionbudgets.policy", step.target)
    if found is None:
        await player.world.apply(
            manifests.budget_of(step.target, {k: v for k, v in spec.items() if v is not None})
        )
    else:
        await player.patch(step.target, {"spec": spec}, "poddisruptionbudgets.policy")


async def _scale_front(player: Player, step: Step) -> None:
    await player.patch("front", {"spec": {"replicas": int(step.number)}}, DEPLOYMENT)


async def _image_front(player: Player, step: Step) -> None:
    found = player.world.get(DEPLOYMENT, "front")
    if found is not None:
        await player.patch("front", with_image(found, step.text), DEPLOYMENT)


async def _pause_front(player: Player, step: Step) -> None:
    await player.patch("front", {"spec": {"paused": bool(step.text) or None}}, DEPLOYMENT)


async def _strategy_front(player: Player, step: Step) -> None:
    await player.patch("front", {"spec": json.loads(step.text)}, DEPLOYMENT)


async def _undo_front(player: Player, step: Step) -> None:
    """Put the template of the set before the present one back, as `kubectl rollout undo` does."""
    found = player.world.objects("replicasets.apps", "default")
    own = [r for r in found if (meta.controller_of(r) or {}).get("name") == "front"]
    own.sort(key=lambda r: int(meta.annotations_of(r).get(REVISION, 0)))
    if len(own) > 1:
        back = own[-2 - int(step.number) % (len(own) - 1)]
        template = sets.without_hash(back["spec"]["template"])
        await player.patch("front", {"spec": {"template": template}}, DEPLOYMENT)


# -- nodes --------------------------------------------------------------------------------------


async def _lose(player: Player, step: Step) -> None:
    player.world.gone.add(step.target)
    await player.world.lose_agent(step.target, containers=True)


async def _lose_agent(player: Player, step: Step) -> None:
    player.world.gone.add(step.target)
    await player.world.lose_agent(step.target)


async def _part(player: Player, step: Step) -> None:
    player.world.wires[step.target].part(deaf=step.text == "deaf")


async def _join(player: Player, step: Step) -> None:
    player.world.wires[step.target].join()


async def _return(player: Player, step: Step) -> None:
    player.world.gone.discard(step.target)
    player.world.start_agent(step.target)


async def _remove_node(player: Player, step: Step) -> None:
    if not player.world.node(step.target).up or player.world.wires[step.target].apart:
        player.forfeit(step.target)
        await player.world.client.delete("nodes", step.target)


async def _lose_and_remove(player: Player, step: Step) -> None:
    await _lose(player, step)
    await player.world.sleep(step.number)
    await player.world.client.delete("nodes", step.target)


async def _out_of_service(player: Player, step: Step) -> None:
    """Say that a node is out of service, which only holds if its containers are gone."""
    await _lose(player, step)
    await taint(player, step.target, TAINT)


async def taint(player: Player, name: str, added: Obj | None) -> None:
    """Add a taint, or take the out-of-service taint off."""
    found = player.world.get("nodes", name)
    if found is not None:
        taints = [t for t in found["spec"].get("taints") or () if t["key"] != TAINT["key"]]
        taints += [added] if added else []
        await player.world.client.patch("nodes", name, {"spec": {"taints": taints or None}})


async def _cordon(player: Player, step: Step) -> None:
    await player.world.client.patch("nodes", step.target, {"spec": {"unschedulable": True}})


async def _uncordon(player: Player, step: Step) -> None:
    await player.world.client.patch("nodes", step.target, {"spec": {"unschedulable": None}})


async def _drain(player: Player, step: Step) -> None:
    await _cordon(player, step)
    for pod in player.world.objects("pods"):
        if (pod.get("spec") or {}).get("nodeName") == step.target:
            try:
                await evict(player, pod)
            except StatusError as error:
                player.refused[f"drain {error.code}"] += 1


# -- processes ----------------------------------------------------------------------------------


async def _die_at(player: Player, step: Step) -> None:
    player.world.wires[step.target].die_at(int(step.number), Moment[step.text])


async def _kill(player: Player, step: Step) -> None:
    if step.target == CONTROL_WIRE:
        player.world.crash_control()
    else:
        player.world.crash_agent(step.target)


async def _power(player: Player, step: Step) -> None:
    """The machine of the server loses power: API, controllers and scheduler are gone at once."""
    player.world.crash_server(back_s=step.number)
    player.world.crash_control(back_s=step.number)


async def _api_crash(player: Player, step: Step) -> None:
    player.world.crash_server(back_s=step.number)


async def _disk(player: Player, step: Step) -> None:
    player.world.driver.commits.extend([Fault[step.text]] * int(step.number))


async def _cut(player: Player, step: Step) -> None:
    resource, how = step.text.split(" ")
    player.world.wires[step.target].cut(resource, Cut[how])


async def _stall(player: Player, step: Step) -> None:
    player.world.wires[step.target].stall(step.text.split(" ")[0], step.number)


async def _trouble(player: Player, step: Step) -> None:
    how, who, what = step.text.split(" ")
    trouble = Trouble(How[how], int(step.number), who.strip("*"), what == "writes")
    player.world.wires[step.target].trouble(trouble)


async def _cut_off(player: Player, step: Step) -> None:
    """A process does not reach the server for a while, or hears no answer."""
    wire = player.world.wires[step.target]
    wire.part(deaf=step.text == "deaf")
    asyncio.get_running_loop().call_later(step.number, wire.join)


async def _blackout(player: Player, step: Step) -> None:
    """Everything is without power, containers too, and comes back by itself."""
    world = player.world
    world.crash_server(back_s=step.number)
    world.crash_control(back_s=step.number)
    for node in world.nodes:
        if node.name not in world.gone:
            world.crash_agent(node.name, back_s=step.number, containers=True)


async def _jump(player: Player, step: Step) -> None:
    player.world.clock.offset_s += step.number


async def _wait(player: Player, step: Step) -> None:
    await player.world.sleep(step.number)


PLAYERS: dict[str, Callable[[Player, Step], Awaitable[None]]] = {
    name.removeprefix("_"): value
    for name, value in list(globals().items())
    if name.startswith("_") and asyncio.iscoroutinefunction(value)
} | {"strategy": _spec, "tune": _spec}
