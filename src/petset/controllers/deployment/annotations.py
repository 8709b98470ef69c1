"""Annotations by which a deployment numbers its sets and remembers their sizes. Pure.

Rules: workload-semantics 3.1.
"""

from collections.abc import Mapping

from petset.api.check import number_of

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
HISTORY_CHARS_MAX = 2000
_OWN = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MAX,
    }
)
"""Not copied from a deployment to its sets."""

Annotations = Mapping[str, str]


def number(annotations: Annotations, name: str) -> int | None:
    """The number that an annotation carries; None where there is none."""
    text = annotations.get(name, "")
    return number_of(text) if text.isascii() and text.isdecimal() else None


def revision(annotations: Annotations) -> int:
    """The revision number of a set, 0 where it has none."""
    return number(annotations, REVISION) or 0


def copied(annotations: Annotations, source: Annotations) -> dict[str, str]:
    """The annotations of a set with those of its deployment that it is to have."""
    return {**annotations, **{k: v for k, v in source.items() if k not in _OWN}}


def numbered(annotations: Annotations, wanted: int) -> dict[str, str]:
    """The annotations with the revision number raised to `wanted`.

    A number that the set had before is kept in its history, of which the oldest part goes when it
    gets too long.
    """
    old = annotations.get(REVISION)
    if old is not None and revision(annotations) >= wanted:
        return dict(annotations)
    made = {**annotations, REVISION: str(wanted)}
    if old is not None:
        history = [n for n in annotations.get(HISTORY, "").split(",") if n] + [old]
        while len(",".join(history)) > HISTORY_CHARS_MAX:
            del history[0]
        made[HISTORY] = ",".join(history)
    return made


def sized(annotations: Annotations, desired: int, size_max: int) -> dict[str, str]:
    """The annotations that tell what the deployment asked for when it sized the set."""
    return {**annotations, DESIRED: str(desired), MAX: str(size_max)}
