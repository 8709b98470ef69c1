"""What the scheduler keeps of where pods are equals what is found by looking at all of them."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from petset.scheduler.plugins import affinity
from petset.scheduler.plugins.info import pod_info
from petset.scheduler.plugins.types import Nodes, PodInfo, World
from petset.scheduler.state import State

KEYS = st.sampled_from(["zone", "host"])
APPS = st.sampled_from(["a", "b"])
TERM = st.builds(
    lambda key, app, everywhere: {
        "topologyKey": key,
        "labelSelector": {"matchLabels": {"app": app}},
        **({"namespaceSelector": {"matchLabels": {"open": "yes"}}} if everywhere else {}),
    },
    KEYS,
    APPS,
    st.booleans(),
)
HARD = st.lists(TERM, max_size=2)
SOFT = st.lists(
    st.builds(
        lambda weight, term: {"weight": weight, "podAffinityTerm": term}, st.integers(1, 100), TERM
    ),
    max_size=2,
)
RULES = st.builds(
    lambda hard, soft: {
        "requiredDuringSchedulingIgnoredDuringExecution": hard,
        "preferredDuringSchedulingIgnoredDuringExecution": soft,
    },
    HARD,
    SOFT,
)
NUMBER = st.integers(0, 5)
POD = st.tuples(NUMBER, APPS, st.sampled_from(["n", "m"]), RULES, RULES)
PLACED = st.tuples(st.just("pod"), POD, st.integers(0, 3))
GONE = st.tuples(st.just("gone"), NUMBER)
NODE = st.tuples(st.just("node"), st.integers(0, 3), st.sampled_from(["", "x", "y"]))
NODE_GONE = st.tuples(st.just("node gone"), st.integers(0, 3))
ASKED = st.tuples(st.just("asked"), POD)
EVENTS = st.lists(st.one_of(PLACED, GONE, NODE, NODE_GONE, ASKED, ASKED), max_size=40)


def _pod(given_pod: tuple[int, str, str, Any, Any], node: str = "") -> dict[str, Any]:
    number, app, namespace, near, far = given_pod
    return {
        "metadata": {
            "name": f"p{number}",
            "namespace": namespace,
            "uid": f"u{number}",
            "labels": {"app": app},
        },
        "spec": {"nodeName": node, "affinity": {"podAffinity": near, "podAntiAffinity": far}},
    }


def _node(number: int, zone: str) -> dict[str, Any]:
    labels = {"host": f"h{number}"} | ({"zone": zone} if zone else {})
    return {"metadata": {"name": f"n{number}", "labels": labels}}


def _told(pod: PodInfo, world: World) -> tuple[object, object]:
    """What the plugin says of a pod on each node."""
    check = affinity.prepare(pod, world)
    refused = [] if check is None else [check(node) for node in world.nodes]
    return [list(reasons) for reasons in refused], affinity.score(pod, world, world.nodes)


@settings(max_examples=200, deadline=None)
@given(events=EVENTS)
def test_places_kept_change_by_change_are_those_that_are_there(events: list[Any]) -> None:
    state = State()
    state.set_namespace("n", {"open": "yes"})
    state.set_namespace("m", {})
    for number in range(3):
        state.set_node(f"n{number}", _node(number, "x"))
    for event in events:
        match event:
            case ("pod", pod, number):
                state.set_pod(_pod(pod, f"n{number}"))
            case ("gone", number):
                state.remove_pod(f"u{number}")
            case ("node", number, zone):
                state.set_node(f"n{number}", _node(number, zone))
            case ("node gone", number):
                state.set_node(f"n{number}", None)
            case _:
                (_, pod) = event
                info, world = pod_info(_pod(pod)), state.world()
                if len(world.nodes):
                    anew = replace(world, nodes=Nodes(world.nodes))
                    assert _told(info, world) == _told(info, anew)
