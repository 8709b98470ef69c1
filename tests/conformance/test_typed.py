"""Commands that newer kubectls send as protobuf."""

import pytest

from tests.conformance.cluster import Kubectl


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("create ns foo", "namespace/foo created"),
        ("create configmap m --from-literal=a=b", "configmap/m created"),
        ("create secret generic s --from-literal=a=b", "secret/s created"),
        ("create deployment d --image=nginx --replicas=2", "deployment.apps/d created"),
        ("create serviceaccount a", "serviceaccount/a created"),
        ("create service clusterip c --tcp=80:8080", "service/c created"),
        ("create service nodeport n --tcp=80", "service/n created"),
        ("create service externalname e --external-name=example.com", "service/e created"),
        ("create role r --verb=get --resource=pods", "role.rbac.authorization.k8s.io/r created"),
        (
            "create rolebinding b --role=r --user=u",
            "rolebinding.rbac.authorization.k8s.io/b created",
        ),
        (
            "create clusterrole r --verb=get,list --resource=nodes",
            "clusterrole.rbac.authorization.k8s.io/r created",
        ),
        (
            "create pdb p --selector=app=x --min-available=1",
            "poddisruptionbudget.policy/p created",
        ),
        ("create quota q --hard=pods=2", "resourcequota/q created"),
        (
            "create priorityclass pc --value=1000",
            "priorityclass.scheduling.k8s.io/pc created",
        ),
        ("create job j --image=busybox -- true", "job.batch/j created"),
        ("create cronjob j --image=busybox --schedule=@daily -- true", "cronjob.batch/j created"),
        (
            "create ingress i --rule=foo.com/*=svc:80",
            "ingress.networking.k8s.io/i created",
        ),
        ("run p --image=nginx", "pod/p created"),
        ("auth can-i get pods", "yes"),
    ],
)
async def test_typed_commands(newest: Kubectl, words: str, said: str) -> None:
    result = await newest.run(*words.split())
    assert result.out.strip() == said


async def test_values_arrive_whole(newest: Kubectl) -> None:
    await newest.run("create", "deployment", "d", "--image=nginx", "--port=80", "--replicas=0")
    found = (await newest.run("get", "deploy", "d", "-o", "json")).json["spec"]
    assert found["replicas"] == 0
    assert found["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 80
    assert found["strategy"]["rollingUpdate"]["maxSurge"] == "25%"
    await newest.run("create", "secret", "generic", "s", "--from-literal=a=b")
    secret = (await newest.run("get", "secret", "s", "-o", "json")).json
    assert secret["data"] == {"a": "Yg=="}
    await newest.run("create", "service", "clusterip", "c", "--tcp=80:8080")
    service = (await newest.run("get", "svc", "c", "-o", "json")).json["spec"]
    assert service["ports"][0]["targetPort"] == 8080


async def test_typed_errors_are_the_same(newest: Kubectl) -> None:
    await newest.run("create", "ns", "foo")
    twice = await newest.run("create", "ns", "foo", check=False)
    assert twice.err.strip() == 'Error from server (AlreadyExists): namespaces "foo" already exists'
    whoami = await newest.run("auth", "whoami")
    assert "kubernetes-admin" in whoami.out
    listed = await newest.run("auth", "can-i", "--list")
    assert "*.*" in listed.out


async def test_autoscale_and_expose(newest: Kubectl) -> None:
    await newest.run("create", "deployment", "d", "--image=nginx")
    await newest.run("autoscale", "deploy/d", "--max=5", "--cpu-percent=50")
    found = await newest.run("get", "hpa", "d")
    assert found.lines[1][:2] == ["d", "Deployment/d"]
    path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/d"
    old = (await newest.run("get", "--raw", path)).json
    assert old["apiVersion"] == "autoscaling/v1"
    assert old["spec"]["targetCPUUtilizationPercentage"] == 50
    exposed = await newest.run("expose", "deploy/d", "--port=80")
    assert exposed.out.strip() == "service/d exposed"


async def test_token_is_refused_by_name(newest: Kubectl) -> None:
    await newest.run("create", "serviceaccount", "a")
    refused = await newest.run("create", "token", "a", check=False)
    assert refused.code == 1
    assert "petset does not support serviceaccounts/token yet" in refused.err
