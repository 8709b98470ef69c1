"""A history as a value: what is there at first, what users do, what breaks. Drawn from a seed.

Steps do not depend on each other's outcome, so any of them can be left out: that is how a failing
story is made short, and its `repr` is what a test keeps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.sim import manifests, services

WAITS_S = (0.0, 0.0, 0.02, 0.1, 0.3, 1.0, 2.0, 5.0, 20.0, 60.0)
NAMES = (("a",), ("a",), ("a",), ("a",), ("a", "b"), ("a", "b"), ("a", "a-1"), ("a", "a-1", "b"))
"""Sets of a story. The pod a-1 of one has the name of another."""
LONG_WAITS_S = (120.0, 400.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes:
        kind: a name in `play.PLAYERS`.
        target: name of a set, node, process or resource.
        number: an ordinal, replicas, a count or seconds, by kind.
        text: what else there is to say.
        wait_s: how much time passes after it.
    """

    kind: str
    target: str = ""
    number: float = 0
    text: str = ""
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Story:
    """All of a history.

    Attributes:
        seed: of the world: names, delays, ties.
        nodes: how many there are; `cpu` each.
        beat_s: pause between heartbeats; a node is lost after four of them.
        pace: how slow pods start, get Ready and stop (1: some hundred ms).
        sets, deployments: manifests of each, by name.
    """

    seed: int
    nodes: int = 3
    cpu: str = "16"
    lag_s: float = 0.004
    disk_s: float = 0.001
    beat_s: float = 40.0
    history_bytes: int = 1 << 24
    pace: float = 1.0
    sets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


def draw(seed: int) -> Story:
    """The story of a seed."""
    story, rng = draw_sets(seed), Random(f"services {seed}")
    names = [name for name in story.sets if name != "front"]
    nodes = [f"n{i + 1}" for i in range(story.nodes)]
    steps = list(story.steps)
    for _ in range(rng.choice((0, 1, 2, 4))):
        drawn = services.step(rng, names, nodes)
        steps.insert(rng.randrange(len(steps) + 1), Step(*drawn, wait_s=rng.choice(WAITS_S)))
    sets = services.beside(rng, names, story.sets)
    return replace(story, sets=sets, steps=tuple(steps))


def draw_sets(seed: int) -> Story:
    """The story of a seed, without what happens to Services."""
    rng = Random(f"story {seed}")
    names = list(rng.choice(NAMES))
    nodes = rng.choice((1, 2, 3, 3, 4))
    made = {name: manifests.of_set(rng, name) for name in names}
    if rng.random() < 0.3:
        made["front"] = manifests.of_deployment(rng, "front")
    return Story(
        seed=seed,
        nodes=nodes,
        cpu=rng.choice(("16", "16", "16", "16", "1")),
        lag_s=rng.choice((0.0, 0.002, 0.004, 0.02, 0.1)),
        disk_s=rng.choice((0.0, 0.001, 0.01)),
        beat_s=40.0,
        history_bytes=rng.choice((1 << 24, 1 << 24, 40_000, 8_000)),
        pace=rng.choice((0.2, 1.0, 1.0, 5.0, 20.0)),
        sets=made,
        steps=tuple(_steps(rng, names, nodes, "front" in made)),
    )


def _steps(rng: Random, names: list[str], nodes: int, front: bool) -> list[Step]:
    weights = dict(WEIGHTS) if front else {k: w for k, w in WEIGHTS.items() if "front" not in k}
    favoured = rng.sample(sorted(weights), 3)
    for kind in favoured:
        weights[kind] *= 4
    kinds = rng.choices(list(weights), list(weights.values()), k=rng.choice((4, 8, 12, 16)))
    draw_one = _Drawer(rng, names, nodes)
    return [draw_one.step(kind) for kind in kinds]


