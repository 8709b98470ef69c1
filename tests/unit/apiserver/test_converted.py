"""Versions that are stored in another form: every form of answer shows the version asked for."""

from typing import Any

import pytest

from petset.api import protobuf
from tests.unit.apiserver.harness import Answer, Server

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
SCALERS = "namespaces/default/horizontalpodautoscalers"
MEMORY = {
    "type": "Resource",
    "resource": {
        "name": "memory",
        "target": {"type": "Utilization", "averageUtilization": 70},
    },
}
SCALER = {
    "metadata": {"name": "h"},
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
        "maxReplicas": 3,
        "metrics": [MEMORY],
    },
}


def rows(table: Any) -> list[Any]:
    return [row["object"] for row in table["rows"]]


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_every_form_of_answer_is_of_the_version(server: Server, version: str) -> None:
    await server.make(f"/apis/autoscaling/v2/{SCALERS}", SCALER)
    path = f"/apis/autoscaling/{version}/{SCALERS}"
    one = (await server.get(f"{path}/h")).body
    assert one["apiVersion"] == f"autoscaling/{version}"
    whole = f"{path}?includeObject=Object"
    assert rows((await server.get(f"{path}/h?includeObject=Object", accept=TABLE)).body) == [one]
    assert rows((await server.get(whole, accept=TABLE)).body) == [one]
    async with server.watching(whole, accept=TABLE) as ear:
        [event] = await ear.until(1)
        assert rows(event["object"]) == [one]
    meta = one["metadata"]
    assert (await server.get(f"{path}/h", accept=PARTIAL)).body["metadata"] == meta
    listed = (await server.get(path, accept=PARTIAL_LIST)).body
    assert [item["metadata"] for item in listed["items"]] == [meta]
    async with server.watching(path, accept=PARTIAL) as ear:
        [event] = await ear.until(1)
        assert event["object"]["metadata"] == meta
    binary: Answer = await server.get(f"{path}/h", accept=protobuf.MEDIA)
    assert protobuf.decode(binary.raw)["metadata"]["name"] == "h"


async def test_cells_are_the_same_in_both_versions(server: Server) -> None:
    await server.make(f"/apis/autoscaling/v2/{SCALERS}", SCALER)
    told = [
        (await server.get(f"/apis/autoscaling/{v}/{SCALERS}", accept=TABLE)).body["rows"][0]
        for v in ("v1", "v2")
    ]
    assert told[0]["cells"] == told[1]["cells"]
