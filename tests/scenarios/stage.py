"""Plays golden stories: manifests and events in, a trace of every change out.

A file `stories/*.yaml` is a list of stories, each played in a world of its own: the whole control
plane on fake nodes and a virtual clock, so hours take moments and every run is the same. What it
leads to is in the `.trace` beside it.

    - title: what the rule says
      rules: [13.8b, 13.8e]        ids of `rules.md`
      start: told                  the trace begins with the first write, not when all is at rest
      namespace: default
      nodes: 3
      spec: {replicas: 2}          merged into the spec of `base.yaml` of the folder
      annotations: {...}           and into its annotations
      before: [{...}]              objects that are there first
      scripts: {"*": {ready_s: 2}} what pods do, as `petset.testing.fakepod.Script`
      steps: [...]                 one mapping each, see `STEPS`; `apply`: the last object again

After each step the world comes to rest (ten seconds without a change) unless the step is `wait`.
The first step is always to create the objects of `base.yaml`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from petset.api import meta, registry
from petset.api.errors import StatusError
from petset.api.meta import MutableObj
from petset.api.patch import merge
from petset.testing.clock import run_virtual
from petset.testing.fakepod import Script
from petset.testing.world import World
from tests.scenarios.trace import Trace

Story = Mapping[str, Any]
KINDS = {
    "sts": "statefulsets.apps",
    "deploy": "deployments.apps",
    "rs": "replicasets.apps",
    "pod": "pods",
    "pvc": "persistentvolumeclaims",
    "revision": "controllerrevisions.apps",
    "node": "nodes",
    "ns": "namespaces",
}
CLUSTER = ("node", "ns")
QUIET_S = 10.0
"""Longer than pods need to stop."""


class Stage:
    """A world in which one story is played."""

    def __init__(self, folder: Path, story: Story, world: World) -> None:
        self.world = world
        self.trace = Trace(asyncio.get_running_loop().time)
        self._objects = manifests(folder, story)
        self._story = story
        self.namespace: str = story.get("namespace", "default")

    async def play(self) -> str:
        """Everything that happened, as text."""
        for pod, script in (self._story.get("scripts") or {}).items():
            self.world.script(pod, Script(**script))
        self.world.listeners.append(self.trace.hear)
        if self.namespace != "default":
            metadata = {"name": self.namespace}
            await self.world.apply({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata})
        for obj in self._story.get("before") or ():
            await self.create(self.with_uids(obj))
        if self._story.get("start") == "told":
            self.trace.step("apply")
            await self._apply(self._objects)
        else:
            await self._apply(self._objects)
            self.trace.lines[:] = ["> apply, and wait until all is at rest"]
        for step in self._story.get("steps") or ():
            await self._step(step)
        title, rules = self._story["title"], " ".join(map(str, self._story["rules"]))
        return "\n".join([f"# {title} [{rules}]", *self.trace.lines, ""])

    async def _apply(self, objects: Iterable[MutableObj]) -> None:
        for obj in objects:
            await self.create(obj)
        await self.world.settle(quiet_s=QUIET_S)

    async def _step(self, step: Mapping[str, Any]) -> None:
        ((name, given),) = step.items()
        self.trace.step(f"{name} {_told(given)}".rstrip())
        if name == "apply":
            await self._apply(self._objects[-1:])
            return
        await STEPS[name](self, self.with_uids(given))
        if name != "wait":
            await self.world.settle(quiet_s=QUIET_S)

    def place_of(self, target: str) -> tuple[str, str, str]:
        """Resource, name and namespace of `kind/name`; the name may be one of the trace."""
        kind, _, name = target.partition("/")
        names = self.world.names(KINDS[kind])
        drawn = next((n for n in names if self.trace.plain(n) == name), name)
        return KINDS[kind], drawn, "" if kind in CLUSTER else self.namespace

    def with_uids(self, given: Any) -> Any:
        """What is given, with the uid of an object in place of `UID/resource/name`."""
        if isinstance(given, Mapping):
            return {key: self.with_uids(value) for key, value in given.items()}
        if isinstance(given, list):
            return [self.with_uids(value) for value in given]
        if isinstance(given, str) and given.startswith("UID/"):
            _, resource, name = given.split("/")
            return meta.uid_of(self.world.get(resource, name) or {})
        return given

    async def attempt(self, call: Awaitable[Any]) -> None:
        """What the server refuses is part of the story."""
        try:
            await call
        except StatusError as error:
            self.trace.lines.append(f"  refused: {self.trace.plain(error.message)}")

    async def create(self, obj: MutableObj) -> None:
        """Create an object."""
        found = registry.by_api_version(obj["apiVersion"], obj["kind"])
        assert found is not None, obj["kind"]
        namespace = self.namespace if found.namespaced else ""
        await self.attempt(self.world.client.create(found.id, obj, namespace))

    async def patch(self, target: str, patch: MutableObj, *, subresource: str = "") -> None:
        """Merge a patch into `kind/name`."""
        resource, name, namespace = self.place_of(target)
        lists_merge = resource in ("statefulsets.apps", "deployments.apps") and not subresource
        call = self.world.client.patch(
            resource,
            name,
            patch,
            namespace,
            kind="strategic" if lists_merge else "merge",
            subresource=subresource,
        )
        await self.attempt(call)


def manifests(folder: Path, story: Story) -> list[MutableObj]:
    """The objects of a folder's `base.yaml`, with what the story changes in the last one."""
    objects: list[MutableObj] = list(yaml.safe_load_all((folder / "base.yaml").read_text()))
    more = {"spec": story.get("spec") or {}}
    if "annotations" in story:
        more["metadata"] = {"annotations": story["annotations"]}
    objects[-1] = dict(merge.apply(objects[-1], more))
    return objects


