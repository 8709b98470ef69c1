"""New pods and what they refer to: accounts, runtime classes, their own labels."""

from typing import Any

from tests.unit.apiserver.harness import PODS, Server, pod

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
VOLUMES = "/api/v1/persistentvolumes"
SANDBOX = {
    "overhead": {"podFixed": {"memory": "64Mi"}},
    "scheduling": {
        "nodeSelector": {"sandbox": "yes"},
        "tolerations": [{"key": "sandbox", "operator": "Exists"}],
    },
}


async def test_a_pod_of_an_unknown_account_is_refused(server: Server) -> None:
    answer = await server.ask("POST", PODS, pod("p", spec={"serviceAccountName": "x"}))
    assert answer.status == 403
    assert answer.body["reason"] == "Forbidden"
    assert answer.body["message"] == (
        'pods "p" is forbidden: error looking up service account default/x: '
        'serviceaccount "x" not found'
    )
    await server.make(ACCOUNTS, {"metadata": {"name": "x"}})
    made = await server.make(PODS, pod("p", spec={"serviceAccountName": "x"}))
    assert made["spec"]["serviceAccount"] == "x"


async def test_a_refused_pod_without_a_name_is_called_by_what_was_sent(server: Server) -> None:
    sent = pod(metadata={"generateName": "web-"}, spec={"serviceAccountName": "x"})
    answer = await server.ask("POST", PODS, sent)
    assert answer.body["message"].startswith('pods "web-" is forbidden: error looking up')
    assert answer.body["details"] == {"name": "web-", "kind": "pods"}


async def test_a_pod_does_not_wait_for_the_account_that_every_namespace_gets(
    server: Server,
) -> None:
    await server.make("/api/v1/namespaces", {"metadata": {"name": "fresh"}})
    made = await server.make("/api/v1/namespaces/fresh/pods", pod("p"))
    assert made["spec"]["serviceAccountName"] == "default"


async def test_pull_secrets_come_from_the_account_unless_the_pod_has_its_own(
    server: Server,
) -> None:
    secrets = [{"name": "a"}, {"name": "b"}]
    await server.make(ACCOUNTS, {"metadata": {"name": "default"}, "imagePullSecrets": secrets})
    assert (await server.make(PODS, pod("p")))["spec"]["imagePullSecrets"] == secrets
    own = pod("own", spec={"imagePullSecrets": [{"name": "c"}]})
    assert (await server.make(PODS, own))["spec"]["imagePullSecrets"] == [{"name": "c"}]


async def test_a_pod_of_an_unknown_runtime_class_is_refused(server: Server) -> None:
    answer = await server.ask("POST", PODS, pod("p", spec={"runtimeClassName": "sandbox"}))
    assert answer.status == 403
    assert answer.body["message"] == (
        'pods "p" is forbidden: pod rejected: RuntimeClass "sandbox" not found'
    )


async def of_class(server: Server, **spec: Any) -> Any:
    await server.make(CLASSES, {"metadata": {"name": "sandbox"}, "handler": "vm", **SANDBOX})
    return await server.ask("POST", PODS, pod("p", spec={"runtimeClassName": "sandbox", **spec}))


async def test_a_class_gives_its_pods_overhead_and_places(server: Server) -> None:
    mine = {"key": "mine", "operator": "Exists", "effect": "NoSchedule"}
    covered = {"key": "sandbox", "operator": "Equal", "value": "a", "effect": "NoSchedule"}
    answer = await of_class(server, nodeSelector={"disk": "fast"}, tolerations=[mine, covered])
    spec = answer.body["spec"]
    assert spec["overhead"] == {"memory": "64Mi"}
    assert spec["nodeSelector"] == {"disk": "fast", "sandbox": "yes"}
    assert mine in spec["tolerations"]
    assert covered not in spec["tolerations"]
    assert {"key": "sandbox", "operator": "Exists"} in spec["tolerations"]


async def test_a_pod_may_not_contradict_its_class(server: Server) -> None:
    answer = await of_class(server, nodeSelector={"sandbox": "no"})
    assert answer.body["message"].endswith(
        "conflict: runtimeClass.scheduling.nodeSelector[sandbox] = yes; "
        "pod.spec.nodeSelector[sandbox] = no"
    )
    spec = {"runtimeClassName": "sandbox", "overhead": {"memory": "1Mi"}}
    answer = await server.ask("POST", PODS, pod("p", spec=spec))
    assert answer.body["message"].endswith(
        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
    )
    answer = await server.ask("POST", PODS, pod("p", spec={"overhead": {"memory": "1Mi"}}))
    assert answer.body["message"].endswith(
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    )


