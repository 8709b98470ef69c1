"""What cannot be applied, in upstream's words."""

from typing import Any

import pytest

from petset.api.errors import StatusError
from petset.api.patch import apply_check

POD = "io.k8s.api.core.v1.Pod"
DEPLOYMENT = "io.k8s.api.apps.v1.Deployment"


def pod(*containers: Any, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": list(containers), **more},
    }


HEAD = "failed to create typed patch object (n/p; /v1, Kind=Pod): "


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (pod({"name": "c", "bogus": 1}), '.spec.containers[name="c"].bogus: field not declared'),
        (pod(bogus={}), ".spec.bogus: field not declared in schema"),
        (pod(hostNetwork="yes"), ".spec.hostNetwork: expected boolean, got &{yes}"),
        (
            pod(terminationGracePeriodSeconds="1"),
            ".spec.terminationGracePeriodSeconds: expected numeric (int or float), got string",
        ),
        (
            pod({"name": 1}),
            ".spec.containers[name=1].name: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (pod(volumes={}), ".spec.volumes: expected list, got &{{}}"),
        (pod(nodeSelector=[]), ".spec.nodeSelector: expected map, got &{[]}"),
        (pod(securityContext="x"), ".spec.securityContext: expected map, got &{x}"),
        (
            pod({"name": "c"}, {"name": "c"}),
            '.spec.containers: duplicate entries for key [name="c"]',
        ),
        (
            pod({"image": "x"}),
            ".spec.containers: element 0: associative list with keys has an element that omits all "
            'key fields ["name"] (and doesn\'t have default values for any key fields)',
        ),
        (
            pod({"name": "c", "ports": [{"containerPort": 1}, {"containerPort": 1}]}),
            '.spec.containers[name="c"].ports: duplicate entries for key '
            '[containerPort=1,protocol="TCP"]',
        ),
        (
            pod(activeDeadlineSeconds=1.5),
            ".spec.activeDeadlineSeconds: json: cannot unmarshal",
        ),
    ],
)
def test_faults(config: dict[str, Any], words: str) -> None:
    with pytest.raises(StatusError) as caught:
        apply_check.check(config, POD)
    assert (caught.value.code, caught.value.reason) == (500, "")
    assert caught.value.message.startswith(HEAD + words), caught.value.message


def test_several_faults_are_listed() -> None:
    config = {"apiVersion": "apps/v1", "kind": "Deployment", "x": 1, "y": 2}
    with pytest.raises(StatusError) as caught:
        apply_check.check(config, DEPLOYMENT)
    assert caught.value.message == (
        "failed to create typed patch object (/; apps/v1, Kind=Deployment): errors:\n"
        "  .x: field not declared in schema\n"
        "  .y: field not declared in schema"
    )


@pytest.mark.parametrize(
    "config",
    [
        pod({"name": "c", "ports": None, "env": None}),
        pod(None) | {"spec": None},
        pod({"name": "c", "resources": {"limits": {"cpu": 1}}}),
        pod(imagePullSecrets=[{}]),
        {**pod(), "metadata": {"name": "p", "finalizers": ["a/b", "c/d"], "labels": {"a": "b"}}},
    ],
)
def test_what_fits_passes(config: dict[str, Any]) -> None:
    apply_check.check(config, POD)
