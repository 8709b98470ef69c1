"""Golden plans of the StatefulSet controller: `cases/*.yaml` -> `cases/*.plan`.

A case is a list of short states, each planned on its own. `GOLDEN=1` rewrites the plans.

    - title: what the rule says
      set: fields of spec over the defaults below, and `deleting: true`
      annotations: {rollback: auto}     of the set, below petset.dev/
      finalizers: [orphan]              of the set
      template: old                     the image of the set's template, "new" if not said
      status: fields of status
      again: true                       the status of an earlier plan is in the set already
      pods: {0: ready, 1: pending old}
      claims: {1: pod-owner}
      revisions: [OLD, NEW]             those that are there, besides those of the pods
      proven: [OLD, NEW]                those at which the whole set was Ready once
      failures: {1: 3 5}                pod 1 failed for the third time, 5 seconds ago
      size: 2Gi                         of the claim template
      messages: true                    show the messages of the conditions

Words of pods: pending running probing (its probe fails) ready fresh (ready just now) failed
succeeded going, old bad (revision), gone-labels, elsewhere (named db-N), orphan, theirs, renamed,
nostorage, image crash nonode (why it is not Ready), late (not Ready for 1000 s), primary. Words of
claims: set-owner pod-owner stale-owner earlier-set foreign going none 1Gi (its size) 1Gi>2Gi (it
grows) fixed (its class does not let it grow) labelled unbound; a pod's claim is there when nothing
is said.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from petset.api import meta
from petset.api.apps.v1 import setoptions
from petset.api.meta import MutableObj, Obj
from petset.controllers.statefulset import heal
from petset.controllers.statefulset.backoff import Failure
from petset.controllers.statefulset.plan import Observed, plan
from petset.reconcile import revisions
from petset.reconcile.actions import (
    Action,
    Bind,
    Create,
    Delete,
    Emit,
    External,
    Parallel,
    Patch,
    Plan,
    Reported,
    Sequence,
    Update,
)

NOW = 1_700_000_000.0
CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
LABELS = {"app": "nginx"}
SET = {"kind": "StatefulSet", "apiVersion": "apps/v1", "name": "web", "uid": "set-uid"}


def template(image: str) -> MutableObj:
    containers = [{"name": "nginx", "image": image}]
    return {"metadata": {"labels": LABELS}, "spec": {"containers": containers}}


def base_set() -> MutableObj:
    claim = {"metadata": {"name": "www"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    metadata = {"name": "web", "namespace": "default", "uid": "set-uid", "generation": 2}
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": metadata,
        "spec": {
            "replicas": 3,
            "serviceName": "nginx",
            "selector": {"matchLabels": LABELS},
            "template": template("new"),
            "volumeClaimTemplates": [claim],
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        },
    }


def revision(image: str, number: int) -> MutableObj:
    reference = {**SET, "controller": True, "blockOwnerDeletion": True}
    made = revisions.new_revision(
        base_set(), reference, template(image), number=number, collision_count=0
    )
    made["metadata"] |= {"uid": f"rev-{image}", "resourceVersion": "1"}
    return made


OLD, BAD, NEW = revision("old", 1), revision("bad", 2), revision("new", 3)
REVISIONS = {"OLD": OLD, "BAD": BAD, "NEW": NEW}
CLASH = {**NEW, "data": {"spec": {"template": template("else")}}}
"""Has the name that NEW would get, and keeps something else."""

NAMES = {meta.name_of(made): word for word, made in REVISIONS.items()}
LATE_S = 1000.0


def pod(ordinal: int, words: list[str]) -> MutableObj:
    name = f"db-{ordinal}" if "elsewhere" in words else f"web-{ordinal}"
    made = OLD if "old" in words else BAD if "bad" in words else NEW
    labels = {
        **LABELS,
        "statefulset.kubernetes.io/pod-name": "x" if "renamed" in words else name,
        "apps.kubernetes.io/pod-index": str(ordinal),
        "controller-revision-hash": meta.name_of(made),
    }
    if "primary" in words:
        labels["role"] = "primary"
    if "gone-labels" in words:
        labels.pop("app")
    metadata: MutableObj = {
        "name": name,
        "namespace": "default",
        "uid": f"pod-{ordinal}",
        "resourceVersion": "5",
        "labels": labels,
        "ownerReferences": [{**SET, "controller": True, "blockOwnerDeletion": True}],
    }
    if "orphan" in words:
        del metadata["ownerReferences"]
    if "theirs" in words:
        metadata["ownerReferences"] = [{**SET, "uid": "other", "controller": True}]
    if "going" in words:
        metadata["deletionTimestamp"] = meta.format_time(NOW)
    claim = {"claimName": f"www-web-{ordinal}"}
    volumes = [] if "nostorage" in words else [{"name": "www", "persistentVolumeClaim": claim}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"volumes": volumes},
        "status": pod_status(words),
    }


def pod_status(words: list[str]) -> MutableObj:
    phases = {"pending": "Pending", "failed": "Failed", "succeeded": "Succeeded"}
    phase = next((phases[w] for w in words if w in phases), "Running")
    status: MutableObj = {"phase": phase}
    if "ready" in words or "fresh" in words:
        status["conditions"] = [ready_since(NOW - (2 if "fresh" in words else 1000), "True")]
    elif "late" in words:
        status["conditions"] = [ready_since(NOW - LATE_S, "False")]
    elif "nonode" in words:
        reason = {"status": "False", "reason": "Unschedulable"}
        status["conditions"] = [{"type": "PodScheduled", **reason}]
    if "probing" in words:
        state = {"name": "nginx", "state": {"running": {}}, "ready": False, "started": True}
        status["containerStatuses"] = [state]
    waiting = {"image": "ErrImagePull", "crash": "CrashLoopBackOff"}
    for word in words:
        if word in waiting:
            state = {"waiting": {"reason": waiting[word]}}
            status["containerStatuses"] = [{"name": "nginx", "state": state}]
    return status


def ready_since(at: float, status: str) -> MutableObj:
    return {"type": "Ready", "status": status, "lastTransitionTime": meta.format_time(at)}


def claim(ordinal: int, words: list[str]) -> MutableObj:
    metadata: MutableObj = {
        "name": f"www-web-{ordinal}",
        "namespace": "default",
        "uid": f"claim-{ordinal}",
        "resourceVersion": "6",
    }
    pod_ref = {"kind": "Pod", "apiVersion": "v1", "name": f"web-{ordinal}"}
    flags = {"controller": True, "blockOwnerDeletion": True}
    known = {
        "set-owner": {**SET, **flags},
        "pod-owner": {**pod_ref, "uid": f"pod-{ordinal}", **flags},
        "stale-owner": {**pod_ref, "uid": "earlier", **flags},
        "earlier-set": {**SET, "uid": "earlier", **flags},
        "foreign": {**SET, "name": "other", "uid": "other", "controller": True},
    }
    if owners := [known[word] for word in words if word in known]:
        metadata["ownerReferences"] = owners
    if "going" in words:
        metadata["deletionTimestamp"] = meta.format_time(NOW)
    made: MutableObj = {"metadata": metadata}
    if "labelled" in words:
        metadata["labels"] = LABELS
    sizes = next((word for word in words if word.endswith("Gi")), "")
    if sizes:
        has, _, asked = sizes.partition(">")
        requests = {"requests": {"storage": asked or has}}
        name = "fixed" if "fixed" in words else "standard"
        made["spec"] = {"storageClassName": name, "resources": requests}
        phase = "Pending" if "unbound" in words else "Bound"
        made["status"] = {"phase": phase, "capacity": {"storage": has}}
    return made


def wanted_set(case: Mapping[str, Any]) -> MutableObj:
    """The set of a case, with its status."""
    found = base_set()
    wanted = dict(case.get("set") or {})
    if wanted.pop("deleting", False):
        found["metadata"]["deletionTimestamp"] = meta.format_time(NOW)
    found["spec"] |= wanted
    if "template" in case:
        found["spec"]["template"] = template(case["template"])
    options = {f"petset.dev/{k}": v for k, v in (case.get("annotations") or {}).items()}
    found["metadata"]["annotations"] = options
    found["metadata"]["finalizers"] = case.get("finalizers") or []
    if "size" in case:
        options[setoptions.CLAIMS_EDITED] = "2"
        storage = {"requests": {"storage": case["size"]}}
        found["spec"]["volumeClaimTemplates"][0]["spec"]["resources"] = storage
    status: MutableObj = {
        "observedGeneration": 2,
        "currentRevision": "NEW",
        "updateRevision": "NEW",
    }
    status |= case.get("status") or {}
    names = {word: name for name, word in NAMES.items()}
    for field in ("currentRevision", "updateRevision"):
        status[field] = names[status[field]]
    found["status"] = status
    return found


def history(case: Mapping[str, Any]) -> tuple[MutableObj, ...]:
    used = {word.upper() for words in (case.get("pods") or {}).values() for word in words.split()}
    listed = [*case.get("revisions", ["OLD", "NEW"]), *(used & {"OLD", "BAD"})]
    known = [CLASH] if "CLASH" in listed else []
    for word, made in REVISIONS.items():
        if word in listed:
            proven = word in case.get("proven", ["OLD", "NEW"])
            annotations = {heal.PROVEN: "true"} if proven else {}
            known.append({**made, "metadata": {**made["metadata"], "annotations": annotations}})
    return tuple(known)


def failures(case: Mapping[str, Any]) -> Iterator[tuple[int, Failure]]:
    for ordinal, words in (case.get("failures") or {}).items():
        count, ago = words.split()
        at = NOW - float(ago)
        made = BAD if "bad" in str((case.get("pods") or {}).get(ordinal)) else NEW
        failure = Failure(f"pod-{ordinal}", int(count), at, at - 60, ago == "0", meta.name_of(made))
        yield int(ordinal), failure


def observed(case: Mapping[str, Any]) -> Observed:
    pods = {int(o): str(words).split() for o, words in (case.get("pods") or {}).items()}
    claims: dict[int, list[str]] = {o: [] for o in pods}
    claims |= {int(o): str(words).split() for o, words in (case.get("claims") or {}).items()}
    made = [claim(o, words) for o, words in claims.items() if "none" not in words]
    seen = Observed(
        wanted_set(case),
        tuple(pod(o, words) for o, words in pods.items()),
        history(case),
        {meta.name_of(c): c for c in made},
        may_adopt=True,
        failures=dict(failures(case)),
        growing=frozenset({"standard"}),
    )
    if not case.get("again"):
        return seen
    before = plan(seen, NOW - 1).status
    assert isinstance(before, Patch)
    return replace(seen, set={**seen.set, "status": before.patch["status"]})


def show(made: Plan, *, messages: bool) -> Iterator[str]:
    """A plan as text."""
    for action in made.actions:
        yield from (named(line) for line in show_action(action, "  "))
    if isinstance(made.status, Patch):
        fields = dict(made.status.patch["status"])
        conditions = fields.pop("conditions")
        words = [f"{k}={NAMES.get(v, v)}" for k, v in fields.items()]
        yield "  status " + " ".join(words)
        told = [f"{c['type']}={c['status']}/{c.get('reason', '')}" for c in conditions]
        yield "  conditions " + " ".join(told)
        for condition in conditions if messages else ():
            yield named(f"    {condition['type']}: {condition['message']}".rstrip())
    if made.requeue_after_s is not None:
        yield f"  look again after {made.requeue_after_s:g} s"
    if not made.actions and made.status is None and made.requeue_after_s is None:
        yield "  nothing"


def named(line: str) -> str:
    for name, word in NAMES.items():
        line = line.replace(name, word)
    return line


def show_action(action: Action, indent: str) -> Iterator[str]:
    match action:
        case Sequence(actions) | Parallel(actions):
            yield f"{indent}{type(action).__name__.lower()}"
            for one in actions:
                yield from show_action(one, indent + "  ")
        case Reported(write, success, failure, _):
            yield from show_action(write, indent)
            for event in (success, failure):
                if event is not None:
                    yield f"{indent}  {event.kind} {event.reason}: {event.message}".rstrip()
        case Create(resource, obj):
            extra = ""
            if resource == "pods":
                extra = " " + NAMES[obj["metadata"]["labels"]["controller-revision-hash"]]
            if resource == "controllerrevisions.apps":
                extra = f" number={obj['revision']}"
            yield f"{indent}create {resource} {obj['metadata']['name']}{extra}{owners_of(obj)}"
        case Delete(resource, _, name, uid):
            yield f"{indent}delete {resource} {name} uid={uid}"
        case Patch(resource, _, name, patch):
            yield f"{indent}patch {resource} {name} {show_patch(patch)}"
        case Emit(_, kind, reason, message):
            yield f"{indent}{kind} {reason}: {message}"
        case Update(resource, obj):
            image = obj["spec"]["template"]["spec"]["containers"][0]["image"]
            yield f"{indent}update {resource} {meta.name_of(obj)} image={image}"
        case Bind() | External():
            raise AssertionError(f"not an action of this controller: {action}")


def owners_of(obj: Obj) -> str:
    if obj["kind"] != "PersistentVolumeClaim":
        return ""
    return "".join(f" owner={o['kind']}/{o['uid']}" for o in meta.owners_of(obj))


def show_patch(patch: Obj) -> str:
    metadata = patch.get("metadata") or {}
    if "ownerReferences" in metadata:
        owners = [f"{o['kind']}/{o['uid']}" for o in metadata["ownerReferences"] or ()]
        return f"owners={','.join(owners) or 'none'}"
    return str(patch)


def render(path: Path) -> str:
    text = ""
    for case in yaml.safe_load(path.read_text()):
        seen = observed(case)
        made = plan(seen, NOW)
        assert made == plan(seen, NOW)
        lines = show(made, messages=bool(case.get("messages")))
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
