"""Resource requests of pods as whole numbers. Pure."""

from collections.abc import Mapping

from petset.api import quantity
from petset.api.meta import Obj

Amounts = Mapping[str, int]
"""Amounts by resource name: cpu in thousandths, everything else in its unit."""


def amounts(raw: Mapping[str, object] | None) -> dict[str, int]:
    """Quantities as whole numbers: cpu in thousandths. What cannot be read counts as nothing."""
    found = {}
    for name, text in (raw or {}).items():
        try:
            found[name] = quantity.milli(text) if name == "cpu" else quantity.whole(text)
        except ValueError:
            found[name] = 0
    return found


def requests_of(spec: Obj, least: Amounts | None = None) -> Amounts:
    """What a pod takes of its node.

    The sum over its containers and sidecars, or the highest moment of its start if an init
    container needs more, plus its overhead; requests of the pod as a whole replace sums.
    `least` gives amounts for containers that ask for nothing.
    """
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        add(total, _container(container, least))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        own = dict(_container(container, least))
        if container.get("restartPolicy") == "Always":
            add(total, own)
            add(sidecars, own)
            own = sidecars
        else:
            add(own, sidecars)
        _raise(peak, own)
    _raise(total, peak)
    total |= amounts((spec.get("resources") or {}).get("requests"))
    add(total, amounts(spec.get("overhead")))
    return total


def _container(container: Obj, least: Amounts | None) -> Amounts:
    own = amounts((container.get("resources") or {}).get("requests"))
    return {**least, **own} if least else own


def add(total: dict[str, int], more: Amounts, sign: int = 1) -> None:
    """Add amounts to a total in place; sign -1 takes them off."""
    for name, amount in more.items():
        total[name] = total.get(name, 0) + sign * amount


def _raise(total: dict[str, int], other: Amounts) -> None:
    for name, amount in other.items():
        total[name] = max(total.get(name, 0), amount)
