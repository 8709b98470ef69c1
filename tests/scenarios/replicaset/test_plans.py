"""Golden plans of the ReplicaSet controller: `cases/*.yaml` -> `cases/*.plan`.

A case is a list of short states, each planned on its own. `GOLDEN=1` rewrites the plans.

    - title: what the rule says
      set: fields of spec over the defaults below, and `deleting: true`
      status: fields of status
      pods: {a: n1 ready, b: pending}
      related: {z: n1 ready}          # pods of sibling sets

Words of pods: pending running unknown failed succeeded going ready, n1 n2 (node), orphan, foreign,
other-labels, more-labels, ready=S and age=S (seconds ago; both 1000 when nothing is said),
restarts=N, sidecar=N, cost=N. A pod's uid is `u-` and its name.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.replicaset.plan import Observed, plan
from petset.reconcile.actions import (
    FAILURE,
    NAME,
    Action,
    Create,
    Delete,
    Parallel,
    Patch,
    Plan,
    Reported,
)
from tests.property.world import flatten

NOW = 1_700_000_000.0
CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
LABELS = {"app": "api"}
SET = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": "api-1", "uid": "set-uid"}


def base_set() -> MutableObj:
    containers = [{"name": "c", "image": "nginx"}]
    metadata = {"name": "api-1", "namespace": "default", "uid": "set-uid", "generation": 2}
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": metadata,
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": {**LABELS, "tier": "front"}, "annotations": {"note": "x"}},
                "spec": {"containers": containers},
            },
        },
        "status": {"observedGeneration": 2},
    }


def pod(name: str, words: list[str]) -> MutableObj:
    values = dict(word.split("=") for word in words if "=" in word)
    labels = {**LABELS, "tier": "front"}
    if "other-labels" in words:
        labels["app"] = "other"
    if "more-labels" in words:
        del labels["tier"]
    metadata: MutableObj = {
        "name": name,
        "namespace": "default",
        "uid": f"u-{name}",
        "resourceVersion": "5",
        "creationTimestamp": meta.format_time(NOW - float(values.get("age", 1000))),
        "labels": labels,
        "ownerReferences": [{**SET, "controller": True, "blockOwnerDeletion": True}],
    }
    if "orphan" in words:
        del metadata["ownerReferences"]
    if "foreign" in words:
        metadata["ownerReferences"] = [{**SET, "uid": "other", "controller": True}]
    if "going" in words:
        metadata["deletionTimestamp"] = meta.format_time(NOW)
    if "cost" in values:
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": values["cost"]}
    sidecar = {"name": "side", "restartPolicy": "Always"}
    spec = {"nodeName": next((w for w in words if w in ("n1", "n2")), ""), "initContainers": []}
    return {
        "metadata": metadata,
        "spec": {**spec, "initContainers": [sidecar]},
        "status": pod_status(words, values),
    }


def pod_status(words: list[str], values: Mapping[str, str]) -> MutableObj:
    names = ("pending", "running", "unknown", "failed", "succeeded")
    phase = next((w for w in words if w in names), "running").capitalize()
    status: MutableObj = {
        "phase": phase,
        "containerStatuses": [{"name": "c", "restartCount": int(values.get("restarts", 0))}],
        "initContainerStatuses": [{"name": "side", "restartCount": int(values.get("sidecar", 0))}],
    }
    if "ready" in words or "ready" in values:
        since = meta.format_time(NOW - float(values.get("ready", 1000)))
        status["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": since}]
    return status


def pods(told: Mapping[str, str] | None) -> tuple[MutableObj, ...]:
    return tuple(pod(name, str(words).split()) for name, words in (told or {}).items())


def observed(case: Mapping[str, Any]) -> Observed:
    found = base_set()
    wanted = dict(case.get("set") or {})
    if wanted.pop("deleting", False):
        found["metadata"]["deletionTimestamp"] = meta.format_time(NOW)
    found["spec"] |= wanted
    found["status"] |= case.get("status") or {}
    own = pods(case.get("pods"))
    related = (*own, *pods(case.get("related")))
    return Observed(found, own, related, may_adopt=case.get("may_adopt", True))


def show(made: Plan) -> Iterator[str]:
    """A plan as text."""
    for action in made.actions:
        yield from show_action(action, "  ")
    if isinstance(made.status, Patch):
        yield f"  status {fields(made.status)}"
    if isinstance(made.status_if_failed, Patch):
        yield f"  if failed {fields(made.status_if_failed)}"
    if made.requeue_after_s is not None:
        yield f"  look again after {made.requeue_after_s:g} s"
    if not made.actions and made.status is None and made.requeue_after_s is None:
        yield "  nothing"


def show_action(action: Action, indent: str) -> Iterator[str]:
    match action:
        case Parallel(actions):
            yield f"{indent}parallel"
            for one in actions:
                yield from show_action(one, indent + "  ")
        case Reported(write, success, failure, _):
            yield from show_action(write, indent)
            for event in (success, failure):
                if event is not None:
                    message = event.message.replace(NAME, "<name>")
                    yield f"{indent}  {event.kind} {event.reason}: {message}".rstrip()
        case Create(resource, obj):
            metadata = {k: v for k, v in obj["metadata"].items() if k != "ownerReferences"}
            (owner,) = obj["metadata"]["ownerReferences"]
            yield f"{indent}create {resource} {metadata} owner={owner['kind']}/{owner['uid']}"
        case Delete(resource, _, name, uid):
            yield f"{indent}delete {resource} {name} uid={uid}"
        case Patch(resource, _, name, patch):
            owners = [o["uid"] for o in patch["metadata"]["ownerReferences"] or ()]
            yield f"{indent}patch {resource} {name} owners={','.join(owners) or 'none'}"
        case _:
            raise AssertionError(f"not an action of this controller: {action}")


def fields(patch: Patch) -> str:
    status = patch.patch["status"]
    return " ".join(f"{k}={v}" for k, v in status.items()).replace(repr(FAILURE), "<failure>")


def names_of_deleted(made: Plan) -> Iterator[str]:
    """Who goes, in order; all that the cases of victims are about."""
    for action in flatten(made.actions):
        if isinstance(action, Delete):
            yield f"  {action.name}"


def render(path: Path) -> str:
    text = ""
    for case in yaml.safe_load(path.read_text()):
        seen = observed(case)
        made = plan(seen, NOW)
        assert made == plan(seen, NOW)
        lines = names_of_deleted(made) if path.stem == "victims" else show(made)
        text += f"{case['title']}\n" + "".join(f"{line}\n" for line in lines) + "\n"
    return text


@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.stem))
def test_plans_are_the_golden_ones(path: Path) -> None:
    golden = path.with_suffix(".plan")
    text = render(path)
    if os.environ.get("GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_golden_plan_has_its_case() -> None:
    stems = {path.stem for path in CASES}
    assert stems
    assert {p.stem for p in (Path(__file__).parent / "cases").glob("*.plan")} == stems
