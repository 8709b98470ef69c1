"""`kubernetes`: typed and dynamic, watches that resume, informers, leases as locks."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from kubernetes import client, config, dynamic, informer, utils, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock import leaselock

from petset.testing.cluster import RunningCluster
from tests.clients.manifests import CONFLICT, LABELS, NS, config_map, service, stateful_set

APPLY = "application/apply-patch+yaml"


@pytest.fixture
def api(petset_cluster: RunningCluster) -> Iterator[Any]:
    loaded = cast(Any, config).new_client_from_config(config_file=str(petset_cluster.kubeconfig))
    with loaded as made:
        yield made


@pytest.fixture
def core(api: Any) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture
def apps(api: Any) -> Any:
    return client.AppsV1Api(api)


def make_maps(core: Any, *names: str) -> None:
    for name in names:
        core.create_namespaced_config_map(NS, config_map(name, tier="a" if name < "m" else "b"))


def names(listed: Any) -> list[str]:
    return [item.metadata.name for item in listed.items]


def test_an_old_copy_cannot_overwrite_a_newer_one(core: Any) -> None:
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="one"), data={"a": "1"})
    made = core.create_namespaced_config_map(NS, body)
    assert (made.metadata.namespace, made.data) == (NS, {"a": "1"})
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_config_map(NS, body)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert '"reason":"AlreadyExists"' in str(caught.value.body)
    made.data["a"] = "2"
    newer = core.replace_namespaced_config_map("one", NS, made)
    assert newer.metadata.resource_version != made.metadata.resource_version
    with pytest.raises(ApiException) as caught:
        core.replace_namespaced_config_map("one", NS, made)
    assert caught.value.status == 409
    assert CONFLICT in str(caught.value.body)
    assert core.read_namespaced_config_map("one", NS).data == {"a": "2"}


def test_lists_select_by_labels_and_fields_and_come_in_pages(core: Any) -> None:
    make_maps(core, "a", "b", "c", "x", "y")
    listed = core.list_namespaced_config_map
    assert names(listed(NS, label_selector="tier=a")) == ["a", "b", "c"]
    assert names(listed(NS, label_selector="tier in (b), tier")) == ["x", "y"]
    assert names(listed(NS, label_selector="!tier")) == ["kube-root-ca.crt"]
    assert names(listed(NS, field_selector="metadata.name=b")) == ["b"]
    found, token, rounds = [], None, 0
    while rounds == 0 or token:
        page = listed(NS, limit=2, label_selector="tier", _continue=token)
        found += names(page)
        token = page.metadata._continue
        rounds += 1
    assert (found, rounds) == (["a", "b", "c", "x", "y"], 3)


def test_every_kind_of_patch(core: Any, apps: Any) -> None:
    make_maps(core, "one")
    patch = core.patch_namespaced_config_map
    strategic = patch("one", NS, {"data": {"new": "1", "key": None}})
    assert strategic.data == {"new": "1"}
    operations = [{"op": "test", "path": "/data/new", "value": "1"}]
    operations.append({"op": "replace", "path": "/data/new", "value": "2"})
    assert patch("one", NS, operations).data == {"new": "2"}
    with pytest.raises(ApiException) as caught:
        patch("one", NS, operations)
    assert caught.value.status == 422
    merged = patch("one", NS, {"data": None}, _content_type="application/merge-patch+json")
    assert merged.data is None
    apps.create_namespaced_stateful_set(NS, stateful_set(replicas=0))
    env = {"name": "main", "env": [{"name": "A", "value": "1"}]}
    wanted = {"spec": {"template": {"spec": {"containers": [env]}}}}
    container = apps.patch_namespaced_stateful_set("web", NS, wanted).spec.template.spec.containers
    assert [(c.name, c.image, c.env[0].value) for c in container] == [("main", "nginx:1", "1")]


def test_server_side_apply_tells_whose_field_it_is(core: Any) -> None:
    def apply(manager: str, data: dict[str, str], **more: Any) -> Any:
        body = config_map("one", data)
        return core.patch_namespaced_config_map(
            "one", NS, body, field_manager=manager, _content_type=APPLY, **more
        )

    apply("mine", {"a": "1", "b": "1"})
    with pytest.raises(ApiException) as caught:
        apply("yours", {"a": "2"})
    assert caught.value.status == 409
    assert 'conflict with \\"mine\\"' in str(caught.value.body)
    assert apply("yours", {"a": "2"}, force=True).data == {"a": "2", "b": "1"}
    entries = core.read_namespaced_config_map("one", NS).metadata.managed_fields
    assert {entry.manager for entry in entries} == {"mine", "yours"}


def told(core: Any, count: int, **more: Any) -> list[tuple[str, str]]:
    """The first `count` events of a watch on config maps with a tier."""
    watcher: Any = cast(Any, watch).Watch()
    seen = []
    for event in watcher.stream(core.list_namespaced_config_map, NS, label_selector="tier", **more):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == count:
            watcher.stop()
    return seen


def test_a_watch_goes_on_where_it_was_cut(petset_cluster: RunningCluster, core: Any) -> None:
    start = core.list_namespaced_config_map(NS).metadata.resource_version
    make_maps(core, "a", "b", "c", "d")
    core.delete_namespaced_config_map("a", NS)
    rule = petset_cluster.faults.add(
        verb="watch", resource="configmaps", cut="end", events=1, times=3
    )
    added = [("ADDED", name) for name in "abcd"]
    assert told(core, 5, resource_version=start) == [*added, ("DELETED", "a")]
    assert rule.hits == 3


def test_a_watch_outlives_a_history_that_is_gone(petset_cluster: RunningCluster, core: Any) -> None:
    make_maps(core, "a", "b")
    petset_cluster.faults.add(verb="watch", resource="configmaps", status=410, events=1, times=1)
    assert told(core, 2) == [("ADDED", "a"), ("ADDED", "b")]
    petset_cluster.faults.add(verb="watch", resource="configmaps", status=410, times=1)
    with pytest.raises(ApiException) as caught:
        told(core, 1)
    assert caught.value.status == 410


def test_a_stateful_set_gets_ready_scales_and_goes(
    petset_cluster: RunningCluster, api: Any, core: Any, apps: Any
) -> None:
    for document in (service(), stateful_set(replicas=3)):
        cast(Any, utils).create_from_dict(api, document)

    def ready(count: int) -> bool:
        status = apps.read_namespaced_stateful_set_status("web", NS).status
        return bool((status.ready_replicas or 0) == status.replicas == count)

    petset_cluster.wait_for(lambda: ready(3))
    selector = ",".join(f"{key}={value}" for key, value in LABELS.items())
    pods = core.list_namespaced_pod(NS, label_selector=selector)
    assert names(pods) == ["web-0", "web-1", "web-2"]
    assert {pod.status.phase for pod in pods.items} == {"Running"}
    assert pods.items[0].metadata.creation_timestamp.tzinfo is not None
    claims = core.list_namespaced_persistent_volume_claim(NS).items
    assert {claim.status.phase for claim in claims} == {"Bound"}
    scale = apps.read_namespaced_stateful_set_scale("web", NS)
    scale.spec.replicas = 1
    scale.metadata.resource_version = None
    apps.replace_namespaced_stateful_set_scale("web", NS, scale)
    petset_cluster.wait_for(lambda: ready(1))
    apps.patch_namespaced_stateful_set_scale("web", NS, {"spec": {"replicas": 2}})
    petset_cluster.wait_for(lambda: ready(2))
    apps.delete_namespaced_stateful_set("web", NS, propagation_policy="Foreground")
    petset_cluster.wait_for(lambda: not core.list_namespaced_pod(NS).items)
    petset_cluster.wait_for(lambda: not apps.list_namespaced_stateful_set(NS).items)
    core.delete_collection_namespaced_persistent_volume_claim(NS)
    petset_cluster.wait_for(lambda: not core.list_persistent_volume().items)


def test_an_evicted_member_is_replaced(
    petset_cluster: RunningCluster, core: Any, apps: Any
) -> None:
    apps.create_namespaced_stateful_set(NS, stateful_set(replicas=1))
    petset_cluster.wait_for(lambda: petset_cluster.ready("statefulsets.apps", "web"))
    before = core.read_namespaced_pod("web-0", NS).metadata.uid
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="web-0"))
    core.create_namespaced_pod_eviction("web-0", NS, eviction)

    def replaced() -> bool:
        pods = core.list_namespaced_pod(NS).items
        return [pod.metadata.name for pod in pods if pod.metadata.uid != before] == ["web-0"]

    petset_cluster.wait_for(replaced)


def test_the_dynamic_client_finds_kinds_by_discovery(api: Any, tmp_path: Path) -> None:
    found = cast(Any, dynamic).DynamicClient(api, cache_file=str(tmp_path / "discovery"))
    maps = found.resources.get(api_version="v1", kind="ConfigMap")
    sets = found.resources.get(api_version="apps/v1", kind="StatefulSet")
    assert (sets.namespaced, sets.group, "scale" in sets.subresources) == (True, "apps", True)
    maps.create(body=config_map("one"), namespace=NS)
    first = maps.get(name="one", namespace=NS)
    maps.patch(body={"metadata": {"name": "one"}, "data": {"key": "new"}}, namespace=NS)
    stale = {**first.to_dict(), "data": {"key": "old"}}
    with pytest.raises(ConflictError):
        maps.replace(body=stale, namespace=NS)
    applied = maps.server_side_apply(
        body=config_map("two", {"a": "1"}), namespace=NS, field_manager="dyn"
    )
    assert applied.data.a == "1"
    with closing(maps.watch(namespace=NS, timeout=20, resource_version=0)) as told:
        seen = [next(told)["object"].metadata.name for _ in range(3)]
    assert set(seen) == {"one", "two", "kube-root-ca.crt"}
    maps.delete(name="one", namespace=NS)
    with pytest.raises(NotFoundError):
        maps.get(name="one", namespace=NS)
    assert "StatefulSet" in {kind.kind for kind in found.resources.search(group="apps")}


def test_an_informer_follows_through_cuts(petset_cluster: RunningCluster, core: Any) -> None:
    make_maps(core, "a")
    follows = cast(Any, informer).SharedInformer(
        core.list_namespaced_config_map, namespace=NS, label_selector="tier"
    )
    gone: list[str] = []
    follows.add_event_handler("DELETED", lambda obj: gone.append(obj.metadata.name))
    petset_cluster.faults.add(verb="watch", resource="configmaps", cut="end", events=1, times=2)
    follows.start()
    try:
        petset_cluster.wait_for(lambda: follows.cache.list_keys() == [f"{NS}/a"])
        make_maps(core, "b", "c")
        core.delete_namespaced_config_map("a", NS)
        petset_cluster.wait_for(lambda: sorted(follows.cache.list_keys()) == [f"{NS}/b", f"{NS}/c"])
        assert gone == ["a"]
    finally:
        follows.stop()


def test_leases_elect_one_leader(
    petset_cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = client.Configuration()
    cast(Any, config).load_kube_config(str(petset_cluster.kubeconfig), client_configuration=loaded)
    monkeypatch.setattr(client.Configuration, "_default", loaded)

    def candidate(name: str) -> Any:
        lock = cast(Any, leaselock).LeaseLock("leader", NS, name)
        settings = cast(Any, electionconfig).Config(
            lock, 3, 2, 1, onstarted_leading=print, onstopped_leading=None
        )
        return cast(Any, leaderelection).LeaderElection(settings)

    one, two = candidate("one"), candidate("two")
    monkeypatch.setattr(client.Configuration, "_default", None)
    assert [one.try_acquire_or_renew(), two.try_acquire_or_renew()] == [True, False]
    petset_cluster.faults.add(
        verb="update", resource="leases.coordination.k8s.io", status=409, times=1
    )
    assert [one.try_acquire_or_renew(), one.try_acquire_or_renew()] == [False, True]
    lease = petset_cluster.get("leases.coordination.k8s.io", "leader")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "one"
    for who in (one, two):
        who.election_config.lock.api_instance.api_client.close()


def test_yaml_of_several_documents_is_made_at_once(api: Any, core: Any) -> None:
    documents = [service(), config_map("one"), stateful_set(replicas=0)]
    text = yaml.safe_dump_all(documents)
    made = cast(Any, utils).create_from_yaml(api, yaml_objects=list(yaml.safe_load_all(text)))
    assert [one[0].kind for one in made] == ["Service", "ConfigMap", "StatefulSet"]
    assert core.read_namespaced_service("web", NS).spec.cluster_ip == "None"


def test_the_client_waits_as_long_as_a_busy_server_tells_it(
    petset_cluster: RunningCluster, core: Any
) -> None:
    with petset_cluster.faults.during(resource="configmaps", status=429) as rule:
        with pytest.raises(ApiException) as caught:
            core.list_namespaced_config_map(NS)
        assert (caught.value.status, rule.hits) == (429, 1)
    patient = petset_cluster.faults.add(
        resource="configmaps", status=429, retry_after=1, times=1, user_agent="OpenAPI*"
    )
    assert names(core.list_namespaced_config_map(NS)) == ["kube-root-ca.crt"]
    assert patient.hits == 1
