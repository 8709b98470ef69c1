"""Golden plans of the Deployment controller: `cases/*.yaml` -> `cases/*.plan`.

A case is a list of short states, each planned on its own. `GOLDEN=1` rewrites the plans.

    - title: what the rule says
      image: b                       # of the deployment's template; "b" when nothing is said
      set: fields of spec over the defaults below, and `deleting: true`
      status: fields of status; `progressing: reason status age` adds that condition
      annotations: of the deployment
      sets: {a: 3 available=3 rev=1, b: 1 rev=2}
      pods: {a: running going, b: failed}   # one pod of each set

A set is named after its image. Words of sets: its size; available=N ready=N replicas=N (each the
one before when nothing is said, the first 0), rev=N, history=..., desired=N max=N (3 and 4 when
nothing is said, 0: absent), age=S, generation=N observed=N, orphan, foreign, lost (labels no longer
match), going, failing, like=IMAGE (another image than its name says).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from petset.api import meta
from petset.api.meta import MutableObj
from petset.controllers.deployment import sets
from petset.controllers.deployment.plan import Observed, plan
from petset.reconcile.actions import FAILURE, Action, Create, Delete, Patch, Plan, Reported

NOW = 1_700_000_000.0
CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
PREFIX = "deployment.kubernetes.io/"
OWNER = {"kind": "Deployment", "apiVersion": "apps/v1", "name": "api", "uid": "uid"}
OWNED = {**OWNER, "controller": True, "blockOwnerDeletion": True}


def ago(seconds: float) -> str:
    return meta.format_time(NOW - seconds)


def template(image: str) -> MutableObj:
    containers = [{"name": "c", "image": image}]
    return {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": containers}}


def deployment(case: Mapping[str, Any]) -> MutableObj:
    metadata: MutableObj = {"name": "api", "namespace": "default", "uid": "uid", "generation": 2}
    metadata["annotations"] = {f"{PREFIX}revision": "2", **(case.get("annotations") or {})}
    wanted = dict(case.get("set") or {})
    if wanted.pop("deleting", False):
        metadata["deletionTimestamp"] = ago(0)
    status = {"observedGeneration": 2, **(case.get("status") or {})}
    conditions = [condition("Available True MinimumReplicasAvailable 1000")]
    if told := status.pop("progressing", None):
        conditions.append(condition(f"Progressing {told}"))
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": metadata,
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "api"}},
            "template": template(case.get("image", "b")),
            **wanted,
        },
        "status": {"conditions": conditions, **status},
    }


def condition(told: str) -> MutableObj:
    kind, status, reason, age = told.split()
    times = {"lastUpdateTime": ago(float(age)), "lastTransitionTime": ago(5000)}
    return {"type": kind, "status": status, **times, "reason": reason, "message": "as told"}


def replicaset(image: str, words: list[str]) -> MutableObj:
    values = {"available": "0", "desired": "3", "max": "4", "age": "100"}
    values |= dict(word.split("=") for word in words if "=" in word)
    labels = {"app": "other" if "lost" in words else "api", "pod-template-hash": image}
    names = {"rev": "revision", "history": "revision-history"}
    names |= {"desired": "desired-replicas", "max": "max-replicas"}
    metadata: MutableObj = {
        "name": f"api-{image}",
        "namespace": "default",
        "uid": f"uid-{image}",
        "resourceVersion": "7",
        "generation": int(values.get("generation", 1)),
        "creationTimestamp": ago(float(values["age"])),
        "labels": labels,
        "annotations": {
            PREFIX + name: values[word]
            for word, name in names.items()
            if values.get(word, "0") != "0"
        },
        "ownerReferences": [OWNED],
    }
    if "orphan" in words:
        del metadata["ownerReferences"]
    if "foreign" in words:
        metadata["ownerReferences"] = [{**OWNED, "uid": "other"}]
    if "going" in words:
        metadata["deletionTimestamp"] = ago(0)
    made = template(values.get("like", image))
    made["metadata"]["labels"] = labels
    spec = {"replicas": int(words[0]), "template": made}
    return {"metadata": metadata, "spec": spec, "status": set_status(words, values)}


def set_status(words: list[str], values: Mapping[str, str]) -> MutableObj:
    ready = values.get("ready", values["available"])
    status: MutableObj = {
        "availableReplicas": int(values["available"]),
        "readyReplicas": int(ready),
        "replicas": int(values.get("replicas", ready)),
        "observedGeneration": int(values.get("observed", 1)),
    }
    if "failing" in words:
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
        status["conditions"] = [
            {**failure, "message": f"quota of {values.get('rev')}", "lastTransitionTime": ago(50)}
        ]
    return status


def pod(image: str, words: list[str]) -> MutableObj:
    owner = {"kind": "ReplicaSet", "name": f"api-{image}", "uid": f"uid-{image}"}
    metadata: MutableObj = {
        "name": f"p-{image}",
        "ownerReferences": [{**owner, "controller": True}],
    }
    if "going" in words:
        metadata["deletionTimestamp"] = ago(0)
    return {"metadata": metadata, "status": {"phase": words[0].capitalize()}}


def observed(case: Mapping[str, Any]) -> Observed:
    made = [replicaset(i, str(w).split()) for i, w in (case.get("sets") or {}).items()]
    pods = tuple(pod(i, str(w).split()) for i, w in (case.get("pods") or {}).items())
    beside = {meta.name_of(rs): rs for rs in made}
    for image in case.get("taken") or ():
        name = sets.name_for("api", sets.template_hash(template(image), 0))
        beside[name] = {**replicaset("z", ["1", "foreign"])}
        beside[name]["metadata"] |= {"name": name}
    return Observed(deployment(case), beside, pods, may_adopt=case.get("may_adopt", True))


def names() -> Mapping[str, str]:
    """Names of sets that plans make, and how the golden files tell them."""
    return {
        sets.name_for("api", sets.template_hash(template(image), count)): f"api-<{image}{count}>"
        for image in "abc"
        for count in range(3)
    }


def told(text: str) -> str:
    for name, short in names().items():
        text = text.replace(name, short)
    return text.replace(repr(FAILURE)[1:-1], "<failure>").replace(FAILURE, "<failure>")


def show(made: Plan) -> Iterator[str]:
    """A plan as text."""
    for action in made.actions:
        yield from show_action(action)
    if isinstance(made.status, Patch):
        yield from show_status("status", made.status)
    if isinstance(made.status_if_failed, Patch):
        yield from show_status("if failed", made.status_if_failed)
    if made.requeue_after_s is not None:
        yield f"look again after {made.requeue_after_s:g} s"
    if not made.actions and made.status is None and made.requeue_after_s is None:
        yield "nothing"


def show_action(action: Action) -> Iterator[str]:
    match action:
        case Reported(write, success, failure, _):
            yield from show_action(write)
            for event in (success, failure):
                if event is not None:
                    yield f"  {event.kind} {event.reason}: {event.message}".rstrip()
        case Create(resource, obj):
            spec = obj["spec"]
            labels = (obj["metadata"]["labels"], spec["template"]["metadata"]["labels"])
            assert labels[0] == labels[1]
            assert spec["selector"]["matchLabels"].items() <= labels[0].items()
            assert obj["metadata"]["ownerReferences"] == [OWNED]
            minready = spec.get("minReadySeconds", 0)
            size = f"size={spec['replicas']} minReadySeconds={minready}"
            yield f"create {resource} {obj['metadata']['name']} {size}"
            for key, value in obj["metadata"]["annotations"].items():
                yield f"  {key.removeprefix(PREFIX)}: {value}"
        case Delete(resource, _, name, uid):
            yield f"delete {resource} {name} uid={uid}"
        case Patch(resource, _, name, patch):
            yield f"patch {resource} {name}"
            yield from show_patch(patch)
        case _:
            raise AssertionError(f"not an action of this controller: {action}")


def show_patch(patch: Mapping[str, Any]) -> Iterator[str]:
    metadata = patch.get("metadata") or {}
    if "ownerReferences" in metadata:
        owners = [o["uid"] for o in metadata["ownerReferences"] or ()]
        yield f"  owners: {','.join(owners) or 'none'}"
    for key, value in (patch.get("spec") or {}).items():
        yield f"  {key}: {value}"
    for key, value in (metadata.get("annotations") or {}).items():
        yield f"  {key.removeprefix(PREFIX)}: {value}"


def show_status(title: str, patch: Patch) -> Iterator[str]:
    status = dict(patch.patch["status"])
    conditions = status.pop("conditions", None)
    counts = [f"{k.removesuffix('Replicas')}={v}" for k, v in status.items() if v]
    yield f"{title} {' '.join(counts)}"
    for c in conditions or ():
        ages = [NOW - (meta.parse_time(c[f"last{w}Time"]) or 0) for w in ("Update", "Transition")]
        words = f"{c['type']} {c['status']} {c['reason']}: {c['message']}"
        yield f"  {words} (renewed {ages[0]:g} s ago, since {ages[1]:g} s)"


def render(path: Path) -> str:
    text = ""
    for case in yaml.safe_load(path.read_text()):
        seen = observed(case)
        made = plan(seen, NOW)
        assert made == plan(seen, NOW)
        text += f"{case['title']}\n" + "".join(f"  {told(line)}\n" for line in show(made)) + "\n"
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