def term(**more: Any) -> dict[str, Any]:
    return {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}, **more}


async def test_label_keys_are_written_into_the_selectors_of_a_new_pod(server: Server) -> None:
    spread = {**term(matchLabelKeys=["hash", "none"]), "maxSkew": 1}
    required = term(matchLabelKeys=["hash"], mismatchLabelKeys=["tenant"])
    preferred = {"weight": 1, "podAffinityTerm": term(matchLabelKeys=["hash"])}
    spec = {
        "topologySpreadConstraints": [{**spread, "whenUnsatisfiable": "ScheduleAnyway"}],
        "affinity": {
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [required]},
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]},
        },
    }
    labels = {"app": "web", "hash": "1", "tenant": "t"}
    made = (await server.make(PODS, pod("p", metadata={"labels": labels}, spec=spec)))["spec"]
    this = {"key": "hash", "operator": "In", "values": ["1"]}
    (constraint,) = made["topologySpreadConstraints"]
    assert constraint["labelSelector"]["matchExpressions"] == [this]
    assert constraint["matchLabelKeys"] == ["hash", "none"]
    (needed,) = made["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    others = {"key": "tenant", "operator": "NotIn", "values": ["t"]}
    assert needed["labelSelector"]["matchExpressions"] == [this, others]
    (liked,) = made["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    assert liked["podAffinityTerm"]["labelSelector"]["matchExpressions"] == [this]
    patched = await server.patch(f"{PODS}/p", {"metadata": {"labels": {"x": "y"}}})
    assert patched.status == 200
    assert patched.body["spec"] == made


async def test_a_key_may_not_be_in_the_selector_already(server: Server) -> None:
    constraint = {
        **term(matchLabelKeys=["app"]),
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
    }
    spec = {"topologySpreadConstraints": [constraint]}
    answer = await server.ask(
        "POST", PODS, pod("p", metadata={"labels": {"app": "web"}}, spec=spec)
    )
    assert answer.status == 422
    assert answer.body["details"]["causes"][0]["field"] == (
        "spec.topologySpreadConstraints[0].matchLabelKeys[0]"
    )


async def test_a_volume_says_when_its_phase_changed(server: Server) -> None:
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/x"},
    }
    made = await server.make(VOLUMES, {"metadata": {"name": "v"}, "spec": spec})
    created = made["metadata"]["creationTimestamp"]
    assert made["status"] == {"phase": "Pending", "lastPhaseTransitionTime": created}
    server.clock.time += 60
    path = f"{VOLUMES}/v/status"
    changed = await server.patch(path, {"status": {"phase": "Available"}})
    then = "2023-11-14T22:14:20Z"
    assert changed.body["status"] == {"phase": "Available", "lastPhaseTransitionTime": then}
    server.clock.time += 60
    same = await server.patch(path, {"status": {"message": "m"}})
    assert same.body["status"]["lastPhaseTransitionTime"] == then
    told = "2020-01-01T00:00:00Z"
    own = await server.patch(path, {"status": {"phase": "Bound", "lastPhaseTransitionTime": told}})
    assert own.body["status"]["lastPhaseTransitionTime"] == told


async def test_a_pod_takes_over_zone_and_region_of_its_node(server: Server) -> None:
    places = {"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r"}
    labels = {**places, "topology.kubernetes.io/rack": "no", "disk": "fast"}
    await server.make("/api/v1/nodes", {"metadata": {"name": "n1", "labels": labels}})
    own = {"app": "web", "topology.kubernetes.io/zone": "mine"}
    await server.make(PODS, pod("p", metadata={"labels": own}))
    target = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    assert (await server.ask("POST", f"{PODS}/p/binding", target)).status == 201
    bound = (await server.get(f"{PODS}/p")).body
    assert bound["metadata"]["labels"] == {"app": "web", **places}
    placed = await server.make(PODS, pod("placed", spec={"nodeName": "n1"}))
    assert placed["metadata"]["labels"] == places
    lost = await server.make(PODS, pod("lost", spec={"nodeName": "nowhere"}))
    assert "labels" not in lost["metadata"]
