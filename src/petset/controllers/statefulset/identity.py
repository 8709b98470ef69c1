"""Names, ordinals and labels of the pods of a set. Pure.

Rules: workload-semantics 1.8. Beyond them: where a label's value or a hostname would get longer
than 63 characters, so that upstream can't run the set, it is shortened (`short`).
"""

import re
from functools import lru_cache

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.statefulset.spec import Spec
from petset.reconcile import podtemplate, revisions

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
ORDINAL_MAX = 2**31 - 1
SHORT_MAX = 63
"""Longest label value, and longest hostname."""
NAMES_MAX = 4096
"""Names remembered with what was read from them: every plan asks several times about each pod."""

_MEMBER = re.compile(r"(.*)-([0-9]+)", re.DOTALL)


def short(text: str) -> str:
    """A text as label value and hostname: what comes before the last dash is cut where needed.

    The cut part ends in a hash of the whole of it, so that different texts stay different, and the
    ordinal or the revision's hash after the last dash stays readable.
    """
    if len(text) <= SHORT_MAX:
        return text
    head, _, tail = text.rpartition("-")
    hash_text = revisions.safe_encode(str(revisions.fnv1_32(head.encode())))
    room = SHORT_MAX - len(hash_text) - len(tail) - 2
    return f"{head[:room].rstrip('-.')}-{hash_text}-{tail}"


def pod_name(set_name: str, ordinal: int) -> str:
    """The name of a pod."""
    return f"{set_name}-{ordinal}"


@lru_cache(maxsize=NAMES_MAX)
def parse(name: str) -> tuple[str, int]:
    """The set's name and the ordinal in a pod's name; ("", -1) when it is not of that form."""
    match = _MEMBER.fullmatch(name)
    if match is None or int(match[2]) > ORDINAL_MAX:
        return "", -1
    return match[1], int(match[2])


def ordinal_of(pod: Obj) -> int:
    """The ordinal in the pod's name, -1 when there is none."""
    return parse(meta.name_of(pod))[1]


def is_member(spec: Spec, pod: Obj) -> bool:
    """Whether the pod's name is one of the set's."""
    return parse(meta.name_of(pod))[0] == spec.name


def revision_of(pod: Obj) -> str:
    """The revision that the pod was made from, as its label has it (see `label_of`)."""
    return meta.labels_of(pod).get(revisions.REVISION_LABEL, "")


def label_of(revision: Obj) -> str:
    """What the pods made from a revision have in their label: its name, short."""
    return short(meta.name_of(revision))


def has_identity(spec: Spec, pod: Obj) -> bool:
    """Whether name, namespace and name label of the pod are right.

    The index label is not looked at: pods made before it existed are left alone.
    """
    parent, ordinal = parse(meta.name_of(pod))
    return (
        ordinal >= 0
        and parent == spec.name
        and meta.name_of(pod) == pod_name(spec.name, ordinal)
        and meta.namespace_of(pod) == spec.namespace
        and meta.labels_of(pod).get(POD_NAME_LABEL) == short(meta.name_of(pod))
    )


def identity_labels(spec: Spec, ordinal: int) -> dict[str, str]:
    """The labels that tell which pod of the set it is."""
    name = short(pod_name(spec.name, ordinal))
    return {POD_NAME_LABEL: name, POD_INDEX_LABEL: str(ordinal)}


def new_pod(spec: Spec, ordinal: int, revision: Obj) -> MutableObj:
    """The pod of `ordinal` at `revision`, without its claims."""
    name = pod_name(spec.name, ordinal)
    pod = podtemplate.pod_from_template(
        revisions.template_of(revision),
        namespace=spec.namespace,
        owner=spec.reference,
        name=name,
    )
    pod["metadata"]["labels"] = {
        **(pod["metadata"].get("labels") or {}),
        **identity_labels(spec, ordinal),
        revisions.REVISION_LABEL: label_of(revision),
    }
    pod["spec"]["hostname"] = short(name)
    pod["spec"].pop("subdomain", None)  # the service's, or none: a template's own does not count
    if spec.service_name:
        pod["spec"]["subdomain"] = spec.service_name
    return pod
