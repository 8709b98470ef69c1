"""The registry: what is served, under which names, stored where."""

import pytest

from petset.api import registry


def test_ids_paths_and_kinds_lead_to_the_same_resource() -> None:
    sts = registry.by_id("statefulsets.apps")
    assert registry.by_path("apps", "v1", "statefulsets") is sts
    assert registry.by_kind("apps", "v1", "StatefulSet") is sts
    assert registry.by_api_version("apps/v1", "StatefulSet") is sts
    assert registry.by_api_version("v1", "Pod") is registry.by_id("pods")
    assert sts.schema == "io.k8s.api.apps.v1.StatefulSet"
    assert sts.short_names == ("sts",)
    assert sts.categories == ("all",)
    assert sts.namespaced


def test_what_is_not_served_is_not_found() -> None:
    assert registry.by_path("apps", "v1beta1", "statefulsets") is None
    assert registry.by_kind("", "v1", "Nope") is None
    assert registry.versions("nope") == ()
    with pytest.raises(KeyError):
        registry.by_id("nopes")


def test_core_comes_first_and_every_group_version_is_stable() -> None:
    assert registry.GROUPS[0] == ""
    assert registry.RESOURCES[0].group == ""
    assert all(r.version in ("v1", "v2") for r in registry.RESOURCES)
    assert registry.versions("autoscaling") == ("v2", "v1")


def test_every_id_is_stored_in_exactly_one_version() -> None:
    stored: dict[str, set[str]] = {}
    for resource in registry.RESOURCES:
        place = registry.storage(resource)
        assert registry.storage(place) is place
        stored.setdefault(resource.id, set()).add(f"{place.id} {place.version}")
    assert all(len(places) == 1 for places in stored.values())


def test_autoscalers_are_stored_as_v2_and_events_as_core() -> None:
    v1 = registry.by_path("autoscaling", "v1", "horizontalpodautoscalers")
    assert v1 is not None
    assert registry.storage(v1).version == "v2"
    assert registry.by_id("horizontalpodautoscalers.autoscaling").version == "v2"
    assert [r.version for r in registry.served(v1.id)] == ["v2", "v1"]
    events = registry.by_id("events.events.k8s.io")
    assert registry.storage(events) is registry.by_id("events")
    assert [r.id for r in registry.served("events")] == ["events", "events.events.k8s.io"]


@pytest.mark.parametrize(
    ("resource", "subresources"),
    [
        (
            "pods",
            "attach binding ephemeralcontainers eviction exec log portforward proxy resize status",
        ),
        ("statefulsets.apps", "scale status"),
        ("serviceaccounts", "token"),
        ("namespaces", "finalize status"),
        ("nodes", "proxy status"),
        ("services", "proxy status"),
        ("configmaps", ""),
        ("certificatesigningrequests.certificates.k8s.io", "approval status"),
    ],
)
def test_subresources_are_those_of_upstream(resource: str, subresources: str) -> None:
    found = [s.name for s in registry.by_id(resource).subresources]
    assert found == subresources.split()


def test_subresources_know_their_own_kind() -> None:
    pods = {s.name: s for s in registry.by_id("pods").subresources}
    assert (pods["eviction"].group, pods["eviction"].version) == ("policy", "v1")
    assert pods["exec"].kind == "PodExecOptions"
    assert pods["exec"].verbs == ("create", "get")
    scale = next(s for s in registry.by_id("deployments.apps").subresources if s.name == "scale")
    assert (scale.group, scale.version, scale.kind) == ("autoscaling", "v1", "Scale")


def test_paths_follow_the_scope() -> None:
    assert registry.by_id("pods").path("ns", "a", "log") == "/api/v1/namespaces/ns/pods/a/log"
    assert registry.by_id("nodes").path("", "n1") == "/api/v1/nodes/n1"
    assert registry.by_id("statefulsets.apps").path() == "/apis/apps/v1/statefulsets"
