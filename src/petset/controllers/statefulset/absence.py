"""Why a member has no pod: its name is taken, a claim of it is going, the server refuses it. Pure.

Invariant as in `trouble`: the texts stay the same while the reason does.
"""

from collections.abc import Collection, Mapping, Sequence

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.statefulset import identity, storage, trouble
from petset.controllers.statefulset.spec import Spec
from petset.controllers.statefulset.trouble import Trouble

STUCK, REFUSED = "RolloutStuck", "FailedCreate"
"""The condition, and its reason, that tell that a pod could not be created."""


def explained(
    spec: Spec,
    slots: Sequence[tuple[int, Obj | None]],
    found: Sequence[Trouble | None],
    strangers: Collection[str],
    claims: Mapping[str, Obj],
) -> tuple[Trouble | None, ...]:
    """The troubles `found` of the slots, and those of slots without a pod.

    Args:
        strangers: names of pods that are not the set's.
        claims: by name.
    """
    if not strangers and not spec.claim_templates:
        return tuple(found)
    return tuple(
        seen if seen is not None or pod is not None else _of(spec, ordinal, strangers, claims)
        for seen, (ordinal, pod) in zip(found, slots, strict=True)
    )


def refused(spec: Spec, update: Obj) -> Trouble | None:
    """That no pod can be created, as the set's status has it; since then, or since `update`."""
    told = meta.condition_of(spec.obj, STUCK) or {}
    if told.get("status") != "True" or told.get("reason") != REFUSED:
        return None
    created = meta.parse_time((update.get("metadata") or {}).get("creationTimestamp"))
    since = meta.parse_time(told.get("lastTransitionTime"))
    if created is None or since is None:
        return None
    return Trouble(REFUSED, told.get("message") or "", False, max(created, since))


def _of(
    spec: Spec, ordinal: int, strangers: Collection[str], claims: Mapping[str, Obj]
) -> Trouble | None:
    """The name may be about to be free (of an earlier set's pod), and a claim to go: both are
    waited for; since when is known from the set where the other object does not tell."""
    name = identity.pod_name(spec.name, ordinal)
    was = meta.condition_of(spec.obj, "Available") or {}
    since = was.get("lastTransitionTime") if was.get("status") == "False" else None
    if name in strangers:
        message = f"Pod {name} is there and does not belong to the set"
        return Trouble(trouble.TAKEN, message, False, meta.parse_time(since))
    for claim in (claims[c] for c in storage.claim_names(spec, ordinal) if c in claims):
        stale = not spec.retain_on_scale and storage.is_stale(claim, name, "")
        if meta.is_deleting(claim) or stale:
            since = (claim.get("metadata") or {}).get("deletionTimestamp") or since
            message = f"Pod {name} waits until claim {meta.name_of(claim)} of before is gone"
            return Trouble(trouble.CLAIM_GOING, message, False, meta.parse_time(since))
    return None
