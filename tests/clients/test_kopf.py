"""A `kopf` operator on built-in kinds: handlers, diffs, finalizers, timers, events, hard times."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import kopf
import pytest

from petset.testing.cluster import Cluster
from tests.clients.manifests import NS, config_map, service, stateful_set

FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"
LAST = "kopf.zalando.org/last-handled-configuration"
on: Any = cast(Any, kopf).on
MINE = {"tier": "a"}


class Operator:
    """Handlers, and what they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Any]] = []
        self.beats = 0
        self.fail = 0
        self.registry = kopf.OperatorRegistry()
        self.settings = kopf.OperatorSettings()
        self.settings.posting.default_backoffs = [0.01]
        self.settings.networking.error_backoffs = [0.01, 0.01, 0.01]
        self._add_handlers()

    def _add_handlers(self) -> None:
        more = {"registry": self.registry}
        on.login(**more)(cast(Any, kopf).login_with_kubeconfig)
        on.create("configmaps", labels=MINE, **more)(self.created)
        on.update("configmaps", labels=MINE, field="data", **more)(self.updated)
        on.delete("configmaps", labels=MINE, **more)(self.deleted)
        on.field("statefulsets", field="status.readyReplicas", **more)(self.counted)
        cast(Any, kopf).timer("statefulsets", interval=0.02, **more)(self.beat)

    async def created(self, name: str, body: Any, **_: Any) -> None:
        if self.fail:
            self.fail -= 1
            raise kopf.TemporaryError("not yet", delay=0.01)
        kopf.event(body, type="Normal", reason="Seen", message=f"{name} was seen")
        self.told.append(("created", name, None))

    async def updated(self, name: str, diff: Any, **_: Any) -> None:
        self.told.append(("updated", name, [(op, field) for op, field, _, _ in diff]))

    async def deleted(self, name: str, **_: Any) -> None:
        self.told.append(("deleted", name, None))

    async def counted(self, name: str, new: Any, **_: Any) -> None:
        self.told.append(("ready", name, new))

    async def beat(self, patch: Any, **_: Any) -> None:
        self.beats += 1
        patch.metadata.annotations["beats"] = str(min(self.beats, 3))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop, ready = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(
            kopf.operator(
                registry=self.registry,
                settings=self.settings,
                standalone=True,
                namespaces=[NS],
                stop_flag=stop,
                ready_flag=ready,
            )
        )
        try:
            await ready.wait()
            yield
        finally:
            stop.set()
            await task


@pytest.fixture
async def cluster(petset_async_cluster: Cluster, petset_kubeconfig: Path) -> AsyncIterator[Cluster]:
    yield petset_async_cluster
    # The operator closes its connections, but does not wait until they are.
    await petset_async_cluster.wait_for(lambda: petset_async_cluster.connections() == 0)
    await asyncio.sleep(0)


def told(operator: Operator, what: str) -> list[Any]:
    return [(name, more) for kind, name, more in operator.told if kind == what]


def meta_of(cluster: Cluster, name: str) -> Any:
    found = cluster.get("configmaps", name)
    return None if found is None else found["metadata"]


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the operator logged that is not as it should be."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("kopf", "asyncio", "petset")) and record.levelno > logging.INFO
    ]


async def test_handlers_follow_the_life_of_an_object(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    operator = Operator()
    async with operator.running():
        await cluster.apply(config_map("one", {"a": "1"}, tier="a"))
        await cluster.apply(config_map("other", {"a": "1"}))
        await cluster.wait_for(lambda: LAST in meta_of(cluster, "one").get("annotations", {}))
        assert meta_of(cluster, "one")["finalizers"] == [FINALIZER]
        change = {"data": {"a": "2", "b": "1"}}
        await cluster.client.patch("configmaps", "one", change, NS)
        await cluster.wait_for(lambda: told(operator, "updated"))
        await cluster.client.delete("configmaps", "one", NS)
        await cluster.wait_for(lambda: meta_of(cluster, "one") is None)
        await cluster.wait_for(lambda: events(cluster) == [("one", "Seen")])
        assert complaints(caplog) == []
    assert told(operator, "created") == [("one", None)]
    ((name, diff),) = told(operator, "updated")
    assert (name, sorted(diff)) == ("one", [("add", ("b",)), ("change", ("a",))])
    assert told(operator, "deleted") == [("one", None)]
    assert "finalizers" not in meta_of(cluster, "other")


def events(cluster: Cluster) -> list[tuple[str, str]]:
    """Object and reason of what the operator has posted."""
    return [
        (event["involvedObject"]["name"], event["reason"])
        for event in cluster.objects("events", NS)
        if event["source"].get("component") == "kopf"
    ]


async def test_timers_and_fields_of_a_stateful_set(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    operator = Operator()
    async with operator.running():
        await cluster.apply(service())
        await cluster.apply(stateful_set())
        await cluster.wait_for(lambda: ("web", 2) in told(operator, "ready"))
        await cluster.wait_for(lambda: operator.beats >= 3)
        await cluster.wait_for(lambda: cluster.ready("statefulsets.apps", "web"))
        await cluster.wait_for(lambda: annotation(cluster, "beats") == "3")
        await cluster.client.delete("statefulsets.apps", "web", NS)
        await cluster.wait_for(lambda: cluster.get("statefulsets.apps", "web") is None)
        assert complaints(caplog) == []


def annotation(cluster: Cluster, name: str) -> Any:
    found = cluster.get("statefulsets.apps", "web") or {"metadata": {}}
    return found["metadata"].get("annotations", {}).get(name)


async def test_an_operator_that_was_away_catches_up(cluster: Cluster) -> None:
    first = Operator()
    async with first.running():
        await cluster.apply(config_map("one", {"a": "1"}, tier="a"))
        await cluster.wait_for(lambda: LAST in meta_of(cluster, "one").get("annotations", {}))
    await cluster.client.patch("configmaps", "one", {"data": {"a": "2"}}, NS)
    await cluster.apply(config_map("two", {"a": "1"}, tier="a"))
    second = Operator()
    async with second.running():
        await cluster.wait_for(lambda: {kind for kind, _, _ in second.told} >= {"created"})
        await cluster.wait_for(lambda: told(second, "updated"))
    assert told(second, "created") == [("two", None)]
    assert told(second, "updated") == [("one", [("change", ("a",))])]


async def test_the_operator_lives_through_errors_and_cut_watches(cluster: Cluster) -> None:
    operator = Operator()
    operator.fail = 2
    rules = [
        cluster.faults.add(verb="patch", resource="configmaps", status=500, times=2),
        cluster.faults.add(verb="watch", resource="configmaps", cut="end", events=1, times=3),
        cluster.faults.add(verb="watch", resource="configmaps", status=410, events=0, times=1),
        cluster.faults.add(verb="create", resource="events", status=503, times=1),
    ]
    async with operator.running():
        for name in ("a", "b", "c"):
            await cluster.apply(config_map(name, tier="a"))
        await cluster.wait_for(lambda: len(told(operator, "created")) == 3)
        for name in ("a", "b", "c"):
            await cluster.client.delete("configmaps", name, NS)
        await cluster.wait_for(lambda: not any(meta_of(cluster, name) for name in "abc"))
    assert sorted(told(operator, "created")) == [("a", None), ("b", None), ("c", None)]
    assert [rule.hits for rule in rules] == [2, 3, 1, 1]
