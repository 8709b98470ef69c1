"""What a StatefulSet asks of petset beyond Kubernetes, by annotations. Pure.

Invariant: a set without these annotations is treated as Kubernetes treats it, but for what is on
unless switched off (`heal-rollout`).
Invariant: a value that is not understood is refused when it is written, by name; a stored one that
is not understood (written before it meant anything) counts as absent.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from petset.api import names
from petset.api.check import Faults
from petset.api.errors import invalid

T = TypeVar("T")

PREFIX = "petset.dev/"
HEAL = "petset.dev/heal-rollout"
ROLLBACK = "petset.dev/rollback"
DEADLINE = "petset.dev/progress-deadline-seconds"
PAUSED = "petset.dev/paused"
ORDERED_DELETION = "petset.dev/ordered-deletion"
PRIMARY = "petset.dev/primary-label"
RESERVED = "petset.dev/reserved-ordinals"

CLAIMS_EDITED = "petset.dev/claims-edited"
"""Set by the server when volumeClaimTemplates were edited: claims follow the templates from then
on. Its value is the generation of the last edit."""

FINALIZER = "petset.dev/ordered-deletion"
"""On a set whose pods are stopped one after the other when it is deleted."""

DEADLINE_DEFAULT_S = 600
RESERVED_MAX = 10_000
"""Most ordinals that may be reserved."""

_RANGE = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")


@dataclass(frozen=True, slots=True)
class Options:
    """The choices of one set.

    Attributes:
        heal: replace a pod that blocks a roll-out and will not get Ready.
        rollback: go back to the last revision that was fully Ready when a roll-out is late.
        deadline_s: how long a pod may take until it is available, before the roll-out is late.
        paused: do not roll out; scaling and replacing of lost pods go on.
        ordered_deletion: stop the pods one after the other when the set is deleted.
        primary: (label, value) of the pod that is rolled last; None for none.
        reserved: ordinals that get no pod.
    """

    heal: bool = True
    rollback: bool = False
    deadline_s: int = DEADLINE_DEFAULT_S
    paused: bool = False
    ordered_deletion: bool = False
    primary: tuple[str, str] | None = None
    reserved: frozenset[int] = frozenset()


def read(annotations: Mapping[str, str]) -> Options:
    """The choices that the annotations of a set make."""
    return Options(
        heal=_value(annotations, HEAL, _boolean, default=True),
        rollback=_value(annotations, ROLLBACK, _automatic, default=False),
        deadline_s=_value(annotations, DEADLINE, _seconds, default=DEADLINE_DEFAULT_S),
        paused=_value(annotations, PAUSED, _boolean, default=False),
        ordered_deletion=_value(annotations, ORDERED_DELETION, _boolean, default=False),
        primary=_value(annotations, PRIMARY, _label, default=None),
        reserved=_value(annotations, RESERVED, _ordinals, default=frozenset()),
    )


def faults(annotations: Mapping[str, str]) -> Faults:
    """Every annotation with a value that is not understood."""
    for key, parse in _PARSERS.items():
        text = annotations.get(key)
        if text is None:
            continue
        try:
            parse(text)
        except ValueError as error:
            yield invalid(f"metadata.annotations[{key}]", text, str(error))


def warnings(annotations: Mapping[str, str], of_pods: Mapping[str, str]) -> Iterator[str]:
    """Annotations that look like a choice and are none.

    Args:
        annotations: of the set.
        of_pods: of its pod template.
    """
    for key in annotations:
        if key.startswith(PREFIX) and key not in _PARSERS and key != CLAIMS_EDITED:
            known = ", ".join(name.removeprefix(PREFIX) for name in _PARSERS)
            yield f"metadata.annotations[{key}]: no such option, under {PREFIX} there are {known}"
    for key in of_pods:
        if key in _PARSERS:
            where = f"spec.template.metadata.annotations[{key}]"
            yield f"{where}: has no effect on pods, annotate the StatefulSet itself"


def _value(annotations: Mapping[str, str], key: str, parse: Callable[[str], T], *, default: T) -> T:
    text = annotations.get(key)
    if text is None:
        return default
    try:
        return parse(text)
    except ValueError:
        return default


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be 'true' or 'false'")
    return text == "true"


def _automatic(text: str) -> bool:
    if text not in ("auto", "off"):
        raise ValueError("must be 'auto' or 'off'")
    return text == "auto"


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 2**31:
        raise ValueError("must be a number of seconds greater than 0")
    return int(text)


def _label(text: str) -> tuple[str, str] | None:
    key, equals, value = text.partition("=")
    if not equals or names.qualified_name(key) or names.label_value(value):
        raise ValueError("must be a label and its value, as in 'role=primary'")
    return key, value


def _ordinals(text: str) -> frozenset[int]:
    found: set[int] = set()
    for first, last in _ranges(text):
        if last < first or last >= 2**31 or len(found) + last - first >= RESERVED_MAX:
            raise ValueError(f"must name {RESERVED_MAX} ordinals at most, each range ascending")
        found.update(range(first, last + 1))
    return frozenset(found)


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for word in text.split(",") if text.strip() else ():
        match = _RANGE.fullmatch(word.strip())
        if match is None:
            raise ValueError("must be ordinals and ranges of them, as in '1,3,5-7'")
        yield int(match[1]), int(match[2] or match[1])


_PARSERS: Mapping[str, Callable[[str], object]] = {
    HEAL: _boolean,
    ROLLBACK: _automatic,
    DEADLINE: _seconds,
    PAUSED: _boolean,
    ORDERED_DELETION: _boolean,
    PRIMARY: _label,
    RESERVED: _ordinals,
}
