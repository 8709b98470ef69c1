"""Rules at the API, in process: which requests they hit, what is answered, how watches break."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from random import Random
from typing import Any

import orjson
import pytest

from petset.api.errors import StatusError
from petset.apiserver.app import App
from petset.base.http import Identity, Request, Response
from petset.base.ids import Ids
from petset.base.loopclock import LoopClock
from petset.client.client import WatchEvent
from petset.client.transport import TransportError
from petset.store.drivers.memory import MemoryStore
from petset.testing.apifaults import ApiFaults
from petset.testing.clock import run_virtual
from petset.testing.world import World

MAPS = "configmaps"
ME = Identity("me", ("system:masters", "system:authenticated"))


class Box:
    """A server behind rules, and its client."""

    def __init__(self, app: App, store: MemoryStore) -> None:
        self.store = store
        self.faults = ApiFaults(app.dispatch, lambda: store.revision, Random(1))
        self.client = self.faults.client_for(ME)

    async def make(self, name: str) -> Any:
        obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}}
        return await self.client.create(MAPS, obj, "default")

    async def names(self) -> list[str]:
        return [o["metadata"]["name"] for o in (await self.client.list(MAPS, "default")).items]

    async def answer(self, method: str, path: str, **headers: str) -> Response:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        reply = await self.faults.dispatch(Request(method, path, headers=named, identity=ME))
        assert isinstance(reply, Response)
        return reply


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    clock = LoopClock()
    store = MemoryStore(clock)
    app = App(store, clock, Ids(1))
    await app.start()
    yield Box(app, store)
    await app.close()
    await store.close()


PATH = "/api/v1/namespaces/default/configmaps/a"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "Forbidden"),
        (404, "NotFound"),
        (409, "Conflict"),
        (410, "Expired"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (504, "Timeout"),
        (422, "Invalid"),
    ],
)
async def test_errors_have_the_shape_of_kubernetes(box: Box, status: int, reason: str) -> None:
    box.faults.add(verb="update", resource=MAPS, status=status, retry_after=7)
    reply = await box.answer("PUT", PATH)
    assert isinstance(reply.body, bytes)
    body = orjson.loads(reply.body)
    assert reply.status == body["code"] == status
    assert (body["kind"], body["status"], body["reason"]) == ("Status", "Failure", reason)
    assert body["details"]["retryAfterSeconds"] == 7
    assert ("Retry-After", "7") in list(reply.headers)


async def test_a_conflict_is_told_in_the_words_of_its_verb(box: Box) -> None:
    box.faults.add(resource=MAPS, status=409)
    with pytest.raises(StatusError, match='configmaps "" already exists'):
        await box.make("a")
    with pytest.raises(StatusError, match='cannot be fulfilled on configmaps "a": the object has'):
        await box.client.patch(MAPS, "a", {}, "default")


async def test_after_and_times_count_matching_requests(box: Box) -> None:
    rule = box.faults.add(verb="create", resource=MAPS, status=500, after=1, times=2)
    outcome = []
    for name in "abcd":
        await box.names()
        try:
            await box.make(name)
            outcome.append("made")
        except StatusError as error:
            outcome.append(error.reason)
    assert outcome == ["made", "InternalError", "InternalError", "made"]
    assert rule.hits == 2


async def test_rules_are_told_apart_by_user_agent_user_name_and_subresource(box: Box) -> None:
    box.faults.add(resource="*", user_agent="kopf/*", status=503)
    box.faults.add(resource="*", user="somebody", status=504)
    box.faults.add(resource="pods/status", status=500)
    box.faults.add(resource=MAPS, name="b*", namespace="default", status=410)
    assert (await box.answer("GET", PATH, user_agent="kopf/1.45")).status == 503
    assert (await box.answer("GET", PATH, user_agent="curl")).status == 404
    assert (await box.answer("GET", PATH, impersonate_user="somebody")).status == 504
    assert (await box.answer("GET", PATH[:-1] + "b1")).status == 410
    pod = "/api/v1/namespaces/default/pods/p"
    assert (await box.answer("GET", pod)).status == 404
    assert (await box.answer("GET", f"{pod}/status")).status == 500


async def test_paths_that_are_no_resources_are_hit_by_their_own_pattern_only(box: Box) -> None:
    box.faults.add(resource="*", status=500)
    assert (await box.answer("GET", "/version")).status == 200
    box.faults.add(resource="/apis*", status=503)
    assert (await box.answer("GET", "/apis")).status == 503


async def test_a_rule_ends_with_its_block_and_when_removed(box: Box) -> None:
    with box.faults.during(resource=MAPS, status=500), pytest.raises(StatusError):
        await box.names()
    rule = box.faults.add(resource=MAPS, status=500)
    box.faults.remove(rule)
    box.faults.add(resource=MAPS, status=500)
    box.faults.clear()
    assert await box.names() == []


async def test_a_lost_answer_is_a_write_that_happened(box: Box) -> None:
    box.faults.add(verb="create", resource=MAPS, cut="answer", times=1)
    with pytest.raises(TransportError):
        await box.make("a")
    assert await box.names() == ["a"]


async def test_a_cut_before_the_server_is_a_write_that_did_not_happen(box: Box) -> None:
    box.faults.add(verb="create", resource=MAPS, cut="before", times=1)
    with pytest.raises(TransportError):
        await box.make("a")
    assert await box.names() == []


async def test_a_stale_list_is_as_things_stood_with_its_version(box: Box) -> None:
    await box.make("a")
    rule = box.faults.add(verb="list", resource=MAPS, stale=True, times=1)
    await box.make("b")
    stale = await box.client.list(MAPS, "default")
    assert [o["metadata"]["name"] for o in stale.items] == ["a"]
    assert stale.resource_version == str(rule.revision)
    assert await box.names() == ["a", "b"]


async def events_of(box: Box, **more: Any) -> tuple[list[WatchEvent], BaseException | None]:
    seen: list[WatchEvent] = []
    try:
        async with aclosing(box.client.watch(MAPS, "default", **more)) as watch:
            async for event in watch:
                seen.append(event)  # noqa: PERF401 (what came before an error counts)
    except (StatusError, TransportError) as error:
        return seen, error
    return seen, None


def names(events: list[WatchEvent]) -> list[str]:
    return [e.obj["metadata"]["name"] for e in events]


async def test_a_watch_ends_cleanly_after_so_many_events(box: Box) -> None:
    for name in "abc":
        await box.make(name)
    box.faults.add(verb="watch", resource=MAPS, cut="end", events=2)
    seen, error = await events_of(box)
    assert (names(seen), error) == (["a", "b"], None)


async def test_a_watch_breaks_in_the_middle_of_an_event(box: Box) -> None:
    for name in "abc":
        await box.make(name)
    box.faults.add(verb="watch", resource=MAPS, cut="reset", events=1)
    seen, error = await events_of(box)
    assert names(seen) == ["a"]
    assert isinstance(error, TransportError)


async def test_an_error_event_tells_that_the_history_is_gone(box: Box) -> None:
    await box.make("a")
    box.faults.add(verb="watch", resource=MAPS, status=410, events=1)
    seen, error = await events_of(box)
    assert names(seen) == ["a"]
    assert isinstance(error, StatusError)
    assert (error.code, error.reason) == (410, "Expired")


async def test_a_watch_can_be_refused_from_the_start(box: Box) -> None:
    box.faults.add(verb="watch", resource=MAPS, status=429, retry_after=1)
    seen, error = await events_of(box)
    assert not seen
    assert isinstance(error, StatusError)
    assert error.details == {"retryAfterSeconds": 1}


async def test_a_slow_watch_loses_nothing(box: Box) -> None:
    for name in "abc":
        await box.make(name)
    box.faults.add(verb="watch", resource=MAPS, delay_s=0.001)
    seen: list[str] = []
    async with aclosing(box.client.watch(MAPS, "default", bookmarks=False)) as watch:
        async for event in watch:
            seen.append(event.obj["metadata"]["name"])
            if len(seen) == 3:
                break
    assert seen == ["a", "b", "c"]


def test_a_world_of_virtual_time_has_them_for_clients_that_are_to_be_hit() -> None:
    async def story() -> float:
        async with World(nodes=1) as world:
            faults = ApiFaults.of(world)
            slow = faults.add(verb="get", resource="nodes", delay_s=3600.0, status=504)
            began = asyncio.get_running_loop().time()
            with pytest.raises(StatusError, match="Timeout"):
                await faults.client_for(ME).get("nodes", "n1")
            assert slow.hits == 1
            await world.client.get("nodes", "n1")
            return asyncio.get_running_loop().time() - began

    assert run_virtual(story()) == pytest.approx(3600, abs=1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"resource": "configmap", "status": 500}, "no resource 'configmap'"),
        ({"resource": "pods/statuz", "status": 500}, "no subresource 'statuz'"),
        ({"verb": "put", "status": 500}, "no verb put"),
        ({"resource": MAPS}, "does nothing"),
        ({"status": 200}, "no status of a failure"),
        ({"status": 500, "cut": "answer"}, "not both"),
        ({"stale": True}, "only lists"),
        ({"cut": "end"}, "verb='watch'"),
    ],
)
async def test_rules_that_could_not_strike_are_refused(box: Box, fields: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        box.faults.add(**fields)
