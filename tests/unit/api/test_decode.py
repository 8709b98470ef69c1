"""Decoding: parsing bodies, finding what does not fit a type, pruning."""

from typing import Any

import pytest

from petset.api import bodies, decode, prune
from petset.api.errors import StatusError

POD = "io.k8s.api.core.v1.Pod"
CRD = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
LEASE = "io.k8s.api.coordination.v1.Lease"


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}


def container(**fields: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "c", **fields}])


def faults(obj: dict[str, Any], type_name: str = POD) -> list[tuple[str, str]]:
    return decode.check(type_name, obj).errors


# -- bodies ---------------------------------------------------------------------------------------


def test_json_body_tells_duplicate_fields_with_their_paths() -> None:
    body = b'{"a":1,"b":{"c":1,"c":2,"d":[{},{"e":1,"e":1,"e":2}]},"a":2}'
    obj, twice = bodies.parse_body(body, duplicates=True)
    assert obj == {"a": 2, "b": {"c": 2, "d": [{}, {"e": 2}]}}
    assert twice == ["a", "b.c", "b.d[1].e"]
    assert bodies.parse_body(body)[1] == []


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"{", b"[]", b'"a"', b"null", b"{'a':1}", b'{"a":NaN}', b"\xff", b'{"a":1} x'],
)
def test_malformed_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        bodies.parse_body(body, duplicates=True)
    assert caught.value.code == 400
    assert "json parse error" in caught.value.message


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_endless_nesting_is_refused_not_followed(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    body = b'{"x":' + opening * 900 + b"1" + closing * 900 + b"}"
    with pytest.raises(StatusError) as caught:
        bodies.parse_body(body, duplicates=True)
    assert caught.value.code == 400
    shallow = b'{"x":' + opening * 200 + b"1" + closing * 200 + b"}"
    assert bodies.parse_body(shallow)[0]


def test_yaml_body_resolves_scalars_as_kubernetes_does() -> None:
    text = b"""
    octal: 0777
    hex: 0x10
    time: 2026-01-02
    stamp: 2026-01-02T03:04:05Z
    port: 1:30
    yes: on
    none: ~
    empty:
    float: 1e3
    quoted: "5"
    literal: |
      line
    list: [1, -2, .5, null, 'a']
    1: one
    true: t
    """
    assert bodies.parse_body(text, "application/yaml")[0] == {
        "octal": 511,
        "hex": 16,
        "time": "2026-01-02",
        "stamp": "2026-01-02T03:04:05Z",
        "port": "1:30",
        "true": "t",
        "none": None,
        "empty": None,
        "float": 1000.0,
        "quoted": "5",
        "literal": "line\n",
        "list": [1, -2, 0.5, None, "a"],
        "1": "one",
    }


def test_yaml_aliases_become_copies_and_merge_keys_merge() -> None:
    text = b"a: &x {b: [1]}\nc: *x\nd: {<<: *x, e: 2}\n"
    obj, _ = bodies.parse_body(text, "application/apply-patch+yaml")
    assert obj == {"a": {"b": [1]}, "c": {"b": [1]}, "d": {"b": [1], "e": 2}}
    assert obj["a"] is not obj["c"]
    assert obj["a"]["b"] is not obj["c"]["b"]


def test_yaml_body_tells_duplicate_fields() -> None:
    _, twice = bodies.parse_body(b"a: {b: 1, b: 2}\nc: [{d: 1, d: 1}]", "application/yaml")
    assert twice == ["a.b", "c[0].d"]


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n".encode()
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        b"a: [",
        b"a: *nope",
        b"a: &a [*a]",
        b"--- {a: 1}\n--- {b: 2}",
        b"[1]",
        b"{[a]: 1}",
        b"<<: 1",
        b"a: \x00",
        b"x: " + b"[" * 2000 + b"]" * 2000,
        BOMB,
        b"",
    ],
)
def test_malformed_yaml_is_a_bad_request(text: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        bodies.parse_body(text, "application/yaml")
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: [b\n", "line 1: did not find expected ',' or ']'"),
        (b"a:\n\tb: c", "line 2: found character that cannot start any token"),
        (b"a: b: c", "mapping values are not allowed in this context"),
        (b"a: 1\nb: c: d", "line 2: mapping values are not allowed in this context"),
    ],
)
def test_malformed_yaml_is_told_with_its_line(text: bytes, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        bodies.parse_body(text, "application/yaml")
    assert caught.value.message == f"error converting YAML to JSON: yaml: {words}"


# -- checking -------------------------------------------------------------------------------------


def test_unknown_fields_are_found_all_at_once_with_paths() -> None:
    obj = pod(
        foo=None,
        containers=[{"name": "c", "bar": 1}, {"ports": [{"containerPort": 1, "x": {"y": 1}}]}],
    )
    obj["nope"] = 1
    found = decode.check(POD, obj)
    assert found.unknown == [
        "spec.foo",
        "spec.containers[0].bar",
        "spec.containers[1].ports[0].x",
        "nope",
    ]
    assert found.errors == []


def test_null_counts_as_absent_everywhere() -> None:
    obj = pod(containers=None, nodeSelector={"a": None}, restartPolicy=None)
    obj["status"] = None
    assert decode.check(POD, obj) == decode.Findings()


@pytest.mark.parametrize(
    ("obj", "path", "text"),
    [
        (
            pod(restartPolicy=1),
            "spec.restartPolicy",
            "json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of "
            "type string",
        ),
        (
            pod(terminationGracePeriodSeconds=1.5),
            "spec.terminationGracePeriodSeconds",
            "json: cannot unmarshal number 1.5 into Go struct field "
            "PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            container(env=[{"name": "x", "value": 1}]),
            "spec.containers[0].env[0].value",
            "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value "
            "of type string",
        ),
        (
            container(ports=[{"containerPort": "80"}]),
            "spec.containers[0].ports[0].containerPort",
            "json: cannot unmarshal string into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            container(ports=[{"containerPort": 2**31}]),
            "spec.containers[0].ports[0].containerPort",
            "json: cannot unmarshal number 2147483648 into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            pod(containers={}),
            "spec.containers",
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type "
            "[]v1.Container",
        ),
        (
            pod(nodeSelector=[]),
            "spec.nodeSelector",
            "json: cannot unmarshal array into Go struct field PodSpec.spec.nodeSelector of type "
            "map[string]string",
        ),
        (
            pod(nodeSelector={"a": True}),
            "spec.nodeSelector.a",
            "json: cannot unmarshal bool into Go struct field PodSpec.spec.nodeSelector of type "
            "string",
        ),
        (
            pod(hostNetwork="true"),
            "spec.hostNetwork",
            "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type "
            "bool",
        ),
        (
            pod(securityContext="x"),
            "spec.securityContext",
            "json: cannot unmarshal string into Go struct field PodSpec.spec.securityContext of "
            "type v1.PodSecurityContext",
        ),
        (
            container(resources={"limits": {"cpu": "1core"}}),
            "spec.containers[0].resources.limits.cpu",
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            container(livenessProbe={"httpGet": {"port": True}}),
            "spec.containers[0].livenessProbe.httpGet.port",
            "json: cannot unmarshal bool into Go value of type int32",
        ),
    ],
)
def test_wrong_type_is_told_in_upstreams_words(obj: dict[str, Any], path: str, text: str) -> None:
    assert faults(obj) == [(path, text)]


def test_every_wrong_type_is_found() -> None:
    obj = pod(hostNetwork=1, containers=[{"name": 1}, {"image": []}, 5])
    assert [path for path, _ in faults(obj)] == [
        "spec.hostNetwork",
        "spec.containers[0].name",
        "spec.containers[1].image",
        "spec.containers[2]",
    ]


@pytest.mark.parametrize(
    ("time", "good"),
    [
        ("2026-11-20T05:02:52Z", True),
        ("2026-11-20T05:02:52.123456Z", True),
        ("2026-11-20T05:02:52+01:00", True),
        ("2026-11-20T05:02:52", False),
        ("2026-02-30T05:02:52Z", False),
        ("2026-13-01T05:02:52Z", False),
        ("2026-11-20T25:02:52Z", False),
        ("2026-11-20", False),
        ("", False),
        (5, False),
    ],
)
def test_times_must_be_real_times(time: object, good: bool) -> None:
    obj = {"metadata": {"creationTimestamp": time}, "spec": {"renewTime": time}}
    assert len(faults(obj, LEASE)) == (0 if good else 2)


@pytest.mark.parametrize(
    ("data", "good"), [("aGk=", True), ("aG\nk=", True), ("", True), ("a", False), (5, False)]
)
def test_bytes_must_be_base64(data: object, good: bool) -> None:
    found = faults({"data": {"a": data}}, "io.k8s.api.core.v1.Secret")
    assert bool(found) is not good


def test_scalars_that_are_two_kinds_at_once() -> None:
    probe = {"httpGet": {"port": "http"}}
    limits = {"cpu": 1, "memory": 0.5}
    assert faults(container(livenessProbe=probe, resources={"limits": limits})) == []
    assert faults(container(livenessProbe={"httpGet": {"port": 80}})) == []


def test_free_form_places_take_anything_and_types_may_be_circular() -> None:
    deep = {"type": "object", "properties": {"a": {"properties": {"b": {"type": 5, "nope": 1}}}}}
    obj = {"spec": {"versions": [{"schema": {"openAPIV3Schema": {**deep, "default": [1, {}]}}}]}}
    found = decode.check(CRD, obj)
    path = "spec.versions[0].schema.openAPIV3Schema.properties.a.properties.b"
    assert found.unknown == [f"{path}.nope"]
    assert [p for p, _ in found.errors] == [f"{path}.type"]


def test_unknown_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        decode.check("io.k8s.api.core.v1.Nope", {})


def test_errors_read_as_upstream_words_them() -> None:
    found = decode.check(POD, pod(hostNetwork=1, x=1))
    error = decode.type_error("Pod", "v1", found)
    assert error.code == 400
    assert error.message == (
        'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go '
        "struct field PodSpec.spec.hostNetwork of type bool"
    )
    strict = decode.strict_error("Pod", "v1", ["spec.x", "spec.x"], ["spec.y"])
    assert strict.message == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
        'unknown field "spec.x", duplicate field "spec.y"'
    )


