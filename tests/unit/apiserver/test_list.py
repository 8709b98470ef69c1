"""Lists: selectors, pages at one revision, versions, forms of answer."""

import gzip

import orjson
import pytest

from petset.store.drivers.memory import MemoryDriver
from petset.store.log import Log
from petset.store.worker import Inline
from tests.unit.apiserver.harness import (
    MAPS,
    PODS,
    SETS,
    HandClock,
    Server,
    configmap,
    pod,
    serving,
    statefulset,
)

TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,"
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


async def fill(server: Server, count: int) -> None:
    for number in range(count):
        await server.make(MAPS, configmap(f"m{number}", labels={"n": str(number % 2)}))


def names(body: object) -> list[str]:
    assert isinstance(body, dict)
    return [item["metadata"]["name"] for item in body["items"]]


async def test_an_empty_list_has_items(server: Server) -> None:
    body = (await server.get(MAPS)).body
    assert (body["kind"], body["items"]) == ("ConfigMapList", [])
    assert int(body["metadata"]["resourceVersion"]) == server.store.revision


async def test_selectors(server: Server) -> None:
    await fill(server, 4)
    assert names((await server.get(f"{MAPS}?labelSelector=n=1")).body) == ["m1", "m3"]
    assert names((await server.get(f"{MAPS}?labelSelector=n!=1")).body) == ["m0", "m2"]
    assert names((await server.get(f"{MAPS}?fieldSelector=metadata.name=m2")).body) == ["m2"]
    assert names((await server.get(f"{MAPS}?fieldSelector=metadata.name!=m2")).body) == [
        "m0",
        "m1",
        "m3",
    ]
    both = f"{MAPS}?fieldSelector=metadata.name=m2&labelSelector=n=1"
    assert names((await server.get(both)).body) == []
    everywhere = "/api/v1/configmaps?fieldSelector=metadata.namespace=default,metadata.name=m1"
    assert names((await server.get(everywhere)).body) == ["m1"]


async def test_pods_by_node_and_phase(server: Server) -> None:
    for name in ("a", "b"):
        await server.make(PODS, pod(name, spec={"nodeName": f"node-{name}"}))
    path = "/api/v1/pods?fieldSelector=spec.nodeName=node-a,status.phase!=Failed"
    assert names((await server.get(path)).body) == ["a"]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("labelSelector=a=b=c", 400, "found '='"),
        ("fieldSelector=spec.foo=1", 400, "spec.foo"),
        ("fieldSelector=nonsense", 400, "invalid selector"),
        ("limit=x", 400, "invalid syntax"),
        ("continue=!!", 400, "continue key is not valid"),
        ("resourceVersion=abc", 400, "resourceVersion"),
        ("resourceVersionMatch=Exact", 422, "is forbidden unless resourceVersion is provided"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "is forbidden for resourceVersion"),
        ("resourceVersion=1&resourceVersionMatch=Odd", 422, "supported values"),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
    ],
)
async def test_bad_options(server: Server, query: str, code: int, words: str) -> None:
    pairs = [tuple(part.split("=", 1)) for part in query.split("&")]
    answer = await server.get(MAPS, query=pairs)
    assert answer.status == code
    assert words in answer.body["message"]


async def test_pages_show_one_moment(server: Server) -> None:
    await fill(server, 5)
    first = (await server.get(f"{MAPS}?limit=2")).body
    assert names(first) == ["m0", "m1"]
    assert first["metadata"]["remainingItemCount"] == 3
    await server.ask("DELETE", f"{MAPS}/m3")
    await server.make(MAPS, configmap("m22"))
    await server.patch(f"{MAPS}/m4", {"data": {"a": "changed"}})
    token = first["metadata"]["continue"]
    second = (await server.get(f"{MAPS}?limit=2&continue={token}")).body
    assert names(second) == ["m2", "m3"]
    token = second["metadata"]["continue"]
    third = (await server.get(f"{MAPS}?limit=2&continue={token}")).body
    assert names(third) == ["m4"]
    assert third["items"][0]["data"] == {"a": "1"}
    assert "continue" not in third["metadata"]
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1


async def test_pages_with_selectors_count_matches(server: Server) -> None:
    await fill(server, 6)
    first = (await server.get(f"{MAPS}?limit=2&labelSelector=n=1")).body
    assert names(first) == ["m1", "m3"]
    assert "remainingItemCount" not in first["metadata"]
    token = first["metadata"]["continue"]
    rest = (await server.get(f"{MAPS}?limit=2&labelSelector=n=1&continue={token}")).body
    assert names(rest) == ["m5"]


async def test_a_token_belongs_to_its_list(server: Server) -> None:
    await fill(server, 3)
    token = (await server.get(f"{MAPS}?limit=1")).body["metadata"]["continue"]
    assert (await server.get(f"{PODS}?continue={token}")).status == 400
    both = await server.get(f"{MAPS}?continue={token}&resourceVersion=5")
    assert both.status == 400


async def test_exact_versions_are_the_past(server: Server) -> None:
    await fill(server, 2)
    then = server.store.revision
    await server.ask("DELETE", f"{MAPS}/m0")
    path = f"{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact"
    assert names((await server.get(path)).body) == ["m0", "m1"]
    newer = (await server.get(f"{MAPS}?resourceVersion={then}")).body
    assert names(newer) == ["m1"]


