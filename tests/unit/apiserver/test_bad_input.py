"""What bad input is told: code, reason and words, with paths as upstream writes them."""

from typing import Any

import orjson
import pytest

from petset.base.http import PeerCertificate
from tests.unit.apiserver.harness import MAPS, PODS, SETS, Server, configmap, statefulset

JSON, YAML = "application/json", "application/yaml"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
DUPLICATES = b'{"metadata":{"name":"x","foo":1},"dat":{},"data":{"a":"b","a":"c"}}'
OUTSIDE: dict[str, Any] = {
    "identity": None,
    "peer": PeerCertificate("kubernetes-admin", ("system:masters",)),
}
"""Over TLS: what comes from inside the process is not searched for duplicate fields."""
STRICT = 'unknown field "metadata.foo", unknown field "dat", duplicate field "data.a"'


def container(**more: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "image": "i", **more}]}}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (PODS, b'{"kind": ', "couldn't get version/kind; json parse error: "),
        (PODS, b"[]", "couldn't get version/kind; json parse error: json: cannot unmarshal array"),
        (
            SETS,
            {"metadata": {"name": "x"}, "spec": {"replicas": "three"}},
            'StatefulSet in version "v1" cannot be handled as a StatefulSet: json: cannot '
            "unmarshal string into Go struct field StatefulSetSpec.spec.replicas of type int32",
        ),
        (
            SETS,
            {"metadata": {"name": "x", "labels": ["a"]}},
            'StatefulSet in version "v1" cannot be handled as a StatefulSet: json: cannot '
            "unmarshal array into Go struct field ObjectMeta.metadata.labels of type map",
        ),
        (
            PODS,
            {"metadata": {"name": "x"}, **container(resources={"limits": {"cpu": "lots"}})},
            'Pod in version "v1" cannot be handled as a Pod: quantities must match the regular '
            "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            PODS,
            {"kind": "Spaceship", "apiVersion": "v1", "metadata": {"name": "x"}},
            'Spaceship in version "v1" cannot be handled as a Pod',
        ),
        (
            PODS,
            {"kind": "Pod", "apiVersion": "v2", "metadata": {"name": "x"}},
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            MAPS,
            {"metadata": {"name": "x", "namespace": "other"}},
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            f"{MAPS}?fieldValidation=Strict",
            DUPLICATES,
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
            + STRICT,
        ),
    ],
)
async def test_undecodable_bodies_are_bad_requests(
    server: Server, path: str, body: Any, words: str
) -> None:
    answer = await server.ask("POST", path, body, content_type=JSON, **OUTSIDE)
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")
    assert answer.body["message"].startswith(words)


async def test_malformed_yaml_names_its_line(server: Server) -> None:
    answer = await server.ask("POST", MAPS, b"a: 1\nb: [c\n", content_type=YAML)
    assert answer.status == 400
    words = "error converting YAML to JSON: yaml: line 1: did not find expected ',' or ']'"
    assert answer.body["message"] == words


async def test_unknown_fields_are_warned_about_or_ignored(server: Server) -> None:
    warned = await server.ask(
        "POST", f"{MAPS}?dryRun=All", DUPLICATES, content_type=JSON, **OUTSIDE
    )
    assert warned.status == 201
    assert warned.header("Warning") == [
        '299 - "unknown field \\"metadata.foo\\""',
        '299 - "unknown field \\"dat\\""',
        '299 - "duplicate field \\"data.a\\""',
    ]
    path = f"{MAPS}?dryRun=All&fieldValidation=Ignore"
    ignored = await server.ask("POST", path, DUPLICATES, content_type=JSON, **OUTSIDE)
    assert (ignored.status, ignored.header("Warning")) == (201, [])


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"selector": {"matchLabels": {"app": "other"}}},
            [
                "spec.template.metadata.labels: Invalid value: "
                '{"app":"web"}: `selector` does not match template `labels`'
            ],
        ),
        (
            {"selector": None},
            [
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: "
                '{"app":"web"}: `selector` does not match template `labels`',
            ],
        ),
        (
            {"replicas": -1},
            ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ],
)
async def test_faults_of_a_set_are_told_with_paths(
    server: Server, spec: Any, causes: list[str]
) -> None:
    bad = statefulset()
    bad["spec"] |= spec
    answer = await server.ask("POST", SETS, bad)
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    details = answer.body["details"]
    told = [f"{cause['field']}: {cause['message']}" for cause in details["causes"]]
    assert (details["group"], details["kind"], told) == ("apps", "StatefulSet", causes)
    shown = causes[0] if len(causes) == 1 else f"[{', '.join(causes)}]"
    assert answer.body["message"] == f'StatefulSet.apps "web" is invalid: {shown}'


async def test_immutable_fields_stay(server: Server) -> None:
    await server.make(SETS, statefulset())
    answer = await server.patch(f"{SETS}/web", {"spec": {"serviceName": "other"}})
    assert answer.status == 422
    cause = answer.body["details"]["causes"][0]
    assert (cause["reason"], cause["field"]) == ("FieldValueForbidden", "spec")
    assert cause["message"].startswith(
        "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals',"
    )
    await server.make(MAPS, {**configmap("fixed"), "immutable": True})
    answer = await server.patch(f"{MAPS}/fixed", {"data": {"k": "new"}})
    cause = answer.body["details"]["causes"][0]
    assert cause["message"] == "Forbidden: field is immutable when `immutable` is set"


@pytest.mark.parametrize("kind", [MERGE, STRATEGIC])
async def test_patch_to_a_wrong_type_names_the_patch(server: Server, kind: str) -> None:
    await server.make(SETS, statefulset())
    body = {"spec": {"replicas": "three"}}
    answer = await server.ask("PATCH", f"{SETS}/web", orjson.dumps(body), content_type=kind)
    assert answer.status == 422
    (cause,) = answer.body["details"]["causes"]
    assert cause["field"] == "patch"
    assert cause["message"].endswith(
        "cannot unmarshal string into Go struct field StatefulSetSpec.spec.replicas of type int32"
    )