# -- pruning --------------------------------------------------------------------------------------


def test_prune_drops_unknown_fields_and_nulls_and_canonicalises() -> None:
    obj = container(
        bar=1, args=None, resources={"limits": {"cpu": "1000m", "memory": 1024}}, command=["a"]
    )
    obj["metadata"] |= {"creationTimestamp": "2026-11-20T05:02:52.9+01:00", "labels": {"a": None}}
    obj["nope"] = {}
    assert prune.prune(POD, obj) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "a",
            "creationTimestamp": "2026-11-20T04:02:52Z",
            "labels": {"a": ""},
        },
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "resources": {"limits": {"cpu": "1", "memory": "1024"}},
                    "command": ["a"],
                }
            ]
        },
    }


def test_pruned_copy_shares_nothing_that_can_change() -> None:
    obj = container(command=["a"], env=[{"name": "x"}])
    obj["metadata"]["managedFields"] = [{"fieldsV1": {"f:a": {}}}]
    pruned = prune.prune(POD, obj)
    assert pruned == obj
    pruned["metadata"]["managedFields"][0]["fieldsV1"]["f:a"]["x"] = 1
    pruned["spec"]["containers"][0]["command"].append("b")
    pruned["spec"]["containers"][0]["env"][0]["value"] = "y"
    assert obj["spec"]["containers"] == [{"name": "c", "command": ["a"], "env": [{"name": "x"}]}]
    assert obj["metadata"]["managedFields"] == [{"fieldsV1": {"f:a": {}}}]


