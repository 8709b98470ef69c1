"""Which pod a command means when a person names a workload."""

import pytest

from petset.api.errors import StatusError
from petset.cli.failure import Failure
from petset.cli.members import pod_of
from petset.testing.fakepod import Script
from petset.testing.scenario import stateful_set
from petset.testing.world import World


async def test_a_plain_name_and_a_pod_are_taken_as_they_are() -> None:
    async with World(nodes=0) as world:
        assert await pod_of(world.client, "web-0", "default") == "web-0"
        assert await pod_of(world.client, "po/web-7", "default") == "web-7"


async def test_the_best_member_stands_for_its_workload(capsys: pytest.CaptureFixture[str]) -> None:
    async with World(nodes=1) as world:
        world.script("web-0", Script(ready_s=None))
        for obj in stateful_set("web", replicas=3, podManagementPolicy="Parallel"):
            await world.apply(obj)
        await world.wait_for(lambda: len(_ready(world)) == 2)
        assert await pod_of(world.client, "sts/web", "default") == "web-1"
        assert await pod_of(world.client, "svc/web", "default") == "web-1"
        assert "Found 3 pods, using pod/web-1" in capsys.readouterr().err


def _ready(world: World) -> list[str]:
    found = []
    for pod in world.objects("pods"):
        conditions = pod.get("status", {}).get("conditions", [])
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            found.append(pod["metadata"]["name"])
    return found


async def test_what_has_no_pods_is_told() -> None:
    async with World(nodes=0) as world:
        await world.apply("{kind: ConfigMap, apiVersion: v1, metadata: {name: one}}")
        with pytest.raises(Failure, match="ConfigMap selects none"):
            await pod_of(world.client, "cm/one", "default")
        for obj in stateful_set("web", replicas=0):
            await world.apply(obj)
        with pytest.raises(Failure, match="has no pods now"):
            await pod_of(world.client, "sts/web", "default")
        with pytest.raises(StatusError) as missing:
            await pod_of(world.client, "sts/other", "default")
        assert missing.value.code == 404
