"""What to do next for one claim or one volume. Pure."""

from petset.controllers.volumebinder.claim import ObservedClaim, plan_claim
from petset.controllers.volumebinder.volume import ObservedVolume, plan_volume
from petset.reconcile.actions import Plan

Observed = ObservedClaim | ObservedVolume


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen`; nothing here depends on the time."""
    del now
    if isinstance(seen, ObservedClaim):
        return plan_claim(seen)
    return plan_volume(seen)
