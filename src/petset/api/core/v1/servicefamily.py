"""Address families of a Service in a cluster that serves IPv4 only.

Invariant: a Service with cluster IPs or a selector has the one family that is served; a headless
one without selector may name any, since its endpoints are somebody else's.
"""

from collections.abc import Sequence

from petset.api.check import child, items, parse_ip
from petset.api.errors import FieldError, invalid
from petset.api.meta import MutableObj

FAMILIES = ("IPv4", "IPv6")
SERVED = "IPv4"
SINGLE, REQUIRE = "SingleStack", "RequireDualStack"
NONE = "None"


def family_of(address: object) -> str:
    """`IPv6` or `IPv4`."""
    parsed = parse_ip(address)
    return "IPv6" if parsed is not None and parsed.version == 6 else "IPv4"


def settle(spec: MutableObj) -> list[FieldError]:
    """Fill in ipFamilyPolicy and ipFamilies; answers what of them this cluster cannot serve."""
    anybody = spec.get("clusterIP") == NONE and not child(spec, "selector")
    policy = spec.get("ipFamilyPolicy") or (REQUIRE if anybody else SINGLE)
    families = list(items(spec, "ipFamilies"))
    addresses = [a for a in items(spec, "clusterIPs") if a != NONE]
    faults = _several(policy, addresses, families)
    for index, address in enumerate(addresses[len(families) :], len(families)):
        family = family_of(address)
        if family != SERVED:
            words = f"{family} is not configured on this cluster"
            faults.append(invalid(f"spec.clusterIPs[{index}]", addresses, words))
        families.append(family)
    families = families or [SERVED]
    if not anybody:
        faults = faults or _unserved(policy, families)
    elif len(families) == 1 and policy != SINGLE:
        families += [family for family in FAMILIES if family not in families]
    spec["ipFamilies"], spec["ipFamilyPolicy"] = families, policy
    return faults


def _several(
    policy: str, addresses: Sequence[object], families: Sequence[object]
) -> list[FieldError]:
    words = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified"
    counts = {"cluster IPs": len(addresses), "IP families": len(families)}
    return [
        invalid("spec.ipFamilyPolicy", policy, words.format(what))
        for what, count in counts.items()
        if policy == SINGLE and count > 1
    ]


def _unserved(policy: str, families: Sequence[object]) -> list[FieldError]:
    faults = []
    if policy == REQUIRE:
        words = "this cluster is not configured for dual-stack services"
        faults.append(invalid("spec.ipFamilyPolicy", policy, words))
    faults += [
        invalid(f"spec.ipFamilies[{i}]", family, "not configured on this cluster")
        for i, family in enumerate(families)
        if family != SERVED
    ]
    return faults
