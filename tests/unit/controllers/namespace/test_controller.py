"""The namespace controller on a real server in process."""

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.namespace import controller
from petset.reconcile.context import Config
from tests.unit.controllers.cluster import cluster

FACTORIES = [("namespace", controller.make)]
CONFIG = Config(ca_text="-----BEGIN CERTIFICATE-----\n")


def namespace(name: str) -> MutableObj:
    return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}


async def test_every_namespace_gets_its_account_and_the_ca_and_gets_them_again() -> None:
    async with cluster(FACTORIES, config=CONFIG) as here:
        await here.client.create("namespaces", namespace("team"))
        maps, accounts = here.cache("configmaps"), here.cache("serviceaccounts")
        await here.until(lambda: accounts.get("team", "default"), "serviceaccounts")
        await here.until(lambda: accounts.get("default", "default"), "serviceaccounts")
        await here.until(lambda: maps.get("team", "kube-root-ca.crt"), "configmaps")
        await here.client.delete("configmaps", "kube-root-ca.crt", "team")
        await here.client.patch("configmaps", "kube-root-ca.crt", {"data": None}, "default")

        def repaired() -> bool:
            found = [maps.get(name, "kube-root-ca.crt") or {} for name in ("team", "default")]
            return all(m.get("data") == {"ca.crt": CONFIG.ca_text} for m in found)

        await here.until(repaired, "configmaps")


async def test_a_namespace_goes_with_everything_in_it() -> None:
    async with cluster(FACTORIES, config=CONFIG, kubelet=True) as here:
        await here.client.create("namespaces", namespace("team"))
        pod = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": "p", "namespace": "team"},
            "spec": {"containers": [{"name": "c", "image": "nginx"}]},
        }
        await here.client.create("pods", pod, "team")
        secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}}
        await here.client.create("secrets", secret, "team")
        await here.client.delete("namespaces", "team")
        await here.gone("namespaces", "team", "")
        assert (await here.client.list("secrets", "team")).items == []
        assert (await here.client.list("pods", "team")).items == []


async def test_what_remains_is_told_in_the_conditions_and_holds_the_namespace() -> None:
    async with cluster(FACTORIES, config=CONFIG) as here:
        await here.client.create("namespaces", namespace("team"))
        held: MutableObj = {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"name": "held", "namespace": "team", "finalizers": ["example.com/a"]},
        }
        await here.client.create("configmaps", held, "team")
        await here.client.delete("namespaces", "team")
        cache = here.cache("namespaces")

        def told() -> bool:
            found = cache.get("", "team") or {}
            condition = meta.condition_of(found, "NamespaceFinalizersRemaining")
            return condition is not None and "example.com/a in 1 resource" in condition["message"]

        await here.until(told, "namespaces")
        remaining = meta.condition_of(cache.get("", "team") or {}, "NamespaceContentRemaining")
        assert remaining is not None
        assert remaining["message"].endswith("configmaps has 1 resource instances")
        await here.client.patch("configmaps", "held", {"metadata": {"finalizers": None}}, "team")
        await here.gone("namespaces", "team", "")
