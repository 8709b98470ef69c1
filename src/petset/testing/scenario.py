"""A random story for a world: what users do and what breaks, drawn from a seed.

    steps = random_story(rng, length=12)
    for step in steps:
        await play(world, checker, "web", step)

A step is a value, so a failing story can be printed, shortened and kept as a test.
"""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from petset.api.errors import StatusError
from petset.testing.checker import Checker
from petset.testing.world import World

Kind = Literal["scale", "delete", "roll", "crash", "lose", "return", "wait"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes:
        kind: scale the set, delete one of its pods, change its template, crash the controllers,
            lose a node (its Node object is then removed), let it come back, or just wait.
        number: replicas, ordinal, version, node number or milliseconds, by kind.
    """

    kind: Kind
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


def random_story(rng: Random, *, length: int, replicas_max: int = 4, nodes: int = 3) -> list[Step]:
    """Steps drawn from `rng`, between which less time may pass than the cluster needs."""
    steps: list[Step] = []
    for _ in range(length):
        kind: Kind = rng.choice(["scale", "scale", "delete", "roll", "crash", "lose", "return"])
        limits = {"scale": replicas_max + 1, "delete": replicas_max, "roll": 1000}
        number = rng.randrange(limits.get(kind, nodes))
        steps += [Step(kind, number), Step("wait", rng.choice([0, 20, 100, 300, 2000]))]
    return steps


def stateful_set(name: str, *, replicas: int = 3, **spec: Any) -> list[dict[str, Any]]:
    """A headless Service and a StatefulSet with a claim per pod."""
    labels = {"app": name}
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    container = {
        "name": "main",
        "image": "busybox",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return [
        {
            "kind": "Service",
            "apiVersion": "v1",
            "metadata": {"name": name},
            "spec": {"clusterIP": "None", "selector": labels, "ports": [{"port": 80}]},
        },
        {
            "kind": "StatefulSet",
            "apiVersion": "apps/v1",
            "metadata": {"name": name},
            "spec": {
                "serviceName": name,
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                "volumeClaimTemplates": [claim],
                **spec,
            },
        },
    ]


async def play(world: World, checker: Checker, name: str, step: Step) -> None:
    """Let one step happen to the StatefulSet `name`."""
    match step.kind:
        case "wait":
            await world.sleep(step.number / 1000)
        case "scale":
            await world.scale(name, step.number)
        case "delete":
            await _delete(world, checker, f"{name}-{step.number}")
        case "roll":
            annotations = {"version": str(step.number)}
            template = {"template": {"metadata": {"annotations": annotations}}}
            await world.client.patch("statefulsets.apps", name, {"spec": template}, "default")
        case "crash":
            await world.restart_control()
        case "lose":
            await _lose(world, f"n{step.number + 1}")
        case "return":
            await _return(world, f"n{step.number + 1}")


async def _delete(world: World, checker: Checker, pod: str) -> None:
    checker.by_hand.add(pod)
    await _remove(world, "pods", pod, "default")


async def _remove(world: World, resource: str, name: str, namespace: str = "") -> None:
    """Delete an object that may be gone, or not there yet."""
    try:
        await world.client.delete(resource, name, namespace)
    except StatusError as error:
        if error.code != 404:
            raise


async def _lose(world: World, name: str) -> None:
    """Lose a node with all that runs on it, unless it is the last one, and say so to the API."""
    node = world.node(name)
    if not node.up or sum(n.up for n in world.nodes) == 1:
        return
    await node.lose()
    await _remove(world, "nodes", name)


async def _return(world: World, name: str) -> None:
    if not world.node(name).up:
        world.node(name).start()
    await asyncio.sleep(0)
