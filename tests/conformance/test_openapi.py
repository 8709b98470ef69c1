"""kubectl reads OpenAPI v2: explains from it, checks lists with it."""

import asyncio
import json
import re

import pytest
import yaml

from tests.conformance.cluster import Kubectl
from tests.conformance.manifests import MAP, WEB

RECURSIVE = "customresourcedefinitions"
"""Holds schemas that hold schemas: each form has another way to stop."""
OLDER = "--output=plaintext-openapiv2"
AT_ONCE = 4


def fields(text: str) -> list[str]:
    """The names of all fields, in order; what holds other fields has other types in each form."""
    return re.findall(r"^\s+(\S+)\s*<\S+>", text, re.M)


async def test_every_kubectl_explains_from_the_older_document(kubectl: Kubectl) -> None:
    told = (await kubectl.run("explain", OLDER, "pod.spec")).out
    assert re.search(r"^RESOURCE: spec <Object>$", told, re.M)
    assert "containers" in fields(told)
    assert "List of containers belonging to the pod." in " ".join(told.split())


@pytest.mark.slow
@pytest.mark.timeout(240)  # some two hundred runs of kubectl
async def test_both_documents_explain_every_resource_alike(newest: Kubectl) -> None:
    lines = (await newest.run("api-resources", "--no-headers", "--verbs=get")).lines
    found = {line[0]: line[-3] for line in lines if line[0] != RECURSIVE}
    assert len(found) > 50
    turn = asyncio.Semaphore(AT_ONCE)

    async def explain(*words: str) -> str:
        async with turn:
            return (await newest.run("explain", "--recursive", *words)).out

    async def compare(resource: str, version: str) -> None:
        words = (resource, f"--api-version={version}")
        newer, older = await explain(*words), await explain(*words, OLDER)
        assert fields(newer), resource
        assert fields(older) == fields(newer), resource

    async with asyncio.TaskGroup() as tasks:
        for resource, version in found.items():
            tasks.create_task(compare(resource, version))


async def test_lists_are_checked_before_anything_is_sent(kubectl: Kubectl) -> None:
    items = [*yaml.safe_load_all(MAP), *yaml.safe_load_all(WEB)]
    good = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    await kubectl.run("apply", "-f", "-", stdin=good)
    assert (await kubectl.run("apply", "-f", "-", stdin=good)).out.count("unchanged") >= 1
    bad = good.replace('"serviceName"', '"serviceNam"')
    refused = await kubectl.run("apply", "-f", "-", stdin=bad, check=False)
    assert refused.code == 1
    assert 'unknown field "serviceNam" in io.k8s.api.apps.v1.StatefulSetSpec' in refused.err