def test_nulls_in_lists_become_empty_values() -> None:
    assert prune.prune(POD, pod(containers=[None]))["spec"] == {"containers": [{}]}
    assert prune.prune(POD, container(args=[None]))["spec"]["containers"][0]["args"] == [""]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("2026-11-20T05:02:52Z", "2026-11-20T05:02:52.000000Z"),
        ("2026-11-20T05:02:52.123456789Z", "2026-11-20T05:02:52.123456Z"),
        ("2026-11-20T05:02:52.5-01:00", "2026-11-20T06:02:52.500000Z"),
    ],
)
def test_micro_times_keep_six_decimals(given: str, canonical: str) -> None:
    assert prune.prune(LEASE, {"spec": {"renewTime": given}})["spec"]["renewTime"] == canonical


def test_zeros_and_empty_lists_and_maps_go_where_they_say_nothing() -> None:
    obj = pod(
        hostNetwork=False,
        nodeSelector={},
        priorityClassName="",
        tolerations=[],
        volumes=[{"name": "v", "emptyDir": {}, "hostPath": None}],
        containers=[{"name": "c", "env": [], "tty": False, "resources": {"limits": {}}}],
    )
    obj["metadata"] |= {"labels": {}, "annotations": {"kept": ""}}
    pruned = prune.prune(POD, obj)
    assert pruned["metadata"] == {"name": "a", "annotations": {"kept": ""}}
    assert pruned["spec"] == {
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{"name": "c", "resources": {}}],
    }


def test_zeros_stay_where_they_differ_from_nothing() -> None:
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": 0},
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "c", "readinessProbe": {"httpGet": {"port": 0}}}],
        "affinity": {"podAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "", "labelSelector": {}}],
    }
    assert prune.prune(POD, pod(**spec))["spec"] == spec


def test_what_is_empty_can_be_kept() -> None:
    obj = container(env=[], stdin=False, args=None, resources={"limits": {"cpu": "1000m"}})
    kept = prune.prune(POD, obj, empty=True)["spec"]["containers"]
    assert kept == [{"name": "c", "env": [], "stdin": False, "resources": {"limits": {"cpu": "1"}}}]
