"""From values to the sets of their fields."""

from typing import Any

from petset.api.patch import managed_fields as typed
from petset.api.patch.fieldset import LEAF

POD = typed.of_type("io.k8s.api.core.v1.Pod")
SERVICE = typed.of_type("io.k8s.api.core.v1.Service")
REVISION = typed.of_type("io.k8s.api.apps.v1.ControllerRevision")


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": spec}


def spec(fields: Any) -> Any:
    return None if fields is None else fields.get("f:spec")


def test_applied_lists_have_their_elements_and_atoms_are_one() -> None:
    value = pod(
        containers=[{"name": "c", "args": ["a"], "ports": [{"containerPort": 80}], "env": []}],
        tolerations=[{"key": "x"}],
        nodeSelector={"a": "b"},
        securityContext={},
        volumes=[],
    )
    assert spec(typed.applied(POD, value)) == {
        "f:containers": {
            'k:{"name":"c"}': {
                ".": LEAF,
                "f:name": LEAF,
                "f:args": LEAF,
                "f:ports": {
                    'k:{"containerPort":80,"protocol":"TCP"}': {".": LEAF, "f:containerPort": LEAF}
                },
            }
        },
        "f:tolerations": LEAF,
        "f:nodeSelector": LEAF,
        "f:securityContext": LEAF,
    }


def test_applied_sets_and_maps() -> None:
    value = {"metadata": {"finalizers": ["a/b"], "labels": {"x": "y"}, "annotations": {}}}
    assert typed.applied(POD, value) == {
        "f:metadata": {
            "f:finalizers": {'v:"a/b"': LEAF},
            "f:labels": {"f:x": LEAF},
            "f:annotations": LEAF,
        }
    }
    assert typed.applied(POD, {"metadata": {"finalizers": []}}) is None


def test_added_containers_count_themselves() -> None:
    value = {"metadata": {"labels": {"x": "y"}}, **pod(containers=[{"name": "c"}])}
    assert typed.created(POD, value) == {
        "f:metadata": {"f:labels": {".": LEAF, "f:x": LEAF}},
        "f:spec": {"f:containers": {'k:{"name":"c"}': {".": LEAF, "f:name": LEAF}}},
    }
    probe = {"livenessProbe": {"httpGet": {"port": 80}}, "resources": {"limits": {"cpu": "1"}}}
    item = POD.places["spec"][1].places["containers"][1].item
    assert typed.added(item, {"name": "c", **probe}) == {
        ".": LEAF,
        "f:name": LEAF,
        "f:livenessProbe": {".": LEAF, "f:httpGet": {".": LEAF, "f:port": LEAF}},
        "f:resources": {".": LEAF, "f:limits": {".": LEAF, "f:cpu": LEAF}},
    }


def test_raw_data_is_one_field() -> None:
    value = {"data": {"spec": {"a": 1}}, "revision": 1}
    assert typed.created(REVISION, value) == {"f:data": LEAF, "f:revision": LEAF}


def test_changed_tells_what_came_and_what_went() -> None:
    old = pod(
        containers=[{"name": "a", "image": "1"}, {"name": "b", "image": "1"}],
        nodeName="n",
        tolerations=[{"key": "x"}],
    )
    new = pod(
        containers=[{"name": "c", "image": "1"}, {"name": "a", "image": "2"}],
        hostNetwork=True,
        tolerations=[{"key": "y"}],
    )
    comes, goes = typed.changed(POD, old, new)
    assert spec(comes) == {
        "f:containers": {
            'k:{"name":"c"}': {".": LEAF, "f:name": LEAF, "f:image": LEAF},
            'k:{"name":"a"}': {"f:image": LEAF},
        },
        "f:hostNetwork": LEAF,
        "f:tolerations": LEAF,
    }
    assert spec(goes) == {
        "f:containers": {'k:{"name":"b"}': {".": LEAF, "f:name": LEAF, "f:image": LEAF}},
        "f:nodeName": LEAF,
    }


def test_the_order_of_a_list_is_no_field() -> None:
    first, second = {"name": "a"}, {"name": "b"}
    old, new = pod(containers=[first, second]), pod(containers=[second, first])
    assert typed.changed(POD, old, new) == (None, None)


def test_sets_change_by_their_members() -> None:
    old, new = ({"metadata": {"finalizers": f}} for f in (["a/a", "b/b"], ["b/b", "c/c"]))
    assert typed.changed(POD, old, new) == (
        {"f:metadata": {"f:finalizers": {'v:"c/c"': LEAF}}},
        {"f:metadata": {"f:finalizers": {'v:"a/a"': LEAF}}},
    )


def test_elements_there_twice_are_one_field() -> None:
    """Live objects may repeat an environment variable."""
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    old = pod(containers=[{"name": "c", "env": env}])
    new = pod(containers=[{"name": "c", "env": [env[0], {"name": "A", "value": "3"}]}])
    comes, goes = typed.changed(POD, old, new)
    inner = {'k:{"name":"c"}': {"f:env": {'k:{"name":"A"}': LEAF}}}
    assert (spec(comes), goes) == ({"f:containers": inner}, None)
    assert typed.changed(POD, old, old) == (None, None)


def test_named_marks_declared_fields_only() -> None:
    given: Any = {
        "f:metadata": {"f:labels": {"f:a": LEAF}},
        "f:spec": {"f:containers": {'k:{"name":"c"}': {"f:image": LEAF}}, "f:unknown": LEAF},
    }
    assert typed.named(POD, given) == {
        "f:metadata": {".": LEAF, "f:labels": {".": LEAF, "f:a": LEAF}},
        "f:spec": {
            ".": LEAF,
            "f:containers": {".": LEAF, 'k:{"name":"c"}': {"f:image": LEAF}},
            "f:unknown": LEAF,
        },
    }


def test_every_type_has_a_shape() -> None:
    """The table of types and the walkers agree on every list of a Service."""
    ports = SERVICE.places["spec"][1].places["ports"][1]
    assert ports.kind == typed.KEYED
    assert typed.element_name(ports, {"port": 80}) == 'k:{"port":80,"protocol":"TCP"}'
    assert typed.element_name(ports, {"port": 80, "protocol": "UDP"}).endswith('"UDP"}')
    pulls = POD.places["spec"][1].places["imagePullSecrets"][1]
    assert typed.element_name(pulls, {}) == 'k:{"name":""}'
    assert SERVICE.places["spec"][1].places["selector"][1].kind == typed.ATOM