@pytest.mark.slow
async def test_versions_that_are_yet_to_come_time_out(server: Server) -> None:
    answer = await server.get(f"{MAPS}?resourceVersion=99999")
    assert answer.status == 504
    assert "Too large resource version: 99999" in answer.body["message"]
    assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert answer.header("Retry-After") == ["1"]


async def test_tables(server: Server) -> None:
    await fill(server, 3)
    body = (await server.get(f"{MAPS}?limit=2", accept=TABLE)).body
    assert (body["kind"], body["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [row["cells"][0] for row in body["rows"]] == ["m0", "m1"]
    assert body["metadata"]["continue"]
    assert body["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    whole = (await server.get(f"{MAPS}?includeObject=Object", accept=TABLE)).body
    assert whole["rows"][0]["object"]["kind"] == "ConfigMap"
    none = (await server.get(f"{MAPS}?includeObject=None", accept=TABLE)).body
    assert "object" not in none["rows"][0]
    assert (await server.get(f"{MAPS}?includeObject=Odd", accept=TABLE)).status == 400
    one = (await server.get(f"{MAPS}/m1", accept=TABLE)).body
    assert [row["cells"][0] for row in one["rows"]] == ["m1"]
    older = TABLE.replace("v=v1;", "v=v9;")
    assert (await server.get(MAPS, accept=older)).body["apiVersion"] == "meta.k8s.io/v1beta1"
    missing = await server.get(f"{MAPS}/none", accept=TABLE)
    assert missing.body["kind"] == "Status"


async def test_partial_metadata(server: Server) -> None:
    await fill(server, 1)
    body = (await server.get(MAPS, accept=PARTIAL)).body
    assert body["kind"] == "PartialObjectMetadataList"
    assert "data" not in body["items"][0]
    single = PARTIAL.replace("MetadataList", "Metadata")
    assert (await server.get(f"{MAPS}/m0", accept=single)).body["kind"] == "PartialObjectMetadata"
    assert (await server.get(MAPS, accept=single)).status == 406


async def test_yaml_and_indented_answers(server: Server) -> None:
    await fill(server, 1)
    yaml = await server.get(f"{MAPS}/m0", accept="application/yaml")
    assert yaml.header("Content-Type") == ["application/yaml"]
    assert yaml.raw.startswith(b"kind: ConfigMap\napiVersion: v1\n")
    assert b'\n  "kind"' in (await server.get(f"{MAPS}/m0?pretty=true")).raw
    assert b'\n  "kind"' in (await server.get(f"{MAPS}/m0", user_agent="curl/8")).raw
    refused = await server.get(f"{MAPS}/m0", accept="application/cbor")
    assert refused.status == 406
    both = "application/cbor,application/json"
    assert (await server.get(f"{MAPS}/m0", accept=both)).status == 200


async def test_large_answers_are_compressed_when_wanted(server: Server) -> None:
    await server.make(MAPS, configmap("big", {"k": "x" * 200_000}))
    packed = await server.get(MAPS, accept_encoding="gzip")
    assert packed.header("Content-Encoding") == ["gzip"]
    assert orjson.loads(gzip.decompress(packed.raw))["kind"] == "ConfigMapList"
    assert (await server.get(MAPS)).header("Content-Encoding") == []


async def test_stored_bytes_are_sent_as_they_are(server: Server) -> None:
    await fill(server, 1)
    item = server.store.get("configmaps/default/m0")
    assert item is not None
    assert (await server.get(f"{MAPS}/m0")).raw == item.value
    assert item.value in (await server.get(MAPS)).raw


async def test_an_expired_page_says_how_to_go_on() -> None:

    store = Log(MemoryDriver(), Inline(), HandClock(), history_bytes_max=3000)
    async with serving(store) as server:
        await fill(server, 4)
        first = (await server.get(f"{MAPS}?limit=2")).body
        for number in range(20):
            await server.patch(f"{MAPS}/m0", {"data": {"a": str(number)}})
        token = first["metadata"]["continue"]
        gone = await server.get(f"{MAPS}?limit=2&continue={token}")
        assert (gone.status, gone.body["reason"]) == (410, "Expired")
        fresh = gone.body["metadata"]["continue"]
        rest = (await server.get(f"{MAPS}?limit=2&continue={fresh}")).body
        assert names(rest) == ["m2", "m3"]
        old = first["metadata"]["resourceVersion"]
        exact = f"{MAPS}?resourceVersion={old}&resourceVersionMatch=Exact"
        assert (await server.get(exact)).status == 410
        async with server.watching(f"{MAPS}?resourceVersion={old}") as ear:
            (event,) = await ear.until(1)
            assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
            assert "too old resource version" in event["object"]["message"]


async def test_a_scale_has_columns_of_its_own(server: Server) -> None:
    await server.make(SETS, statefulset(replicas=2))
    shown = (await server.get(f"{SETS}/web/scale", accept=TABLE)).body
    columns = [column["name"] for column in shown["columnDefinitions"]]
    assert columns == ["Name", "Desired", "Available", "Age"]
    assert shown["rows"][0]["cells"] == ["web", 2, 0, "0s"]