class _Drawer:
    """Draws the details of a step."""

    def __init__(self, rng: Random, names: list[str], nodes: int) -> None:
        self.rng = rng
        self.names = names
        self.nodes = [f"n{i + 1}" for i in range(nodes)]

    def step(self, kind: str) -> Step:
        rng = self.rng
        waits = LONG_WAITS_S if rng.random() < 0.1 else WAITS_S
        target, number, text = self._details(kind)
        return Step(kind, target, number, text, rng.choice(waits))

    def _details(self, kind: str) -> tuple[str, float, str]:
        rng, name, node = self.rng, self.rng.choice(self.names), self.rng.choice(self.nodes)
        if kind in NODE_KINDS:
            return node, rng.choice((0.0, 0.5, 3.0)), rng.choice(("", "deaf"))
        if kind in PROCESS_KINDS:
            process = rng.choice(("control", "control", node))
            return process, rng.randrange(1, 25), rng.choice(("BEFORE", "AFTER"))
        if kind in ("cut", "stall"):
            process = rng.choice(("control", "control", node))
            what = rng.choice(("pods", "pods", "statefulsets", "persistentvolumeclaims", ""))
            how = rng.choice(("CLEAN", "BROKEN", "TORN"))
            return process, rng.choice((0.3, 2.0, 8.0)), f"{what} {how}"
        if kind == "trouble":
            return self._trouble(node)
        if kind == "cut_off":
            process = rng.choice(("control", node))
            return process, rng.choice((1.0, 5.0, 30.0, 150.0)), rng.choice(("", "deaf"))
        number, text = manifests.DETAILS.get(kind, _nothing)(rng)
        return name, number, text

    def _trouble(self, node: str) -> tuple[str, float, str]:
        rng = self.rng
        process = rng.choice(("control", "control", "control", node))
        who = rng.choice(PARTS) if process == "control" else "*"
        what = rng.choice(("writes", "writes", "writes", "all"))
        return process, rng.choice((1, 1, 2, 5, 20)), f"{rng.choice(TROUBLES)} {who} {what}"


PARTS = ("*", "*", "statefulset", "statefulset", "scheduler", "nodelife", "garbage",
         "endpointslice", "volumebinder", "disruption", "informers")  # fmt: skip
TROUBLES = ("UNREACHED", "UNANSWERED", "UNANSWERED", "LATER", "LATER", "SLOW", "BUSY", "AWAY",
            "BROKEN")  # fmt: skip


def _nothing(rng: Random) -> tuple[float, str]:
    return rng.randrange(6), ""


NODE_KINDS = frozenset(
    ("lose", "lose_agent", "part", "join", "return", "remove_node", "out_of_service", "cordon",
     "uncordon", "drain", "lose_and_remove")
)  # fmt: skip
PROCESS_KINDS = frozenset(("die_at", "kill"))

WEIGHTS: dict[str, float] = {
    "scale": 8, "image": 6, "fix": 3, "revert": 3, "annotate": 4, "strategy": 3, "tune": 4,
    "resize": 2, "delete_pod": 5, "force_pod": 1, "evict": 3, "fail_pod": 2, "release": 1.5,
    "role": 2, "free_volumes": 1, "delete_claim": 1.5, "delete_set": 3, "create_set": 3,
    "budget": 1.5,
    "lose": 3, "lose_agent": 2, "part": 3, "join": 3, "return": 4, "remove_node": 1,
    "lose_and_remove": 2, "out_of_service": 1.5, "cordon": 1, "uncordon": 1, "drain": 1,
    "die_at": 6, "kill": 3, "power": 4, "api_crash": 2, "disk": 1.5, "cut": 3, "stall": 4,
    "trouble": 8, "cut_off": 2.5, "blackout": 2, "jump": 1.5, "wait": 2,
    "scale_front": 4, "image_front": 4, "pause_front": 2, "undo_front": 2, "strategy_front": 1.5,
}  # fmt: skip

Detail = Callable[[Random], tuple[float, str]]
