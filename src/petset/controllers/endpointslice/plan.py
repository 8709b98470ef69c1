"""What to do next for the endpoints of one Service. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from petset.api import selectors
from petset.api.meta import Obj, labels_of
from petset.controllers.endpointslice import endpoint, legacy, slices
from petset.reconcile.actions import Plan


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a service.

    Attributes:
        service: None when it is gone.
        pods: the pods of its namespace; those that it selects at least.
        slices: the slices that name it, whoever made them.
        endpoints: the Endpoints object of its name, if any.
        zones: zone of each node that has one.
        legacy_wait_s: seconds until the Endpoints object may be written again.
        deleted: the service was there a moment ago. Endpoints that somebody wrote go with it, or
            the next service of its name would have them; those written ahead of one stay.
    """

    service: Obj | None
    pods: tuple[Obj, ...]
    slices: tuple[Obj, ...]
    endpoints: Obj | None
    zones: Mapping[str, str]
    legacy_wait_s: float = 0.0
    deleted: bool = False


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen` at wall-clock time `now`."""
    ours = [s for s in seen.slices if slices.is_ours(s)]
    stored = seen.endpoints
    service = seen.service
    if service is None or _is_external(service):
        actions = slices.delete_all(ours)
        if stored is not None and (seen.deleted or legacy.is_ours(stored)):
            actions.append(legacy.delete(stored))
        return Plan(tuple(actions))
    selector = (service.get("spec") or {}).get("selector")
    if not selector:
        return Plan()
    matches = selectors.from_labels(selector).matches
    pods = [pod for pod in seen.pods if matches(labels_of(pod))]
    families = endpoint.families_of(service)
    actions, later = [], None
    for family in families:
        wanted = endpoint.endpoints_of(service, iter(pods), family, seen.zones)
        mine = [s for s in ours if s.get("addressType") == family]
        actions += slices.plan_family(service, family, wanted, mine, now)
        if family == families[0]:
            if seen.legacy_wait_s:
                later = seen.legacy_wait_s
            else:
                actions += legacy.plan_endpoints(service, wanted, stored, now)
    actions += slices.delete_all(s for s in ours if s.get("addressType") not in families)
    return Plan(tuple(actions), requeue_after_s=later)


def _is_external(service: Obj) -> bool:
    return (service.get("spec") or {}).get("type") == "ExternalName"
