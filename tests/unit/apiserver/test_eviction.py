"""Evictions and disruption budgets."""

from typing import Any

import pytest

from tests.unit.apiserver.harness import PODS, Server, pod

BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"


async def running(server: Server, name: str, ready: str = "True") -> None:
    await server.make(PODS, pod(name, spec={"nodeName": "n1"}, metadata={"labels": {"app": "x"}}))
    conditions = [{"type": "Ready", "status": ready}]
    body = {"status": {"phase": "Running", "conditions": conditions}}
    assert (await server.patch(f"{PODS}/{name}/status", body)).status == 200


async def budget(server: Server, name: str = "b", **status: Any) -> None:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}
    await server.make(BUDGETS, {"metadata": {"name": name}, "spec": spec})
    full = {
        "observedGeneration": 1,
        "disruptionsAllowed": 0,
        "currentHealthy": 1,
        "desiredHealthy": 1,
        "expectedPods": 1,
        **status,
    }
    answer = await server.patch(f"{BUDGETS}/{name}/status", {"status": full})
    assert answer.status == 200, answer.raw


def eviction(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name}, **more}


async def evict(server: Server, name: str, **more: Any) -> Any:
    return await server.ask("POST", f"{PODS}/{name}/eviction", eviction(name, **more))


async def test_without_budget_a_pod_is_deleted_and_marked(server: Server) -> None:
    await running(server, "a")
    answer = await evict(server, "a", deleteOptions={"gracePeriodSeconds": 7})
    assert (answer.status, answer.body["status"]) == (201, "Success")
    left = (await server.get(f"{PODS}/a")).body
    assert left["metadata"]["deletionGracePeriodSeconds"] == 7
    conditions = {c["type"]: c.get("reason") for c in left["status"]["conditions"]}
    assert conditions["DisruptionTarget"] == "EvictionByEvictionAPI"


async def test_a_budget_that_is_used_up_refuses(server: Server) -> None:
    await running(server, "a")
    await budget(server)
    answer = await evict(server, "a")
    assert (answer.status, answer.body["reason"]) == (429, "TooManyRequests")
    assert answer.body["message"] == (
        "Cannot evict pod as it would violate the pod's disruption budget."
    )
    assert answer.body["details"]["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget b needs 1 healthy pods and has 1 currently",
        }
    ]
    assert answer.header("Retry-After") == []
    assert "deletionTimestamp" not in (await server.get(f"{PODS}/a")).body["metadata"]


def condition(reason: str, message: str = "") -> dict[str, Any]:
    since = "2026-01-01T00:00:00Z"
    fields = {"status": "False", "reason": reason, "message": message}
    return {"type": "DisruptionAllowed", "lastTransitionTime": since, **fields}


@pytest.mark.parametrize(
    ("healthy", "told", "why"),
    [
        (1, [condition("InsufficientPods")], "needs 1 healthy pods and has 1 currently"),
        (
            1,
            [condition("SyncFailed", "no size")],
            "does not allow evicting pods currently because it failed sync: no size",
        ),
        (3, [], "does not allow evicting pods currently"),
        (3, [condition("Odd", "so")], "does not allow evicting pods currently (Odd): so"),
    ],
)
async def test_a_budget_tells_what_hinders_it(
    server: Server, healthy: int, told: list[dict[str, Any]], why: str
) -> None:
    await running(server, "a")
    await budget(server, currentHealthy=healthy, conditions=told)
    answer = await evict(server, "a")
    assert answer.body["details"]["causes"][0]["message"] == f"The disruption budget b {why}"


async def test_a_budget_pays_for_an_eviction(server: Server) -> None:
    await running(server, "a")
    await running(server, "c")
    await budget(server, disruptionsAllowed=1, currentHealthy=2)
    dry = await server.ask("POST", f"{PODS}/a/eviction?dryRun=All", eviction("a"))
    assert dry.status == 201
    assert (await evict(server, "a")).status == 201
    status = (await server.get(f"{BUDGETS}/b")).body["status"]
    assert status["disruptionsAllowed"] == 0
    assert list(status["disruptedPods"]) == ["a"]
    assert (await evict(server, "c")).status == 429


async def test_a_budget_not_looked_at_yet_says_when_to_come_back(server: Server) -> None:
    await running(server, "a")
    await budget(server, observedGeneration=0, disruptionsAllowed=1)
    answer = await evict(server, "a")
    assert (answer.status, answer.header("Retry-After")) == (429, ["10"])
    assert (
        "is still being processed by the server" in (answer.body["details"]["causes"][0]["message"])
    )


async def test_pods_that_are_not_ready_may_go(server: Server) -> None:
    await running(server, "a", ready="False")
    await budget(server)
    assert (await evict(server, "a")).status == 201


async def test_pods_that_are_not_ready_stay_while_too_few_others_are_healthy(
    server: Server,
) -> None:
    await running(server, "a", ready="False")
    await budget(server, currentHealthy=0)
    assert (await evict(server, "a")).status == 429
    await server.patch(f"{BUDGETS}/b/status", {"status": {"desiredHealthy": 0}})
    assert (await evict(server, "a")).status == 429, "nothing has to be healthy: no exception"


async def test_always_allow_lets_pods_that_are_not_ready_go_and_no_others(server: Server) -> None:
    await running(server, "a", ready="False")
    await running(server, "c")
    await budget(server, currentHealthy=0)
    policy = {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}
    answer = await server.patch(f"{BUDGETS}/b", policy)
    generation = answer.body["metadata"]["generation"]
    await server.patch(f"{BUDGETS}/b/status", {"status": {"observedGeneration": generation}})
    assert (await evict(server, "c")).status == 429
    assert (await evict(server, "a")).status == 201
    status = (await server.get(f"{BUDGETS}/b")).body["status"]
    assert "disruptedPods" not in status, "it did not count against the budget"


async def test_pending_pods_go_without_budget(server: Server) -> None:
    await server.make(PODS, pod("a", metadata={"labels": {"app": "x"}}))
    await budget(server)
    assert (await evict(server, "a")).status == 201
    assert (await server.get(f"{PODS}/a")).status == 404


async def test_two_budgets_are_one_too_many(server: Server) -> None:
    await running(server, "a")
    await budget(server)
    await budget(server, "other")
    answer = await evict(server, "a")
    assert answer.status == 500
    assert "more than one PodDisruptionBudget" in answer.body["message"]


async def test_names_have_to_agree(server: Server) -> None:
    await running(server, "a")
    answer = await server.ask("POST", f"{PODS}/a/eviction", eviction("b"))
    assert answer.status == 400
    assert (await evict(server, "none")).status == 404
