"""The garbage collector on a real server in process."""

from typing import Any

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.garbage import controller
from tests.unit.controllers.cluster import Cluster, cluster

FACTORIES = [("garbage", controller.make)]
MAPS = "configmaps"


def config_map(name: str, *owners: MutableObj, block: bool = True) -> MutableObj:
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": meta.name_of(owner),
            "uid": meta.uid_of(owner),
            "blockOwnerDeletion": block,
        }
        for owner in owners
    ]
    metadata: dict[str, Any] = {"name": name, "namespace": "default"}
    if references:
        metadata["ownerReferences"] = references
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}


async def make(here: Cluster, name: str, *owners: MutableObj, block: bool = True) -> MutableObj:
    return await here.client.create(MAPS, config_map(name, *owners, block=block), "default")


async def test_dependents_go_after_their_owner_down_to_the_last() -> None:
    async with cluster(FACTORIES) as here:
        owner = await make(here, "owner")
        child = await make(here, "child", owner)
        await make(here, "grandchild", child)
        await make(here, "other")
        await here.client.delete(MAPS, "owner", "default")
        await here.gone(MAPS, "grandchild")
        await here.gone(MAPS, "child")
        await here.exists(MAPS, "other")


async def test_an_object_whose_owner_never_was_goes_at_once() -> None:
    async with cluster(FACTORIES) as here:
        ghost = {"metadata": {"name": "ghost", "uid": "5d1c0e3a-0000-4000-8000-000000000000"}}
        await make(here, "child", ghost)
        await here.gone(MAPS, "child")


async def test_an_owner_of_the_same_name_with_another_uid_is_not_the_owner() -> None:
    async with cluster(FACTORIES) as here:
        owner = await make(here, "owner")
        other = {"metadata": {"name": "owner", "uid": "5d1c0e3a-0000-4000-8000-000000000000"}}
        await make(here, "kept", owner)
        await make(here, "lost", other)
        await here.gone(MAPS, "lost")
        await here.exists(MAPS, "kept")


async def test_one_living_owner_is_enough_and_the_others_are_taken_off() -> None:
    async with cluster(FACTORIES) as here:
        one, two = await make(here, "one"), await make(here, "two")
        await make(here, "child", one, two)
        await here.client.delete(MAPS, "one", "default")

        def alone() -> bool:
            child = here.cache(MAPS).get("default", "child") or {}
            return [o["name"] for o in meta.owners_of(child)] == ["two"]

        await here.until(alone, MAPS)


async def test_a_foreground_deletion_waits_for_blocking_dependents() -> None:
    async with cluster(FACTORIES) as here:
        order: list[str] = []

        def on_map(old: Any, new: Any) -> None:
            if new is None:
                order.append(meta.name_of(old))

        owner = await make(here, "owner")
        child = await make(here, "child", owner)
        await make(here, "grandchild", child)
        here.cache(MAPS).add_handler(on_map)
        await here.client.delete(MAPS, "owner", "default", propagation="Foreground")
        await here.gone(MAPS, "owner")
        assert order == ["grandchild", "child", "owner"]


async def test_a_foreground_deletion_does_not_wait_for_a_dependent_that_does_not_block() -> None:
    async with cluster(FACTORIES) as here:
        owner = await make(here, "owner")
        child = config_map("child", owner, block=False)
        child["metadata"]["finalizers"] = ["example.com/stay"]
        await here.client.create(MAPS, child, "default")
        await here.client.delete(MAPS, "owner", "default", propagation="Foreground")
        await here.gone(MAPS, "owner")
        left = await here.client.get(MAPS, "child", "default")
        assert meta.is_deleting(left)


async def test_orphans_stay_and_lose_the_reference() -> None:
    async with cluster(FACTORIES) as here:
        owner = await make(here, "owner")
        await make(here, "child", owner)
        await here.client.delete(MAPS, "owner", "default", propagation="Orphan")
        await here.gone(MAPS, "owner")
        child = await here.client.get(MAPS, "child", "default")
        assert list(meta.owners_of(child)) == []
        await make(here, "later", {"metadata": {"name": "x", "uid": "gone"}})
        await here.gone(MAPS, "later")
        await here.exists(MAPS, "child")


async def test_a_cluster_wide_owner_keeps_its_namespaced_dependents() -> None:
    async with cluster(FACTORIES) as here:
        node = await here.client.create(
            "nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1"}}
        )
        child = config_map("child", node)
        child["metadata"]["ownerReferences"][0]["kind"] = "Node"
        await here.client.create(MAPS, child, "default")
        await make(here, "probe", {"metadata": {"name": "x", "uid": "gone"}})
        await here.gone(MAPS, "probe")
        await here.exists(MAPS, "child")
        await here.client.delete("nodes", "n1")
        await here.gone(MAPS, "child")
