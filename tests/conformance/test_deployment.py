"""Real kubectl rolls deployments out and back, in a cluster of fake nodes in real time."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from petset.apiserver.app import refusal
from petset.base.edge import serve
from petset.base.tlsconfig import server_context
from petset.testing.fakepod import Script
from petset.testing.world import World
from tests.conformance.cluster import Authority, Cluster, Kubectl
from tests.conformance.conftest import PARAMS
from tests.conformance.manifests import DEPLOYMENT

DONE = 'deployment "api" successfully rolled out'


@dataclass(frozen=True)
class Live:
    world: World
    cluster: Cluster


@asynccontextmanager
async def living(home: Path) -> AsyncIterator[Live]:
    """A world of two nodes whose server listens."""
    authority = Authority(home)
    context = server_context(*authority.issue("petset"), authority.ca)
    async with World(nodes=2) as world:
        edge = await serve(world.app.dispatch, ssl=context, on_refuse=refusal)
        try:
            url = f"https://127.0.0.1:{edge.port}"
            cluster = Cluster(world.app, url, home / "config", home, authority)
            admin = authority.issue("kubernetes-admin", "system:masters")
            cluster.write_config(cluster.config, *admin)
            yield Live(world, cluster)
        finally:
            await edge.close(grace_s=0.5)


@pytest_asyncio.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with living(tmp_path) as made:
        yield made


@pytest.fixture
def one(live: Live, newest_binary: Path) -> Kubectl:
    """One kubectl, of the version that most tests run with."""
    return live.cluster.kubectl(newest_binary)


@pytest.fixture(params=PARAMS, ids=lambda p: p.name if p else "none")
def each(request: pytest.FixtureRequest, live: Live) -> Kubectl:
    """Every kubectl at hand, one after the other."""
    if request.param is None:
        pytest.skip("no kubectl on PATH")
    return live.cluster.kubectl(request.param)


async def rolled_out(kubectl: Kubectl) -> None:
    done = await kubectl.run("rollout", "status", "deploy/api", "--timeout=20s")
    assert done.out.splitlines()[-1] == DONE


async def image_of(kubectl: Kubectl, what: str = "deploy/api") -> str:
    path = "jsonpath={..spec.template.spec.containers[0].image}"
    return (await kubectl.run("get", what, "-o", path)).out


async def test_apply_roll_out_undo_scale_delete(each: Kubectl) -> None:
    await each.run("apply", "-f", "-", stdin=DEPLOYMENT)
    await rolled_out(each)
    listed = await each.run("get", "deploy")
    assert listed.lines[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert listed.lines[1][:4] == ["api", "2/2", "2", "2"]
    sets = await each.run("get", "rs")
    assert sets.lines[0] == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert sets.lines[1][1:4] == ["2", "2", "2"]
    name = sets.lines[1][0]
    pods = (await each.run("get", "pods", "-o", "name")).out.split()
    assert len(pods) == 2
    assert all(re.fullmatch(rf"pod/{name}-[a-z0-9]{{5}}", pod) for pod in pods)
    await each.run("set", "image", "deploy/api", "c=nginx:2")
    await rolled_out(each)
    assert await image_of(each) == "nginx:2"
    history = await each.run("rollout", "history", "deploy/api")
    assert [line[0] for line in history.lines[2:4]] == ["1", "2"]
    undone = await each.run("rollout", "undo", "deploy/api")
    assert undone.out.strip() == "deployment.apps/api rolled back"
    await rolled_out(each)
    assert await image_of(each) == "nginx:1"
    history = await each.run("rollout", "history", "deploy/api")
    assert [line[0] for line in history.lines[2:4]] == ["2", "3"]
    await each.run("scale", "deploy/api", "--replicas=4")
    await rolled_out(each)
    assert len((await each.run("get", "pods", "-o", "name")).out.split()) == 4
    await each.run("delete", "deploy", "api", "--cascade=foreground", "--timeout=20s")
    left = await each.run("get", "rs,pods")
    assert "No resources found" in left.err


async def test_history_tells_causes_and_undo_goes_to_a_number(one: Kubectl) -> None:
    await one.run("create", "-f", "-", stdin=DEPLOYMENT)
    for number in (2, 3):
        await one.run("set", "image", "deploy/api", f"c=nginx:{number}")
        await one.run("annotate", "deploy/api", f"kubernetes.io/change-cause=to {number}")
        await rolled_out(one)
    history = await one.run("rollout", "history", "deploy/api")
    assert history.lines[2:5] == [["1", "<none>"], ["2", "to", "2"], ["3", "to", "3"]]
    second = await one.run("rollout", "history", "deploy/api", "--revision=2")
    assert "nginx:2" in second.out
    await one.run("rollout", "undo", "deploy/api", "--to-revision=1")
    await rolled_out(one)
    assert await image_of(one) == "nginx:1"
    absent = await one.run("rollout", "undo", "deploy/api", "--to-revision=1", check=False)
    assert "unable to find specified revision 1 in history" in absent.err


async def test_pause_gathers_changes_and_resume_rolls_them_out_once(one: Kubectl) -> None:
    await one.run("create", "-f", "-", stdin=DEPLOYMENT)
    await one.run("set", "image", "deploy/api", "c=nginx:0")
    await rolled_out(one)
    await one.run("rollout", "pause", "deploy/api")
    await one.run("set", "image", "deploy/api", "c=nginx:2")
    await one.run("set", "env", "deploy/api", "A=1")
    paused = "--for=jsonpath={.status.conditions[?(@.type=='Progressing')].reason}"
    await one.run("wait", f"{paused}=DeploymentPaused", "deploy/api", "--timeout=20s")
    refused = await one.run("rollout", "undo", "deploy/api", check=False)
    assert "cannot rollback a paused deployment" in refused.err
    assert len((await one.run("get", "rs", "-o", "name")).out.split()) == 2
    await one.run("rollout", "resume", "deploy/api")
    await rolled_out(one)
    assert len((await one.run("get", "rs", "-o", "name")).out.split()) == 3


async def test_restart_replaces_every_pod(one: Kubectl) -> None:
    await one.run("create", "-f", "-", stdin=DEPLOYMENT)
    await rolled_out(one)
    before = (await one.run("get", "pods", "-o", "name")).out.split()
    await one.run("rollout", "restart", "deploy/api")
    await rolled_out(one)
    gone = [f"--for=delete {pod}".split() for pod in before]
    for words in gone:
        await one.run("wait", *words, "--timeout=20s")
    after = (await one.run("get", "pods", "-o", "name")).out.split()
    assert len(after) == 2
    assert not set(after) & set(before)


async def test_a_roll_out_that_does_not_come_on_fails_in_words(live: Live, one: Kubectl) -> None:
    await one.run("create", "-f", "-", stdin=DEPLOYMENT)
    await rolled_out(one)
    live.world.script("*", Script(ready_s=None))
    await one.run(
        "patch", "deploy", "api", "--type=merge", "-p", '{"spec":{"progressDeadlineSeconds":1}}'
    )
    await one.run("set", "image", "deploy/api", "c=broken")
    failed = await one.run("rollout", "status", "deploy/api", "--timeout=20s", check=False)
    assert failed.code == 1
    assert failed.err.strip() == 'error: deployment "api" exceeded its progress deadline'
    assert 'Waiting for deployment "api" rollout to finish: 1 out of 2 new replicas' in failed.out
    listed = await one.run("get", "deploy", "api")
    assert listed.lines[1][:4] == ["api", "2/2", "1", "2"]
    described = await one.run("describe", "deploy", "api")
    assert re.search(r"Progressing +False +ProgressDeadlineExceeded", described.out)
    assert re.search(r"OldReplicaSets: +api-\w+ \(2/2 replicas created\)", described.out)
    assert re.search(r"NewReplicaSet: +api-\w+ \(1/1 replicas created\)", described.out)
    assert re.search(
        r"ScalingReplicaSet .* Scaled up replica set api-\w+ from 0 to 1", described.out
    )
    live.world.script("*", Script())
    await one.run("rollout", "undo", "deploy/api")
    await rolled_out(one)


async def test_an_exposed_deployment_has_the_addresses_of_its_pods(one: Kubectl) -> None:
    await one.run("create", "deployment", "api", "--image=nginx", "--replicas=2", "--port=80")
    await one.run("expose", "deploy", "api", "--port=8080", "--target-port=80")
    await rolled_out(one)
    await one.run("wait", "--for=condition=Available", "deploy/api", "--timeout=20s")
    pods = await one.run("get", "pods", "-o", "jsonpath={.items[*].status.podIP}")
    ready = "--for=jsonpath={.subsets[0].addresses[1].ip}"
    await one.run("wait", ready, "endpoints/api", "--timeout=20s")
    known = await one.run("get", "endpoints", "api", "-o", "jsonpath={..addresses[*].ip}")
    assert sorted(known.out.split()) == sorted(pods.out.split())
    ports = await one.run("get", "endpoints", "api", "-o", "jsonpath={..ports[*].port}")
    assert ports.out == "80"


async def test_an_orphaned_set_runs_on_and_scales_by_itself(one: Kubectl) -> None:
    await one.run("create", "-f", "-", stdin=DEPLOYMENT)
    await rolled_out(one)
    await one.run("delete", "deploy", "api", "--cascade=orphan", "--timeout=20s")
    (name,) = (await one.run("get", "rs", "-o", "name")).out.split()
    await one.run("scale", name, "--replicas=3")
    await one.run("wait", "--for=jsonpath={.status.readyReplicas}=3", name, "--timeout=20s")
    described = await one.run("describe", name)
    assert re.search(r"Replicas: +3 current / 3 desired", described.out)
    assert re.search(r"SuccessfulCreate .* Created pod: api-", described.out)
    await one.run("delete", name, "--timeout=20s")


async def test_a_manifest_that_does_not_fit_is_refused_in_words(one: Kubectl) -> None:
    await one.run("create", "-f", "-", stdin=DEPLOYMENT)
    other = DEPLOYMENT.replace("{app: api}", "{app: other}")
    selector = await one.run("apply", "-f", "-", stdin=other, check=False)
    assert "spec.selector: Invalid value" in selector.err
    assert "field is immutable" in selector.err
    late = '{"spec":{"minReadySeconds":600}}'
    deadline = await one.run("patch", "deploy", "api", "-p", late, check=False)
    assert "spec.progressDeadlineSeconds: Invalid value: 600" in deadline.err
    assert "must be greater than minReadySeconds" in deadline.err
    kind = '{"spec":{"strategy":{"type":"Recreate"}}}'
    recreate = await one.run("patch", "deploy", "api", "--type=merge", "-p", kind, check=False)
    assert "spec.strategy.rollingUpdate: Forbidden" in recreate.err
    retained = '{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}'
    await one.run("patch", "deploy", "api", "-p", retained)
    await rolled_out(one)
