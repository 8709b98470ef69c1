"""Limits of one plan."""

import pytest

from petset.api.meta import MutableObj
from petset.controllers.replicaset.plan import Observed, plan
from petset.reconcile.actions import Parallel

NOW = 1_700_000_000.0
SET = {"kind": "ReplicaSet", "name": "api", "uid": "u", "controller": True}


def replicaset(replicas: int) -> MutableObj:
    labels = {"app": "api"}
    template = {"metadata": {"labels": labels}, "spec": {}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "api", "namespace": "default", "uid": "u"}, "spec": spec}


def pod(number: int) -> MutableObj:
    name = f"api-{number}"
    metadata = {"name": name, "uid": name, "labels": {"app": "api"}, "ownerReferences": [SET]}
    return {"metadata": {**metadata, "namespace": "default"}, "status": {"phase": "Running"}}


@pytest.mark.parametrize(("there", "replicas"), [(0, 501), (0, 9999), (501, 0)])
def test_one_plan_makes_or_removes_five_hundred_pods_at_most(there: int, replicas: int) -> None:
    made = plan(Observed(replicaset(replicas), tuple(map(pod, range(there)))), NOW)
    (burst,) = made.actions
    assert isinstance(burst, Parallel)
    assert len(burst.actions) == 500