async def _patch(stage: Stage, given: Mapping[str, Any]) -> None:
    for target, patch in given.items():
        await stage.patch(target, patch)


async def _image(stage: Stage, given: Mapping[str, str]) -> None:
    for target, image in given.items():
        template = {"spec": {"containers": [{"name": "main", "image": image}]}}
        await stage.patch(target, {"spec": {"template": template}})


async def _scale(stage: Stage, given: Mapping[str, int]) -> None:
    for target, replicas in given.items():
        await stage.patch(target, {"spec": {"replicas": replicas}}, subresource="scale")


async def _delete(stage: Stage, given: str | Mapping[str, Any]) -> None:
    options = {} if isinstance(given, str) else dict(given)
    target = given if isinstance(given, str) else options.pop("what")
    for one in target.split():
        resource, name, namespace = stage.place_of(one)
        await stage.attempt(stage.world.client.delete(resource, name, namespace, **options))


async def _create(stage: Stage, given: MutableObj) -> None:
    await stage.create(given)


async def _status(stage: Stage, given: Mapping[str, Any]) -> None:
    for target, status in given.items():
        await stage.patch(target, {"status": status}, subresource="status")


async def _evict(stage: Stage, pods: str) -> None:
    """The node of each pod gives it up: its phase is Failed."""
    for shown in pods.split():
        _, name, namespace = stage.place_of(f"pod/{shown}")
        pod = stage.world.get("pods", name, namespace)
        assert pod is not None, name
        stage.world.node(pod["spec"]["nodeName"]).fail(meta.uid_of(pod))


async def _script(stage: Stage, given: Mapping[str, Any]) -> None:
    for pod, script in given.items():
        stage.world.script(pod, Script(**script))
    await asyncio.sleep(0)


async def _lose(stage: Stage, target: str) -> None:
    """Lose the node of a pod (`pod/web-0`), or one by name."""
    await stage.world.node(_node(stage, target)).lose()


async def _return(stage: Stage, target: str) -> None:
    stage.world.node(_node(stage, target)).start()
    await asyncio.sleep(0)


async def _taint(stage: Stage, given: Mapping[str, Any]) -> None:
    for target, taint in given.items():
        name = _node(stage, target)
        node = stage.world.get("nodes", name) or {}
        taints = [*(node["spec"].get("taints") or ()), taint]
        await stage.patch(f"node/{name}", {"spec": {"taints": taints}})


async def _forget(stage: Stage, target: str) -> None:
    """Remove the Node object."""
    await stage.world.client.delete("nodes", _node(stage, target))


async def _restart(stage: Stage, what: str) -> None:
    del what
    await stage.world.restart_control()


async def _wait(stage: Stage, seconds: float) -> None:
    await stage.world.sleep(seconds)


STEPS: Mapping[str, Callable[[Stage, Any], Awaitable[None]]] = {
    "patch": _patch,
    "image": _image,
    "scale": _scale,
    "delete": _delete,
    "create": _create,
    "status": _status,
    "evict": _evict,
    "script": _script,
    "lose": _lose,
    "return": _return,
    "taint": _taint,
    "forget": _forget,
    "restart": _restart,
    "wait": _wait,
}


def _node(stage: Stage, target: str) -> str:
    """The name of a node, or of the one that `pod/NAME` was last started on."""
    if not target.startswith("pod/"):
        return target
    name = target.removeprefix("pod/")
    return next(h.node for h in reversed(stage.world.runtime.log) if h.pod == name)


def _told(given: Any) -> str:
    """What a step is given, on one line."""
    if isinstance(given, Mapping):
        return ", ".join(f"{k} {_told(v)}".rstrip() for k, v in given.items())
    if isinstance(given, list):
        return f"[{', '.join(map(_told, given))}]"
    return "" if given is None else str(given)


def stories(path: Path) -> Iterable[Story]:
    """The stories of a file."""
    found: list[Story] = yaml.safe_load(path.read_text())
    return found


def render(path: Path) -> str:
    """The traces of a file of stories."""
    return "\n".join(_render(path.parent.parent, story) for story in stories(path))


def _render(folder: Path, story: Story) -> str:
    async def main() -> str:
        async with contextlib.AsyncExitStack() as stack:
            world = World(nodes=story.get("nodes", 3), seed=1)
            await stack.enter_async_context(world)
            return await Stage(folder, story, world).play()

    made: str = run_virtual(main())
    return made
