"""Services of a story beyond the governing ones, and what users do to all of them.

Drawn apart from the rest of a story, which is the same with and without.
"""

import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from petset.testing.breakable import BreakableWorld

Obj = dict[str, Any]
Drawn = tuple[str, str, float, str]
"""Kind, target, number and text of a step."""

SLICES = "endpointslices.discovery.k8s.io"
BESIDE = "services"
"""Where a story keeps Services that are no set's."""

PORTS: tuple[list[Obj] | None, ...] = (
    [{"port": 80}],
    [{"name": "web", "port": 80}],
    [{"name": "web", "port": 81, "targetPort": 8080}],
    [{"name": "web", "port": 80}, {"name": "db", "port": 5432, "targetPort": "main"}],
    [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}],
)
SELECTORS: tuple[dict[str, str], ...] = (
    {"app": "{}"},
    {"app": "{}"},
    {"app": "{}", "role": "primary"},
    {"app": "nobody"},
    {},
)


# -- drawing --------------------------------------------------------------------------------------


def beside(rng: Random, names: list[str], made: dict[str, list[Obj]]) -> dict[str, list[Obj]]:
    """The sets with what concerns Services drawn anew, and Services of no set."""
    found = dict(made)
    for name in names:
        if rng.random() < 0.4:
            *others, owner = made[name]
            found[name] = [*others, _with_port(owner)]
    more = []
    if rng.random() < 0.4:
        more.append(_service("vip", _spec(rng, rng.choice(names), headless=False)))
    if rng.random() < 0.4:
        headless = rng.random() < 0.6
        more.append(_service("by-hand", {**_spec(rng, "", headless=headless), "selector": None}))
        more += [_slice(rng), _endpoints(rng)][: rng.choice((0, 1, 2))]
    return found | {BESIDE: more} if more else found


def step(rng: Random, names: list[str], nodes: list[str]) -> Drawn:
    """One thing that a user does to a Service, or that befalls who follows them."""
    name = rng.choice((*names, *names, "vip"))
    match rng.choice(("selector", "publish", "ports", "delete", "create", "hand", "watch")):
        case "selector":
            chosen = rng.choice(SELECTORS)
            labels = {k: chosen.get(k, "").format(name) or None for k in ("app", "role")}
            return "service", name, 0, json.dumps({"selector": labels if chosen else None})
        case "publish":
            every = rng.choice((True, True, None))
            return "service", name, 0, json.dumps({"publishNotReadyAddresses": every})
        case "ports":
            return "service", name, 0, json.dumps({"ports": rng.choice(PORTS)})
        case "delete":
            return "delete_service", rng.choice((name, "by-hand")), 0, ""
        case "create":
            spec = _spec(rng, name, headless=rng.random() < 0.7)
            return "create_service", name, 0, json.dumps(spec)
        case "hand":
            return _by_hand(rng)
        case _:
            what, how = rng.choice(("endpointslices", "services")), rng.choice(("CLEAN", "BROKEN"))
            who, seconds = rng.choice((*nodes, "control")), rng.choice((0.3, 2.0, 8.0))
            return rng.choice(("cut", "stall")), who, seconds, f"{what} {how}"


def _by_hand(rng: Random) -> Drawn:
    resource, made = rng.choice(((SLICES, _slice(rng)), ("endpoints", _endpoints(rng))))
    if rng.random() < 0.2:
        return "delete_by_hand", made["metadata"]["name"], 0, resource
    return "write_by_hand", made["metadata"]["name"], 0, json.dumps(made)


def _spec(rng: Random, name: str, *, headless: bool) -> Obj:
    spec: Obj = {"selector": {"app": name}, "ports": rng.choice(PORTS)}
    if headless:
        spec["clusterIP"] = "None"
    if rng.random() < 0.4:
        spec["publishNotReadyAddresses"] = True
    return spec


def _service(name: str, spec: Obj) -> Obj:
    return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec}


def _with_port(owner: Obj) -> Obj:
    """The set with a named port in its pods."""
    template = owner["spec"]["template"]
    containers = [
        {**c, "ports": [{"name": "main", "containerPort": 8000}]}
        for c in template["spec"]["containers"]
    ]
    pod = {**template, "spec": {**template["spec"], "containers": containers}}
    return {**owner, "spec": {**owner["spec"], "template": pod}}


def _slice(rng: Random) -> Obj:
    """Endpoints of `by-hand`, in one of two slices."""
    number = rng.choice((1, 2))
    endpoints = [
        {"addresses": [f"10.200.{number}.{i}"], "hostname": f"h-{i}", "conditions": _ready(rng)}
        for i in range(1, 4)
        if rng.random() < 0.7
    ]
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": f"by-hand-{number}",
            "labels": {"kubernetes.io/service-name": "by-hand"},
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "web", "port": rng.choice((80, 8080)), "protocol": "TCP"}],
    }


def _ready(rng: Random) -> Obj:
    return rng.choice(({}, {"ready": True}, {"ready": False}))


def _endpoints(rng: Random) -> Obj:
    """The older form of the same, which is mirrored."""
    places: list[Obj] = [{"ip": f"10.201.0.{i}", "hostname": f"e-{i}"} for i in range(1, 5)]
    cut = rng.randrange(5)
    subset: Obj = {"ports": [{"name": "web", "port": rng.choice((80, 8080))}]}
    for field, part in (("addresses", places[:cut]), ("notReadyAddresses", places[cut:])):
        if part:
            subset[field] = part
    metadata = {"name": "by-hand"}
    made = {"kind": "Endpoints", "apiVersion": "v1", "metadata": metadata}
    return {**made, "subsets": rng.choice(([subset], [subset], []))}


# -- playing --------------------------------------------------------------------------------------


async def _service_edit(world: BreakableWorld, name: str, text: str) -> None:
    await world.client.patch("services", name, {"spec": json.loads(text)}, "default")


async def _delete_service(world: BreakableWorld, name: str, text: str) -> None:
    await world.client.delete("services", name, "default")


async def _create_service(world: BreakableWorld, name: str, text: str) -> None:
    await world.client.create("services", _service(name, json.loads(text)), "default")


async def _write_by_hand(world: BreakableWorld, name: str, text: str) -> None:
    await world.apply(json.loads(text))


async def _delete_by_hand(world: BreakableWorld, name: str, text: str) -> None:
    await world.client.delete(text, name, "default")


PLAYERS: dict[str, Callable[[BreakableWorld, str, str], Awaitable[None]]] = {
    "service": _service_edit,
    "delete_service": _delete_service,
    "create_service": _create_service,
    "write_by_hand": _write_by_hand,
    "delete_by_hand": _delete_by_hand,
}
"""What to do with the target and the text of each kind of step."""
