"""How long a pod that has failed is kept before it is made again. Pure.

Kubernetes replaces a failed pod at once, each time; a pod that fails at once is then made and
removed as fast as the cluster can. Here the first failure is answered at once as well, the next
ones after 10 s, 20 s, ... up to 5 min. A pod that lived for 10 min starts anew, and so does one of
another revision.

Invariant: only the waiting is decided here; the failed pod stays until then, so that its logs can
be read. Whoever deletes it by hand does not have to wait.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.statefulset import identity

FIRST_S = 10.0
LIMIT_S = 300.0
RESET_S = 600.0
"""A pod that lived for so long before it failed fails for the first time again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is remembered of the failures of one ordinal.

    Attributes:
        uid: of the pod that failed last.
        count: how many failed in a row.
        at: when the last one was seen to have failed, seconds since the epoch.
        first_at: the same of the first one.
        is_new: nobody was told of the last one yet.
        revision: of the pod that failed last, as it is labelled.
    """

    uid: str
    count: int
    at: float
    first_at: float
    is_new: bool = True
    revision: str = ""


def delay_s(failure: Failure) -> float:
    """How long the failed pod is kept."""
    if failure.count < 2:
        return 0.0
    return min(LIMIT_S, FIRST_S * 2.0 ** min(failure.count - 2, 30))


def noted(
    known: Mapping[int, Failure], failed: Iterable[tuple[int, Obj]], now: float
) -> dict[int, Failure]:
    """What is known after a look at the pods that have failed, by ordinal."""
    found = {o: f for o, f in known.items() if now - f.at < LIMIT_S + RESET_S}
    for ordinal, pod in failed:
        before = found.get(ordinal)
        if before is not None and before.uid == meta.uid_of(pod):
            continue
        created = meta.parse_time((pod.get("metadata") or {}).get("creationTimestamp"))
        lasted = created is not None and now - created >= RESET_S
        made = Failure(meta.uid_of(pod), 1, now, now, revision=identity.revision_of(pod))
        if before is not None and before.revision == made.revision and not lasted:
            made = replace(made, count=before.count + 1, first_at=before.first_at)
        found[ordinal] = made
    return found


def told(known: Mapping[int, Failure]) -> dict[int, Failure]:
    """The same, after the events of a plan went out."""
    return {ordinal: replace(failure, is_new=False) for ordinal, failure in known.items()}
