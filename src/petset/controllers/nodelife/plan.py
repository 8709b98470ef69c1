"""What to do next for one node, one pod, or the finished pods. Pure."""

from petset.controllers.nodelife.nodes import ObservedGone, ObservedNode, plan_gone, plan_node
from petset.controllers.nodelife.pods import (
    ObservedFinished,
    ObservedPod,
    plan_finished,
    plan_pod,
)
from petset.reconcile.actions import Plan

Observed = ObservedNode | ObservedGone | ObservedPod | ObservedFinished


def plan(seen: Observed, now: float) -> Plan:
    """The actions for `seen` at wall-clock time `now`."""
    match seen:
        case ObservedNode():
            return plan_node(seen, now)
        case ObservedGone():
            return plan_gone(seen)
        case ObservedPod():
            return plan_pod(seen, now)
        case ObservedFinished():
            return plan_finished(seen)
