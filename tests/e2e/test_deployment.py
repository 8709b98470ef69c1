"""Deployments on real containers: the tutorial, the how-to, and what only real containers show."""

from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Cluster, eventually
from tests.e2e.tutorial import Player, steps

TEXTS = (
    ROOT / "examples" / "02-deployment" / "README.md",
    ROOT / "docs" / "howto" / "roll-out-a-deployment.md",
)
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: nginx
        image: nginx
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: visitor, labels: {app: visitor}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: busybox, command: [sleep, "3600"]}
"""


def give_up_after(cluster: Cluster, seconds: int) -> None:
    """Set how long a roll-out may make no progress."""
    change = f'{{"spec":{{"progressDeadlineSeconds":{seconds}}}}}'
    cluster.kubectl("patch", "deploy/web", "-p", change)


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.parent.name))
def test_what_is_written_is_what_happens(cluster: Cluster, text: Path) -> None:
    player = Player(cluster)
    told = list(steps(text))
    assert told
    for step in told:
        player.play(step)


def test_an_image_that_is_not_there_stops_a_roll_out_which_is_then_undone(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    cluster.kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/visitor", "--timeout=60s")
    before = set(cluster.ready("web"))
    give_up_after(cluster, 5)
    cluster.kubectl("set", "image", "deploy/web", "nginx=nginx:broken")
    failed = cluster.kubectl("rollout", "status", "deploy/web", "--timeout=60s", check=False)
    assert "exceeded its progress deadline" in failed
    kept = set(cluster.ready("web"))
    assert kept < before, "one of four may be missing, and no new pod has come up"
    assert len(kept) == 3
    page = cluster.kubectl("exec", "visitor", "--", "wget", "-qO-", "http://web/")
    assert "nginx" in page
    give_up_after(cluster, 600)
    cluster.kubectl("rollout", "undo", "deploy/web")
    cluster.kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    eventually(lambda: len(cluster.pods("web")) == 4, "the pods without image gone")
    assert kept < set(cluster.ready("web")), "pods that worked were left alone"
    cluster.kubectl("delete", "deploy/web", "svc/web", "pod/visitor")
    eventually(lambda: not cluster.pods("web"), "no pod left")
