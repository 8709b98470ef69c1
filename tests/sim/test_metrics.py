"""What the controllers of a whole cluster tell at /metrics."""

from petset.base.http import Request, Response
from petset.testing.clock import run_virtual
from petset.testing.fakepod import Script
from petset.testing.scenario import stateful_set
from petset.testing.world import ADMIN, World

SET = "statefulsets.apps"
LABELS = 'pod_management_policy="{}",statefulset_name="web",statefulset_namespace="default"'
GAUGE = "statefulset_controller_statefulset"


async def metrics(world: World) -> dict[str, float]:
    """Value by name and labels."""
    reply = await world.app.dispatch(Request("GET", "/metrics", identity=ADMIN))
    assert isinstance(reply, Response)
    assert isinstance(reply.body, bytes)
    lines = [line for line in reply.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _sorted(text: str) -> str:
    """A name with its labels in order."""
    name, brace, labels = text.partition("{")
    return name + brace + ",".join(sorted(labels.rstrip("}").split(","))) + ("}" if brace else "")


async def gauges(world: World, policy: str) -> tuple[float | None, float | None]:
    """How many pods of `web` may be missing, and how many are."""
    found = {_sorted(name): value for name, value in (await metrics(world)).items()}
    labels = LABELS.format(policy)
    names = (f"{GAUGE}_{what}{{{labels}}}" for what in ("max_unavailable", "unavailable_replicas"))
    most, missing = (found.get(name) for name in names)
    return most, missing


def test_gauges_tell_how_many_members_may_be_missing_and_are() -> None:
    async def story() -> None:
        async with World(seed=1) as world:
            strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}
            world.script("web-2", Script(ready_s=None))
            for obj in stateful_set("web", replicas=4, updateStrategy=strategy):
                await world.apply(obj)
            await world.settle()
            assert await gauges(world, "OrderedReady") == (2, 2)
            world.script("web-2", Script())
            await world.client.delete("pods", "web-2", "default")
            await world.wait_for(lambda: world.ready(SET, "web"))
            await world.settle()
            assert await gauges(world, "OrderedReady") == (2, 0)
            await world.client.delete(SET, "web", "default")
            await world.settle()
            assert await gauges(world, "OrderedReady") == (None, None)

    run_virtual(story())


def test_a_set_that_is_rolled_by_hand_has_no_budget() -> None:
    async def story() -> None:
        async with World(seed=1) as world:
            for obj in stateful_set("web", replicas=1, updateStrategy={"type": "OnDelete"}):
                await world.apply(obj)
            await world.wait_for(lambda: world.ready(SET, "web"))
            assert await gauges(world, "OrderedReady") == (None, None)

    run_virtual(story())


def test_queues_and_writes_of_every_controller_are_counted() -> None:
    async def story() -> None:
        async with World(seed=1) as world:
            for obj in stateful_set("web", replicas=2, podManagementPolicy="Parallel"):
                await world.apply(obj)
            await world.wait_for(lambda: world.ready(SET, "web"))
            await world.settle()
            assert await gauges(world, "Parallel") == (1, 0)
            found = await metrics(world)
            assert found['workqueue_adds_total{name="statefulset"}'] > 2
            assert found['workqueue_depth{name="statefulset"}'] == 0
            made = 'controller="statefulset",resource="pods",verb="create"'
            assert found[f"petset_controller_writes_total{{{made}}}"] == 2
            await world.restart_control()
            await world.settle()
            again = await metrics(world)
            assert again['workqueue_adds_total{name="statefulset"}'] < 3

    run_virtual(story())
