"""Typed commands of every kubectl at hand: JSON up to 1.31, protobuf from 1.32 on."""

from pathlib import Path
from typing import Any

import pytest

from tests.conformance.cluster import Kubectl, running
from tests.conformance.conftest import FOUND

CREATE = {
    "namespace foo": "namespace/foo",
    "configmap m --from-literal=a=b --from-literal=empty=": "configmap/m",
    "secret generic s --from-literal=a=b": "secret/s",
    "secret docker-registry d --docker-server=h --docker-username=u --docker-password=p": (
        "secret/d"
    ),
    "serviceaccount a": "serviceaccount/a",
    "service clusterip c --tcp=80:8080": "service/c",
    "service clusterip h --clusterip=None": "service/h",
    "service nodeport n --tcp=80:web": "service/n",
    "service loadbalancer l --tcp=80": "service/l",
    "service externalname e --external-name=example.com": "service/e",
    "deployment d --image=nginx --port=80 --replicas=0": "deployment.apps/d",
    "job j --image=busybox -- sh -c true": "job.batch/j",
    "cronjob j --image=busybox --schedule=@daily --restart=Never -- true": "cronjob.batch/j",
    "role r --verb=get,list --resource=pods,deployments.apps --resource-name=x": (
        "role.rbac.authorization.k8s.io/r"
    ),
    "rolebinding b --role=r --user=u --serviceaccount=default:a": (
        "rolebinding.rbac.authorization.k8s.io/b"
    ),
    "clusterrole r --verb=get --non-resource-url=/logs/*": (
        "clusterrole.rbac.authorization.k8s.io/r"
    ),
    "clusterrole agg --aggregation-rule=a=b": "clusterrole.rbac.authorization.k8s.io/agg",
    "clusterrolebinding b --clusterrole=r --group=g": (
        "clusterrolebinding.rbac.authorization.k8s.io/b"
    ),
    "pdb p --selector=app=x --min-available=1": "poddisruptionbudget.policy/p",
    "pdb percent --selector=app=x --max-unavailable=50%": "poddisruptionbudget.policy/percent",
    "quota q --hard=pods=2,requests.cpu=1500m --scopes=NotTerminating": "resourcequota/q",
    "priorityclass zero --value=0 --description=none": "priorityclass.scheduling.k8s.io/zero",
    "priorityclass minus --value=-5": "priorityclass.scheduling.k8s.io/minus",
    "ingress i --class=k --rule=foo.com/*=svc:80,tls=t --default-backend=svc:web": (
        "ingress.networking.k8s.io/i"
    ),
}
"""Words after `create` -> what is made. The names are those of the objects."""

OWN = ("uid", "resourceVersion", "creationTimestamp")
ASSIGNED = (
    *("clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"),
    *("controller-uid", "batch.kubernetes.io/controller-uid"),
)

NODE = '{"kind":"Node","apiVersion":"v1","metadata":{"name":"n1"}}'
BOUND = (
    '{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":'
    '{"nodeName":"n1","containers":[{"name":"c","image":"busybox"}]}}'
)


async def create_all(kubectl: Kubectl) -> None:
    for words, made in CREATE.items():
        result = await kubectl.run("create", *words.split())
        assert result.out.strip() == f"{made} created"


def told(value: Any) -> Any:
    """What clients said of an object: nothing that the server gives to each object anew."""
    if isinstance(value, dict):
        return {k: told(v) for k, v in value.items() if k not in (*OWN, *ASSIGNED)}
    return [told(v) for v in value] if isinstance(value, list) else value


async def test_create_and_delete(kubectl: Kubectl) -> None:
    await create_all(kubectl)
    named = [made for made in CREATE.values() if not made.startswith("namespace/")]
    deleted = await kubectl.run("delete", *named, "--wait=false")
    assert len(deleted.lines) == len(named)
    left = await kubectl.run("get", *named, "-o", "name", check=False)
    assert left.out == ""


async def test_autoscale_expose_and_run(kubectl: Kubectl) -> None:
    await kubectl.run("create", "deployment", "d", "--image=nginx")
    await kubectl.run("autoscale", "deploy/d", "--min=2", "--max=5", "--cpu-percent=50")
    found = (await kubectl.run("get", "hpa", "d", "-o", "json")).json
    assert found["apiVersion"] == "autoscaling/v2"
    assert (found["spec"]["minReplicas"], found["spec"]["maxReplicas"]) == (2, 5)
    assert found["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    await kubectl.run("expose", "deploy/d", "--port=80", "--target-port=web")
    await kubectl.run("run", "p", "--image=nginx", "--env=A=", "--labels=a=b")
    pod = (await kubectl.run("get", "pod", "p", "-o", "json")).json
    assert pod["metadata"]["labels"] == {"a": "b"}
    await kubectl.run("delete", "hpa,svc,deploy,pod", "--all", "--force", "--grace-period=0")


async def test_reviews(kubectl: Kubectl) -> None:
    assert (await kubectl.run("auth", "can-i", "delete", "pods/log")).out.strip() == "yes"
    assert "*.*" in (await kubectl.run("auth", "can-i", "--list")).out
    minor = int(kubectl.binary.name.rpartition(".")[2]) if "." in kubectl.binary.name else 0
    if minor >= 28:  # stable since then
        assert "kubernetes-admin" in (await kubectl.run("auth", "whoami")).out


async def test_drain_without_eviction_deletes_with_options(kubectl: Kubectl) -> None:
    await kubectl.run("create", "-f", "-", stdin=NODE)
    await kubectl.run("create", "-f", "-", stdin=BOUND)
    drained = await kubectl.run(
        "drain", "n1", "--disable-eviction", "--force", "--grace-period=0", "--timeout=20s"
    )
    assert "node/n1 drained" in drained.out
    gone = await kubectl.run("get", "pod", "p", check=False)
    assert 'pods "p" not found' in gone.err


async def test_faults_are_answered_as_for_json(kubectl: Kubectl) -> None:
    bad = await kubectl.run("create", "ns", "Foo", check=False)
    assert bad.code == 1
    assert 'Namespace "Foo" is invalid: metadata.name: Invalid value: "Foo"' in bad.err
    twice = await kubectl.run("create", "ns", "default", check=False)
    assert twice.err.strip() == (
        'Error from server (AlreadyExists): namespaces "default" already exists'
    )


async def objects_made(home: Path, binary: Path) -> list[Any]:
    home.mkdir()
    async with running(home) as cluster:
        kubectl = cluster.kubectl(binary)
        await create_all(kubectl)
        return [
            told((await kubectl.run("get", made, "-o", "json")).json) for made in CREATE.values()
        ]


@pytest.mark.timeout(240)  # some hundred runs of kubectl
async def test_json_and_protobuf_leave_the_same_objects(tmp_path: Path) -> None:
    by_minor = {path.name.rpartition(".")[2]: path for path in FOUND}
    if not {"31", "32"} <= by_minor.keys():
        pytest.skip("needs kubectl 1.31, which sends JSON, and 1.32")
    in_json = await objects_made(tmp_path / "json", by_minor["31"])
    assert await objects_made(tmp_path / "protobuf", by_minor["32"]) == in_json
