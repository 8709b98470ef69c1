"""The list of behaviours as a whole."""

import copy
from typing import Any

import pytest

from petset.api import names, registry
from petset.api.behaviours import BEHAVIOURS, behaviour


@pytest.mark.parametrize("resource_id", BEHAVIOURS)
def test_every_behaviour_is_of_a_resource_that_is_served(resource_id: str) -> None:
    assert registry.by_id(resource_id).id == resource_id


@pytest.mark.parametrize("resource_id", BEHAVIOURS)
def test_every_behaviour_bears_an_empty_object(resource_id: str) -> None:
    """Defaults, checks, fields and cells never fail, whatever is missing."""
    how = behaviour(resource_id)
    empties: list[dict[str, Any]] = [{}, {"metadata": {}, "spec": {}, "status": {}}]
    for empty in empties:
        obj = copy.deepcopy(empty)
        how.validate(obj)
        how.default(obj)
        again = copy.deepcopy(obj)
        how.default(again)
        assert again == obj
        how.prepare_create(obj)
        how.prepare_update(obj, copy.deepcopy(obj))
        how.validate_update(obj, copy.deepcopy(obj))
        how.validate_status(obj, copy.deepcopy(obj))
        how.warnings(obj)
        assert all(isinstance(read(obj), str) for read in how.fields.values())
        assert how.table is not None
        assert len(how.table.cells(obj, 0.0)) == len(how.table.columns)
        assert how.name_rule in names.RULES


def test_other_kinds_get_a_plain_one() -> None:
    plain = behaviour("widgets.example.com")
    assert plain.validate({}) == []
    assert plain.table is not None


def test_workloads_and_policies_count_the_changes_of_their_spec() -> None:
    """As upstream: what a controller observes by `status.observedGeneration` has a generation."""
    counted = {name for name in BEHAVIOURS if behaviour(name).generation}
    assert counted >= {
        "pods",
        "replicationcontrollers",
        "daemonsets.apps",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "cronjobs.batch",
        "jobs.batch",
        "ingresses.networking.k8s.io",
        "networkpolicies.networking.k8s.io",
        "poddisruptionbudgets.policy",
    }
    assert not counted & {
        "configmaps",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "services",
        "controllerrevisions.apps",
        "leases.coordination.k8s.io",
    }
