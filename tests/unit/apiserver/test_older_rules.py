"""Objects that were stored under laxer rules can still be changed where the rules are kept."""

from typing import Any

from petset.apiserver import objects
from tests.unit.apiserver.harness import PODS, Server, pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
API = f"{DEPLOYMENTS}/api"
LABELS = {"app": "api"}


def deployment(*volumes: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "nginx"}], "volumes": list(volumes)}
    template = {"metadata": {"labels": LABELS}, "spec": spec}
    return {
        "metadata": {"name": "api"},
        "spec": {"selector": {"matchLabels": LABELS}, "template": template},
    }


async def older(server: Server, key: str, **volume: Any) -> None:
    """Give a stored object a volume that today's rules refuse."""
    item = server.store.head(key)
    assert item is not None
    obj = objects.decode(item.value)
    spec = obj["spec"].get("template", obj)["spec"]
    spec["volumes"] = [volume]
    await server.store.put(item.key, objects.maker(obj), expect=item.revision)


ODD = {"name": "Odd_", "emptyDir": {}}


async def test_an_old_fault_does_not_stand_in_the_way_of_other_changes(server: Server) -> None:
    await server.make(DEPLOYMENTS, deployment())
    await older(server, "deployments.apps/default/api", **ODD)
    answer = await server.patch(API, {"spec": {"replicas": 3}})
    assert answer.status == 200
    scale = await server.patch(f"{API}/scale", {"spec": {"replicas": 4}})
    assert scale.status == 200


async def test_a_new_fault_is_told_alone(server: Server) -> None:
    await server.make(DEPLOYMENTS, deployment())
    await older(server, "deployments.apps/default/api", **ODD)
    answer = await server.patch(API, {"spec": {"replicas": -1}})
    assert answer.status == 422
    assert [c["field"] for c in answer.body["details"]["causes"]] == ["spec.replicas"]


async def test_a_fault_that_changes_is_told(server: Server) -> None:
    await server.make(DEPLOYMENTS, deployment())
    await older(server, "deployments.apps/default/api", **ODD)
    volumes = [{"name": "Even_", "emptyDir": {}}]
    change = {"spec": {"template": {"spec": {"volumes": volumes}}}}
    answer = await server.patch(API, change)
    assert [c["field"] for c in answer.body["details"]["causes"]] == [
        "spec.template.spec.volumes[0].name"
    ]


async def test_a_pod_of_older_rules_can_be_labelled(server: Server) -> None:
    await server.make(PODS, pod("p"))
    await older(server, "pods/default/p", **ODD)
    answer = await server.patch(f"{PODS}/p", {"metadata": {"labels": {"a": "b"}}})
    assert answer.status == 200
    assert answer.body["metadata"]["labels"] == {"a": "b"}
